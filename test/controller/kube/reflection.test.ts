import { test } from 'tap';
import { JsonLines } from '../../../controller/kube/json-lines.ts';
import { BACKOFF, BEGINNING, nextStep, type Outcome } from '../../../controller/kube/pace.ts';
import {
  Reflection,
  type Change,
  type Reading,
  type Taken,
} from '../../../controller/kube/reflection.ts';
import { backoffMs } from '#common/backoff.ts';

/** A node, as a list or a watch has it; `bad` reads as nothing. */
function raw(name: string, version: string, zone = 'a'): object {
  return { metadata: { name, resourceVersion: version, labels: { zone } } };
}

function read(value: any): Reading {
  const { name, labels } = value.metadata;
  const meta = { name, namespace: '', labels, annotations: {}, createdMs: 0 };
  return { key: name, object: labels.zone === 'bad' ? undefined : { kind: 'Node', meta } };
}

function listed(...items: object[]): Reflection {
  const reflection = new Reflection(read);
  list(reflection, '10', ...items);
  return reflection;
}

function list(reflection: Reflection, version: string, ...items: object[]): string[] {
  reflection.beginList();
  for (const item of items) reflection.takePage([item]);
  return spell(reflection.endList(version));
}

function spell(changes: readonly Change[]): string[] {
  return changes.map(({ type, key, object }) => `${type} ${key} ${object.meta.labels['zone']}`);
}

function spellTaken(taken: Taken): string[] {
  return taken.type === 'changes' ? spell(taken.changes) : [taken.type];
}

test('a first list is all of it, a later one its differences, deletions too', async (t) => {
  const reflection = new Reflection(read);
  t.equal(reflection.version, '');
  t.strictSame(list(reflection, '10', raw('a', '1'), raw('b', '2'), raw('c', '3')), [
    'set a a',
    'set b a',
    'set c a',
  ]);
  t.equal(reflection.version, '10');
  // The version of b differs, but nothing that was read of it.
  t.strictSame(list(reflection, '20', raw('b', '12'), raw('c', '13', 'z'), raw('d', '14')), [
    'set c z',
    'set d a',
    'delete a a',
  ]);
  t.strictSame(list(reflection, '30', raw('b', '12'), raw('c', '13', 'z'), raw('d', '14')), []);
});

test('a list that is broken off changes nothing', async (t) => {
  const reflection = listed(raw('a', '1'), raw('b', '2'));
  reflection.beginList();
  reflection.takePage([raw('c', '3')]);
  t.strictSame(list(reflection, '20', raw('a', '1')), ['delete b a']);
});

test('events of a watch become changes, and move the version', async (t) => {
  const reflection = listed(raw('a', '1'));
  const table: [string, object, string[], string][] = [
    ['ADDED', raw('b', '11'), ['set b a'], '11'],
    ['MODIFIED', raw('b', '12', 'z'), ['set b z'], '12'],
    ['MODIFIED', raw('b', '13', 'z'), [], '13'],
    ['BOOKMARK', { metadata: { resourceVersion: '40' } }, [], '40'],
    ['MODIFIED', raw('b', '41', 'bad'), ['delete b z'], '41'],
    ['DELETED', raw('b', '42'), [], '42'],
    ['DELETED', raw('a', '43', 'other'), ['delete a a'], '43'],
    ['DELETED', raw('never', '44'), [], '44'],
    ['MODIFIED', raw('late', '45'), ['set late a'], '45'],
  ];
  for (const [type, object, changes, version] of table) {
    t.strictSame(spellTaken(reflection.takeEvent({ type, object })), changes, `${type} ${version}`);
    t.equal(reflection.version, version);
  }
  t.equal(reflection.size, 1);
});

test('an ERROR event of 410 expires the version, any other is a failure', async (t) => {
  const reflection = listed(raw('a', '1'));
  const error = (code: number): object => ({ kind: 'Status', code, message: 'no' });
  t.match(reflection.takeEvent({ type: 'ERROR', object: error(410) }), { type: 'expired' });
  t.match(reflection.takeEvent({ type: 'ERROR', object: error(500) }), {
    type: 'failed',
    status: 500,
    message: 'no',
  });
  t.equal(reflection.version, '10', 'what to do about it is not for here');
  reflection.expire();
  t.equal(reflection.version, '');
  t.strictSame(list(reflection, '50', raw('a', '1')), [], 'what was known stayed known');
});

