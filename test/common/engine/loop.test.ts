/** The loop: order inside a pass, faults, descriptors that come back, and signals from outside. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { test } from 'tap';
import type { Test } from 'tap';
import { HANGUP, Loop, READABLE, WRITABLE } from '#common/engine/loop.ts';
import { openEvent, signalEvent } from '#common/sys/epoll.ts';
import { closeFd, recv, send } from '#common/sys/libc.ts';
import { newSlab } from '#common/sys/slab.ts';
import { unixPair } from '#common/sys/unix-socket.ts';

const slab = newSlab(64);

function setUp(t: Test): { loop: Loop; errors: unknown[] } {
  const errors: unknown[] = [];
  const loop = new Loop({ onError: (error) => errors.push(error) });
  t.after(() => loop.close());
  return { loop, errors };
}

function pair(t: Test): readonly [number, number] {
  const made = unixPair();
  if (made === undefined) throw new Error('no socket pair');
  t.after(() => made.forEach(closeFd));
  return made;
}

test('Loop.pass() runs events, then tasks of this pass, then timers, then the end', async (t) => {
  const { loop } = setUp(t);
  const [near, far] = pair(t);
  const order: string[] = [];
  loop.add(near, {
    onEvents: () => {
      order.push('event');
      loop.atPassEnd({
        run: () => {
          order.push('end');
          if (order.length < 10) loop.atPassEnd({ run: () => order.push('end of the end') });
        },
      });
      loop.soon({ run: () => order.push('soon of the next pass') });
    },
  });
  loop.soon({
    run: () => {
      order.push('soon');
      loop.soon({ run: () => order.push('soon later') });
    },
  });
  send(far, slab, 0, 1);
  loop.pass(0);
  loop.remove(near);
  const first = order.splice(0);
  t.strictSame(first, ['event', 'soon', 'soon of the next pass', 'end', 'end of the end']);
  loop.pass(1000);
  t.strictSame(order, ['soon later'], 'a pass with tasks does not wait');
});

test('Loop.pass() survives whatever a handler throws, and tells its owner', async (t) => {
  const { loop, errors } = setUp(t);
  const [near, far] = pair(t);
  const faults: unknown[] = [];
  const boom = (name: string): never => {
    throw new Error(name);
  };
  loop.add(near, { onEvents: () => boom('event'), onFault: (error) => faults.push(error) });
  loop.soon({ run: () => boom('soon'), onFault: () => boom('fault') });
  loop.atPassEnd({ run: () => boom('end') });
  loop.timers.after(0, { run: () => boom('timer') });
  send(far, slab, 0, 1);
  loop.pass(0);
  loop.remove(near);
  while (loop.timers.armed > 0) loop.pass(100);
  const messages = errors.map((error) => (error instanceof Error ? error.message : ''));
  t.strictSame(messages, ['event', 'soon', 'fault', 'end', 'timer']);
  t.equal(faults.length, 1);
});

test('Loop does not give an event to the successor of a descriptor', async (t) => {
  const { loop } = setUp(t);
  const seen: string[] = [];
  const [a, b] = pair(t);
  const [c, d] = pair(t);
  // Both are readable in one pass; whoever comes first replaces the other one.
  const replace = (mine: number, other: number) => ({
    onEvents: () => {
      seen.push('first');
      loop.remove(mine);
      loop.remove(other);
      loop.addListener(other, { onEvents: () => seen.push('successor') });
    },
  });
  loop.addListener(a, replace(a, c));
  loop.addListener(c, replace(c, a));
  send(b, slab, 0, 1);
  send(d, slab, 0, 1);
  loop.pass(0);
  t.strictSame(seen, ['first'], 'the stale event of this pass is dropped');
  loop.pass(0);
  t.strictSame(seen, ['first', 'successor'], 'its own comes in the next');
  loop.remove(a);
  loop.remove(c);
});

test('Loop.add() is edge-triggered, Loop.addListener() level-triggered', async (t) => {
  const { loop } = setUp(t);
  const [a, b] = pair(t);
  const [c, d] = pair(t);
  const events: number[] = [];
  let told = 0;
  loop.add(a, { onEvents: (set) => events.push(set) });
  loop.addListener(c, { onEvents: () => (told += 1) });
  loop.pass(0);
  t.strictSame(events.splice(0), [WRITABLE], 'its state at first');
  send(b, slab, 0, 1);
  send(d, slab, 0, 1);
  for (let i = 0; i < 3; i += 1) loop.pass(0);
  t.strictSame(events.splice(0), [READABLE | WRITABLE], 'once for one change');
  t.equal(told, 3, 'again for as long as it lasts');
  recv(c, slab, 0, 64);
  closeFd(b);
  loop.pass(0);
  t.ok(((events[0] ?? 0) & HANGUP) !== 0, 'the peer has gone');
});

test('Loop.run() ends after stop(), woken by another thread', async (t) => {
  const { loop } = setUp(t);
  const code = `
    const { workerData } = require('node:worker_threads');
    import(workerData.url).then(({ signalEvent }) => {
      signalEvent(workerData.fd);
      signalEvent(workerData.fd);
    });`;
  const url = new URL('../../../common/sys/epoll.ts', import.meta.url).href;
  const workerData = { url, fd: loop.wake() };
  const worker = new Worker(code, { eval: true, workerData, execArgv: [] });
  const started = process.hrtime.bigint();
  let woken = 0;
  loop.run(() => {
    woken += 1;
    loop.stop();
  });
  t.equal(woken, 1);
  t.ok(process.hrtime.bigint() - started < 10_000_000_000n);
  await once(worker, 'exit');
});

test('Loop.add() says which descriptor it cannot watch', async (t) => {
  const { loop } = setUp(t);
  t.throws(() => loop.add(9999, { onEvents: () => undefined }), /descriptor 9999/);
  const event = openEvent();
  loop.addListener(event, { onEvents: () => undefined });
  t.equal(signalEvent(event), 8);
  loop.remove(event);
  loop.remove(event);
  closeFd(event);
});

test('Loop.paced() runs a task once, not before its time, and does not sleep past it', async (t) => {
  const { loop } = setUp(t);
  const runs: number[] = [];
  const from = performance.now();
  loop.paced(5, { run: () => runs.push(1) });
  loop.pass(0);
  if (performance.now() - from < 5) t.equal(runs.length, 0, 'not yet');
  while (runs.length === 0) loop.pass(1000);
  const took = performance.now() - from;
  t.ok(took >= 5 && took < 500, `after ${took.toFixed(1)} ms`);
  loop.pass(0);
  t.equal(runs.length, 1);
});
