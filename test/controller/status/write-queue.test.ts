import { test, type Test } from 'tap';
import { MeshError } from '#common/errors.ts';
import { WriteQueue } from '../../../controller/status/write-queue.ts';
import { eventually } from '../../helpers/control-rig.ts';
import { silent } from '../../helpers/silent-log.ts';

async function setUp(t: Test, perSecond = 1000) {
  const queue = new WriteQueue({ name: 'test', log: silent, perSecond });
  const done: string[] = [];
  const write = (what: string) => async (): Promise<void> => void done.push(what);
  t.teardown(async () => queue.stop());
  return { queue, done, write };
}

const failure = (status: number): MeshError =>
  new MeshError('KUBERNETES_API_FAILED', 'Cannot write', { details: { status } });

test('WriteQueue writes each key once, as it was asked for last', async (t) => {
  const { queue, done, write } = await setUp(t);
  queue.put('a', write('a1'));
  queue.put('b', write('b1'));
  queue.put('a', write('a2'));
  queue.put('c', write('c1'));
  queue.forget('c');
  t.equal(queue.depth, 2);
  await queue.start();
  await eventually(() => queue.depth === 0 && done.length === 2, 'written');
  t.strictSame(done, ['a2', 'b1']);
  t.equal(queue.written, 2);
});

test('WriteQueue tries again what failed, and loses nothing', async (t) => {
  const { queue, done, write } = await setUp(t);
  let failures = 0;
  queue.put('a', async () => {
    failures += 1;
    if (failures === 1) throw failure(0);
    done.push('a');
  });
  queue.put('b', write('b'));
  await queue.start();
  await eventually(() => done.length === 2, 'both', 15_000);
  t.strictSame(done, ['b', 'a']);
  t.equal(queue.dropped, 0);
});

test('WriteQueue drops what is refused for good, and goes on with the next', async (t) => {
  const { queue, done, write } = await setUp(t);
  queue.put('a', async () => {
    throw failure(422);
  });
  queue.put('b', write('b'));
  await queue.start();
  await eventually(() => done.length === 1, 'the next');
  t.strictSame([queue.dropped, queue.depth], [1, 0]);
});

test('WriteQueue tries again what is forbidden: a server that starts knows no rights yet', async (t) => {
  const { queue, done, write } = await setUp(t);
  let refused = 0;
  queue.put('a', async () => {
    refused += 1;
    if (refused === 1) throw failure(403);
    done.push('a');
  });
  queue.put('b', write('b'));
  await queue.start();
  await eventually(() => done.length === 2, 'both', 15_000);
  t.strictSame([done, queue.dropped], [['b', 'a'], 0]);
});

test('WriteQueue keeps to its rate', async (t) => {
  const { queue, done, write } = await setUp(t, 20);
  const beganMs = performance.now();
  for (let i = 0; i < 5; i += 1) queue.put(`${i}`, write(`${i}`));
  await queue.start();
  await eventually(() => done.length === 5, 'all');
  t.ok(performance.now() - beganMs >= 190, 'four waits of 50 ms');
});
