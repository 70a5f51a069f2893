/** What a pod is said to be after its rules were repaired. */
import { test } from 'tap';
import {
  CONTESTED_MS,
  CONTESTED_REPAIRS,
  contestedBy,
  forgetProof,
  noteRepair,
} from '../../../node-agent/capture/pod-capture.ts';

test('contestedBy() names repairs that come again and again, and forgets them', async (t) => {
  const entry = { repairs: 0, repairedAt: [] as readonly number[] };
  for (let i = 1; i <= CONTESTED_REPAIRS; i += 1) {
    t.equal(contestedBy(entry.repairedAt, i * 1000), '', `${i - 1} repairs are an accident`);
    noteRepair(entry, i * 1000);
  }
  t.equal(entry.repairs, 3);
  const reason = 'rules are changed by somebody else: 3 repairs in the last 30 s';
  t.equal(contestedBy(entry.repairedAt, 4000), reason);
  t.equal(contestedBy(entry.repairedAt, 1000 + CONTESTED_MS - 1), reason);
  t.equal(contestedBy(entry.repairedAt, 1000 + CONTESTED_MS), '', 'the first is too long ago');
});

test('noteRepair() remembers no more than it needs', async (t) => {
  const entry = { repairs: 0, repairedAt: [] as readonly number[] };
  for (let i = 0; i < 10_000; i += 1) noteRepair(entry, i);
  t.equal(entry.repairs, 10_000);
  t.equal(entry.repairedAt.length, 100);
});

test('forgetProof() takes back what was proven, and no refusal', async (t) => {
  const proven = { proven: true as boolean | undefined, reason: '', since: 1 };
  forgetProof(proven);
  t.equal(proven.proven, undefined);
  t.equal(proven.reason, 'repaired, and not probed since');
  const refused = { proven: false as boolean | undefined, reason: 'nobody answered', since: 1 };
  forgetProof(refused);
  t.strictSame(refused, { proven: false, reason: 'nobody answered', since: 1 });
});
