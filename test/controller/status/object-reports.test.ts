import { test } from 'tap';
import { ObjectReports } from '../../../controller/status/object-reports.ts';
import type { Complaint, ObjectStatus } from '../../../controller/status/object-conditions.ts';
import type { ReplicaReport } from '../../../controller/status/replica-report.ts';

const ID = 'authorizationpolicies shop/admins';
const good = (generation: number) => ({ generation, complaints: [], isReplaced: false });

/** A leader with agents at these versions; the clock is turned by hand. */
function setUp() {
  let nowMs = 0;
  const world = {
    applied: [1, 1],
    version: 1,
    others: [] as ReplicaReport[],
    warnings: [] as Complaint[],
  };
  const written: ObjectStatus[] = [];
  const reports = new ObjectReports({
    appliedVersions: () => world.applied,
    meshVersion: () => world.version,
    others: () => world.others,
    warningsOf: () => world.warnings,
    write: (_id, status) => void written.push(status),
    now: () => nowMs,
  });
  const pass = (ms: number): void => {
    nowMs += ms;
    reports.update();
  };
  return { reports, world, written, pass };
}

function other(changed: ReplicaReport['changed'], agents = 3): ReplicaReport {
  const base = { format: 1 as const, replica: 'b', beat: 1, trustGeneration: 1, rotating: null };
  return { ...base, agents, changed };
}

const programmed = (status: ObjectStatus | undefined) =>
  status?.conditions.find(({ type }) => type === 'Programmed');

test('ObjectReports writes what was accepted, and that it is in force once all agents have it', async (t) => {
  const { reports, world, written, pass } = setUp();
  reports.judged(ID, good(1));
  world.version = 2;
  pass(499);
  t.strictSame(written, [], 'the model may not have it yet');
  pass(1);
  t.equal(written.length, 1);
  t.match(programmed(written[0]), { status: 'False', reason: 'Pending', message: /at 0\/2 nodes/ });
  world.applied = [2, 1];
  pass(1000);
  t.equal(written.length, 1, 'one node more is not worth a write');
  world.applied = [2, 2];
  pass(1000);
  t.match(programmed(written[1]), { status: 'True', message: 'in force at 2/2 nodes' });
  pass(1000);
  t.equal(written.length, 2, 'and nothing more');
});

test('ObjectReports counts the agents of other replicas', async (t) => {
  const { reports, world, written, pass } = setUp();
  reports.judged(ID, good(2));
  world.others = [other([{ object: ID, generation: 1, applied: 3 }])];
  pass(500);
  t.match(programmed(written[0]), { message: /at 2\/5/ }, 'the other has the former generation');
  world.others = [other([{ object: ID, generation: 2, applied: 2 }])];
  pass(1000);
  t.equal(written.length, 1);
  world.others = [other([{ object: ID, generation: 2, applied: 3 }])];
  pass(1000);
  t.match(programmed(written[1]), { status: 'True', message: /at 5\/5/ });
});

test('ObjectReports takes silence of another replica for "long in force", but only after a while', async (t) => {
  const { reports, world, written, pass } = setUp();
  world.others = [other([])];
  reports.judged(ID, good(1));
  pass(500);
  t.match(programmed(written[0]), { message: /at 2\/5/ });
  pass(15_000);
  t.match(programmed(written[1]), { status: 'True', message: /at 5\/5/ });
});

test('ObjectReports says of a refused object which field, and what holds instead', async (t) => {
  const { reports, written, pass } = setUp();
  const complaints = [{ field: 'spec.rulez', message: 'no such field' }];
  reports.judged(ID, { generation: 1, complaints, isReplaced: true });
  pass(500);
  t.match(written[0]?.conditions, [
    {
      type: 'Accepted',
      status: 'False',
      reason: 'Invalid',
      message: /spec.rulez: no such field; the strictest/,
    },
    { type: 'Programmed', status: 'True' },
  ]);
  reports.judged(ID, { generation: 2, complaints, isReplaced: false });
  pass(500);
  t.match(written[1]?.conditions, [
    { status: 'False', message: /nothing of it is in force/ },
    { status: 'False', reason: 'Invalid' },
  ]);
  reports.judged(ID, good(3));
  pass(500);
  t.match(written[2], { generation: 3, conditions: [{ status: 'True' }, { status: 'True' }] });
});

test('ObjectReports says what an author should know of an object that was taken', async (t) => {
  const { reports, world, written, pass } = setUp();
  world.warnings = [{ field: 'spec.rules[0]', message: 'needs HTTP, so it never matches' }];
  reports.judged(ID, good(1));
  pass(500);
  t.match(written[0]?.conditions[0], {
    status: 'True',
    reason: 'AcceptedWithWarnings',
    message: 'spec.rules[0]: needs HTTP, so it never matches',
  });
});

test('ObjectReports writes all anew when it begins to lead, and nothing of what is gone', async (t) => {
  const { reports, written, pass } = setUp();
  reports.judged(ID, good(1));
  reports.judged('other shop/x', good(1));
  pass(500);
  t.equal(written.length, 2);
  reports.gone('other shop/x');
  reports.startAfresh();
  pass(1000);
  t.equal(written.length, 3);
});

test('ObjectReports.changed() speaks of an object for a minute after it has changed', async (t) => {
  const { reports, pass } = setUp();
  reports.judged(ID, good(1));
  pass(500);
  t.strictSame(reports.changed(), [{ object: ID, generation: 1, applied: 2 }]);
  pass(60_000);
  t.strictSame(reports.changed(), []);
});
