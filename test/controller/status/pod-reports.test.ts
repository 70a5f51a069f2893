/** What is written about pods, with the writes kept in a list in place of an API server. */
import { test, type Test } from 'tap';
import type { ProofReport } from '#common/control/reports.ts';
import type { PodCondition, PodStatus } from '../../../controller/kube/pod-status.ts';
import { PodReports } from '../../../controller/status/pod-reports.ts';
import { ProofBoard } from '../../../controller/status/proof-board.ts';
import { WriteQueue } from '../../../controller/status/write-queue.ts';
import { eventually } from '../../helpers/control-rig.ts';
import { silent } from '../../helpers/silent-log.ts';

const pod = { podUid: 'u1', namespace: 'shop', name: 'cart' };
const MINUTE = 60_000;

async function setUp(t: Test) {
  let nowMs = 1_000_000;
  const conditions: PodCondition[] = [];
  const other: string[] = [];
  const pods: PodStatus = {
    setCondition: async (_pod, condition) => void conditions.push(condition),
    removeCondition: async ({ name }, type) => void other.push(`remove ${name} ${type}`),
    warn: async ({ name }, { reason, message }) => void other.push(`${name} ${reason}: ${message}`),
  };
  const board = new ProofBoard(() => 'n1');
  const queue = new WriteQueue({ name: 'test', log: silent, perSecond: 1000 });
  await queue.start();
  t.teardown(async () => queue.stop());
  const rowsOf = (uid: string): ProofReport[] => board.rowsOf(uid);
  const reports = new PodReports({ pods, queue, rowsOf, now: () => nowMs });
  const proof = async (outcome: 'captured' | 'not-captured', reason = ''): Promise<void> => {
    const base = { ...pod, family: 4 as const, outcome, reason, atMs: nowMs };
    const rows = (['inbound', 'outbound'] as const).map((direction) => ({ ...base, direction }));
    reports.take(board.take('n1', rows));
    await eventually(() => queue.depth === 0, 'written');
    await new Promise((resolve) => setImmediate(resolve));
    const last = conditions.at(-1);
    if (last !== undefined && follows) reports.seen(pod.podUid, last.status === 'True');
  };
  let follows = true;
  /** From here on somebody else writes what the API server has. */
  const unfollow = (): void => void (follows = false);
  const pass = (ms: number): void => void (nowMs += ms);
  return { reports, queue, conditions, other, proof, pass, unfollow };
}

test('PodReports writes a verdict once, and again when it has changed', async (t) => {
  const { conditions, other, proof, pass } = await setUp(t);
  await proof('captured');
  t.match(conditions, [{ status: 'True', reason: 'Proven', probedMs: 1_000_000 }]);
  pass(MINUTE);
  await proof('captured');
  t.equal(conditions.length, 1, 'nothing new');
  await proof('not-captured', 'somebody flushed the rules');
  t.match(conditions[1], { status: 'False', reason: 'NotCaptured', changedMs: 1_060_000 });
  t.match(other, [/^cart NotCaptured: .*somebody flushed the rules/]);
  pass(MINUTE);
  await proof('captured');
  t.match(conditions[2], { status: 'True', changedMs: 1_120_000 });
});

test('PodReports renews the time of the proof now and then, not the time of the change', async (t) => {
  const { conditions, proof, pass } = await setUp(t);
  await proof('captured');
  pass(31 * MINUTE);
  await proof('captured');
  t.match(conditions[1], {
    status: 'True',
    probedMs: 1_000_000 + 31 * MINUTE,
    changedMs: 1_000_000,
  });
});

test('PodReports does not write again what another replica has written', async (t) => {
  const { reports, conditions, proof } = await setUp(t);
  reports.seen(pod.podUid, true);
  await proof('captured');
  t.strictSame(conditions, []);
  await proof('not-captured', 'x');
  t.match(conditions, [{ status: 'False' }], 'but what is different');
});

test('PodReports puts right what another replica has written meanwhile', async (t) => {
  const { reports, conditions, proof, unfollow } = await setUp(t);
  await proof('captured');
  unfollow();
  reports.seen(pod.podUid, false);
  await proof('captured');
  t.match(conditions, [{ status: 'True' }, { status: 'True' }]);
});

test('PodReports repeats a warning only after some minutes', async (t) => {
  const { other, proof, pass } = await setUp(t);
  await proof('not-captured', 'x');
  pass(9 * MINUTE);
  await proof('not-captured', 'x');
  t.equal(other.length, 1);
  pass(MINUTE);
  await proof('not-captured', 'x');
  t.equal(other.length, 2);
});

test('PodReports takes the condition of a pod back that has left the mesh', async (t) => {
  const { reports, queue, other, proof } = await setUp(t);
  reports.withdraw(pod);
  await proof('captured');
  t.strictSame(other, [], 'there was none');
  reports.withdraw(pod);
  await eventually(() => queue.depth === 0 && other.length === 1, 'taken back');
  t.strictSame(other, ['remove cart plumbline.dev/Captured']);
});