test('what is gone is forgotten, known to the mesh or not; a kind can be emptied', async (t) => {
  const forgotten: string[] = [];
  const reflection = new Reflection(read, (key) => forgotten.push(key));
  list(reflection, '10', raw('a', '1'), raw('b', '2', 'bad'), raw('c', '3'));
  reflection.takeEvent({ type: 'DELETED', object: raw('b', '11', 'bad') });
  t.strictSame(forgotten, ['b']);
  t.strictSame(spell(reflection.empty()), ['delete a a', 'delete c a']);
  t.strictSame(forgotten, ['b', 'a', 'c']);
  t.equal(reflection.version, '');
});

test('nextStep() says whether to wait and from where to go on', async (t) => {
  const after = (failures: number, refusals = 0) => ({ failures, refusals });
  const failed = (status: number, lastedMs = 0): Outcome => ({
    what: 'watch-failed',
    status,
    lastedMs,
  });
  const ended = (lastedMs: number): Outcome => ({ what: 'watch-ended', lastedMs });
  const table: [string, { failures: number; refusals: number }, Outcome, object][] = [
    ['a list, then a watch at once', BEGINNING, { what: 'listed' }, go(after(0))],
    ['a watch that ended in its time', after(3), ended(300_000), go(after(0))],
    ['a server that ends watches at once', after(0), ended(5), wait(after(1))],
    ['no answer: the version stays', after(0), failed(0), wait(after(1))],
    ['no answer, again and again', after(9), failed(0), wait(after(10))],
    ['a good watch that broke', after(9), failed(0, 60_000), wait(after(1))],
    ['refused once', after(0), failed(504), wait(after(1, 1))],
    ['a busy server', after(2, 2), failed(429), wait(after(3, 2))],
    ['a right that is missing', after(2, 2), failed(403), wait(after(3, 2))],
    ['refused three times', after(2, 2), failed(504), { ...wait(after(3, 0)), relists: true }],
    ['expired: list at once', after(0), { what: 'expired' }, { ...go(after(1)), relists: true }],
    [
      'expired again right after the list: wait',
      after(1),
      { what: 'expired' },
      { ...wait(after(2)), relists: true },
    ],
    ['a list that failed', after(1), { what: 'list-failed' }, { ...wait(after(2)), relists: true }],
  ];
  for (const [name, pace, outcome, step] of table)
    t.strictSame(nextStep(pace, outcome), step, name);

  function go(pace: object) {
    return { pace, waits: false, relists: false };
  }
  function wait(pace: object) {
    return { pace, waits: true, relists: false };
  }
});

test('waits begin at 0.8 to 1.6 s, end at 15 to 30 s, and never stop', async (t) => {
  const wait = (failures: number, random: number): number => backoffMs(failures, BACKOFF, random);
  t.strictSame([wait(1, 0), wait(1, 1)], [800, 1600]);
  t.strictSame([wait(1_000_000, 0), wait(1_000_000, 1)], [15_000, 30_000]);
});

test('JsonLines puts values together wherever they are cut', async (t) => {
  const values = [{ a: 'é€😀' }, [1, 2], { b: 'x'.repeat(300) }];
  const bytes = Buffer.from(values.map((one) => `${JSON.stringify(one)}\n`).join(''));
  for (const step of [1, 2, 3, 7, 64, bytes.length]) {
    const lines = new JsonLines();
    const found: unknown[] = [];
    for (let i = 0; i < bytes.length; i += step) {
      found.push(...lines.take(bytes.subarray(i, i + step)));
    }
    t.strictSame(found, values, `cut every ${step} bytes`);
  }
  t.strictSame(new JsonLines().take(Buffer.from('\n\n{"a":1}\n')), [{ a: 1 }]);
  t.throws(() => new JsonLines().take(Buffer.from('{"a":\n')), SyntaxError);
  const endless = new JsonLines();
  const chunk = Buffer.alloc(16 * 1024 * 1024, 0x20);
  endless.take(chunk);
  endless.take(chunk);
  t.throws(() => endless.take(chunk), RangeError);
});
