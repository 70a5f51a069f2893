/** Elections on a lease in memory that is as strict as an API server, on short times. */
import { test, type Test } from 'tap';
import type { LeaseRecord, LeaseStore, StoredLease } from '../../../controller/kube/lease-store.ts';
import { Leader } from '../../../controller/lead/leader.ts';
import { eventually } from '../../helpers/control-rig.ts';
import { silent } from '../../helpers/silent-log.ts';

const times = { renewMs: 400, retryMs: 50 };

/** One lease; `isAway` makes every call fail, as an API server that is gone. */
class Lease implements LeaseStore {
  isAway = false;
  writes = 0;
  #stored: StoredLease | undefined;

  async read(): Promise<StoredLease | undefined> {
    this.#check();
    return this.#stored;
  }

  async write(record: LeaseRecord, before?: StoredLease): Promise<StoredLease | undefined> {
    this.#check();
    if (before?.revision !== this.#stored?.revision) return undefined;
    this.writes += 1;
    this.#stored = { record, revision: String(this.writes) };
    return this.#stored;
  }

  #check(): void {
    if (this.isAway) throw new Error('away');
  }
}

function candidate(t: Test, lease: LeaseStore, me: string, durationMs = 1000) {
  const changes: boolean[] = [];
  const onChange = (isLeading: boolean): void => void changes.push(isLeading);
  const leader = new Leader({ lease, me, log: silent, times: { ...times, durationMs }, onChange });
  t.teardown(async () => leader.stop());
  return { leader, changes };
}

test('Leader gives the lead to one of two, and to the other as soon as it is given back', async (t) => {
  const lease = new Lease();
  const long = 3_600_000;
  const [a, b] = [candidate(t, lease, 'a', long), candidate(t, lease, 'b', long)];
  await a.leader.start();
  await eventually(() => a.leader.isLeading, 'a leads');
  await b.leader.start();
  await eventually(() => b.leader.holder === 'a', 'b knows who leads');
  t.equal(b.leader.isLeading, false);
  await a.leader.stop();
  t.equal(a.leader.isLeading, false);
  await eventually(() => b.leader.isLeading, 'b leads, without waiting for the lease to end');
  t.strictSame([a.changes, b.changes], [[true, false], [true]]);
});

test('Leader stops leading by itself before another can take over', async (t) => {
  const lease = new Lease();
  let isCut = false;
  const cut: LeaseStore = {
    read: async () => {
      if (isCut) throw new Error('away');
      return lease.read();
    },
    write: async (record, before) => {
      if (isCut) throw new Error('away');
      return lease.write(record, before);
    },
  };
  const [a, b] = [candidate(t, cut, 'a'), candidate(t, lease, 'b')];
  await a.leader.start();
  await eventually(() => a.leader.isLeading, 'a leads');
  await b.leader.start();
  await eventually(() => b.leader.holder === 'a', 'b has seen it');
  isCut = true;
  let both = 0;
  await eventually(() => {
    if (a.leader.isLeading && b.leader.isLeading) both += 1;
    return b.leader.isLeading;
  }, 'b leads');
  t.equal(both, 0, 'never two at once');
  t.strictSame(a.changes, [true, false]);
  isCut = false;
  await eventually(() => a.leader.holder === 'b', 'a follows');
  t.equal(a.leader.isLeading, false);
});

test('Leader takes the loss of a race as a loss', async (t) => {
  const lease = new Lease();
  const { leader, changes } = candidate(t, lease, 'a');
  await leader.start();
  await eventually(() => leader.isLeading, 'a leads');
  const stored = await lease.read();
  if (stored !== undefined) await lease.write({ ...stored.record, holder: 'thief' }, stored);
  await eventually(() => !leader.isLeading, 'a has lost it');
  await eventually(() => leader.holder === 'thief', 'and knows to whom');
  t.strictSame(changes, [true, false]);
  await eventually(() => leader.isLeading, 'until the other does not renew it');
});

test('Leader goes on after the API server was away', async (t) => {
  const lease = new Lease();
  const { leader, changes } = candidate(t, lease, 'a');
  lease.isAway = true;
  await leader.start();
  await eventually(() => !leader.isLeading, 'nothing yet');
  lease.isAway = false;
  await eventually(() => leader.isLeading, 'a leads');
  lease.isAway = true;
  await eventually(() => !leader.isLeading, 'not without renewal');
  lease.isAway = false;
  await eventually(() => leader.isLeading, 'a leads again');
  t.strictSame(changes, [true, false, true]);
});
