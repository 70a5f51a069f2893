/** How long a peer that broke the rules stays out, and who else is held with it: nobody. */
import { test } from 'tap';
import { identityOf } from '#common/identity.ts';
import {
  FIRST_HOLD_MS,
  HANDSHAKES,
  LONGEST_HOLD_MS,
  MOST_OFFENDERS,
  OFFENDER_MEMORY_MS,
  Offenders,
} from '../../../node-agent/data/offenders.ts';

const bad = { identity: identityOf('cluster.local', 'shop', 'bad'), address: '10.0.0.1' };
const neighbour = { ...bad, identity: identityOf('cluster.local', 'shop', 'good') };
const replica = { ...bad, address: '10.0.0.2' };

test('note() holds the peer for longer each time, and nobody else', async (t) => {
  const offenders = new Offenders();
  t.equal(offenders.heldMs(bad, 0), 0);
  const holds: number[] = [];
  let now = 0;
  for (let i = 0; i < 6; i += 1) {
    const holdMs = offenders.note(bad, now);
    holds.push(holdMs);
    t.equal(offenders.heldMs(bad, now), holdMs);
    t.equal(offenders.heldMs(bad, now + holdMs - 1), 1);
    t.equal(offenders.heldMs(neighbour, now), 0, 'another identity at the same address');
    t.equal(offenders.heldMs(replica, now), 0, 'the same identity at another address');
    now += holdMs;
    t.equal(offenders.heldMs(bad, now), 0);
  }
  t.strictSame(holds, [2000, 4000, 8000, 16_000, LONGEST_HOLD_MS, LONGEST_HOLD_MS]);
  now += OFFENDER_MEMORY_MS;
  t.equal(offenders.note(bad, now), FIRST_HOLD_MS, 'who has behaved for long begins anew');
});

test('tunnels that are cut at once are one offence', async (t) => {
  const offenders = new Offenders();
  t.equal(offenders.note(bad, 0), FIRST_HOLD_MS);
  t.equal(offenders.note(bad, 10), 0);
  t.equal(offenders.heldMs(bad, 10), FIRST_HOLD_MS - 10, 'it does not grow by that');
});

test('an address has a budget of handshakes while an offender there is held', async (t) => {
  const offenders = new Offenders();
  const shakes = (now: number): number => {
    let count = 0;
    while (count < 1000 && offenders.mayShake(bad.address, now)) count += 1;
    return count;
  };
  t.equal(shakes(0), 1000, 'without an offender there is none');
  offenders.note(bad, 0);
  t.equal(shakes(0), HANDSHAKES.burst, 'so a good neighbour there gets in still');
  t.equal(shakes(1000), HANDSHAKES.perSecond);
  t.ok(offenders.mayShake(replica.address, 1000));
  t.equal(shakes(FIRST_HOLD_MS), 1000, 'it ends with the hold');
});

test('a second offender does not shorten the budget of an address', async (t) => {
  const offenders = new Offenders();
  offenders.note(bad, 0);
  offenders.note(bad, FIRST_HOLD_MS);
  offenders.note(neighbour, FIRST_HOLD_MS);
  for (let i = 0; i < HANDSHAKES.burst; i += 1) offenders.mayShake(bad.address, FIRST_HOLD_MS);
  const later = 2 * FIRST_HOLD_MS;
  for (let i = 0; i < HANDSHAKES.burst; i += 1) offenders.mayShake(bad.address, later);
  t.notOk(offenders.mayShake(bad.address, later));
});

test('what is remembered is bounded, and the oldest goes first', async (t) => {
  const offenders = new Offenders();
  const peer = (i: number) => ({ ...bad, address: `10.1.${i >> 8}.${i & 255}` });
  for (let i = 0; i <= MOST_OFFENDERS; i += 1) offenders.note(peer(i), 0);
  t.equal(offenders.heldMs(peer(0), 1), 0);
  t.ok(offenders.heldMs(peer(1), 1) > 0);
  t.ok(offenders.heldMs(peer(MOST_OFFENDERS), 1) > 0);
  for (let i = 0; i < 50; i += 1) t.ok(offenders.mayShake(peer(0).address, 1));
});
