import { test } from 'tap';
import type { LeaseRecord } from '../../../controller/kube/lease-store.ts';
import { mayTake, released, sight, taken } from '../../../controller/lead/election.ts';

const record: LeaseRecord = {
  holder: 'a',
  durationSeconds: 15,
  acquireTime: '2026-01-01T00:00:00.000000Z',
  renewTime: '2026-01-01T00:00:10.000000Z',
  transitions: 3,
};
const stored = { record, revision: '7' };
const wallMs = Date.parse('2026-01-01T00:01:00Z');

test('mayTake() lets nobody in but the holder until nothing has changed for the whole duration', async (t) => {
  const seen = sight(undefined, stored, 1000);
  t.equal(mayTake(seen, 'a', 1000), true, 'its holder renews');
  t.equal(mayTake(seen, 'b', 1000), false);
  t.equal(mayTake(seen, 'b', 15_999), false);
  t.equal(mayTake(seen, 'b', 16_000), true);
  const again = sight(seen, stored, 9000);
  t.equal(mayTake(again, 'b', 16_000), true, 'seen again, not changed');
  const renewed = sight(seen, { ...stored, revision: '8' }, 9000);
  t.equal(mayTake(renewed, 'b', 23_999), false, 'a change starts the time anew');
  t.equal(mayTake(renewed, 'b', 24_000), true);
});

test('mayTake() lets anybody in when there is no lease, or it was given back', async (t) => {
  t.equal(mayTake(sight(undefined, undefined, 0), 'b', 0), true);
  const free = { record: released(record, wallMs), revision: '9' };
  t.equal(mayTake(sight(undefined, free, 0), 'b', 0), true);
});

test('taken() counts transitions, and keeps the time at which the same holder acquired', async (t) => {
  const times = { wallMs, durationMs: 15_000 };
  const renewTime = '2026-01-01T00:01:00.000000Z';
  t.strictSame(taken(record, 'a', times), { ...record, renewTime });
  t.strictSame(taken(record, 'b', times), {
    holder: 'b',
    durationSeconds: 15,
    acquireTime: renewTime,
    renewTime,
    transitions: 4,
  });
  t.match(taken(undefined, 'b', times), { holder: 'b', transitions: 0 });
  t.match(taken(released(record, wallMs), 'b', times), { holder: 'b', transitions: 4 });
});
