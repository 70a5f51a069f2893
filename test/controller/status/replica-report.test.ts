import { test } from 'tap';
import {
  decodeReport,
  otherAgents,
  seeReports,
  type ReplicaReport,
} from '../../../controller/status/replica-report.ts';

const ROOT = 'a'.repeat(64);

function report(replica: string, over: Partial<ReplicaReport> = {}): ReplicaReport {
  return {
    format: 1,
    replica,
    beat: 1,
    trustGeneration: 2,
    agents: 1,
    rotating: [{ node: 'n1', generation: 2, authorities: [ROOT] }],
    changed: [],
    ...over,
  };
}

const seen = (...reports: ReplicaReport[]) => seeReports(new Map(), reports, 0).values();
const asking = { me: 'a', generation: 2 };

test('otherAgents() are those of the other replicas, as they say of themselves', async (t) => {
  t.strictSame(otherAgents(seen(report('a'), report('b')), asking), [
    { node: 'n1', generation: 2, authorities: [ROOT] },
  ]);
  const silent = report('b', { rotating: [{ node: 'n1', generation: 2, authorities: null }] });
  t.match(otherAgents(seen(silent), asking), [{ node: 'n1', authorities: undefined }]);
});

test('otherAgents() lets a replica block that has not said how its agents stand', async (t) => {
  for (const late of [report('b', { rotating: null }), report('b', { trustGeneration: 1 })]) {
    t.match(otherAgents(seen(late), asking), [{ node: '(agents of b)', generation: 0 }]);
  }
});

test('seeReports() keeps the age of a report that has not changed', async (t) => {
  const first = seeReports(new Map(), [report('b')], 10);
  const second = seeReports(first, [report('b'), report('c')], 20);
  t.match([...second.values()], [{ changedMs: 10 }, { changedMs: 20 }]);
  t.equal(seeReports(second, [report('b', { beat: 2 })], 30).get('b')?.changedMs, 30);
});

test('decodeReport() takes a report, and nothing that is not exactly one', async (t) => {
  t.strictSame(decodeReport(JSON.stringify(report('b'))), report('b'));
  for (const bad of ['{}', '[]', 'x', JSON.stringify({ ...report('b'), more: 1 })]) {
    t.throws(() => decodeReport(bad), { code: 'MESSAGE_INVALID' });
  }
});
