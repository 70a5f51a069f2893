import { mkdtempSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { test, type Test } from 'tap';
import { createLogger } from '../../common/log.ts';
import { accept, bind, closeFd, listen, localOf, socket } from '../../common/sys/libc.ts';
import { memoryFile } from '../../common/sys/memory-file.ts';
import { bindUnix, unixPair, unixSocket } from '../../common/sys/unix-socket.ts';
import type { PodListeners } from '../../node-agent/data/data-plane.ts';
import { unitsOf } from '../../node-agent/data/live-handover.ts';
import type { GivenPart, Giving, Taking } from '../../node-agent/data/live-handover.ts';
import { Link } from '../../node-agent/handover-link.ts';
import { HandoverServer } from '../../node-agent/handover.ts';
import { takeOver as takeOverWith } from '../../node-agent/takeover.ts';
import type { Takeover } from '../../node-agent/takeover.ts';
import { silent } from '../helpers/silent-log.ts';

const nothing: Giving = { parts: [], units: 0, problem: '', settle: async () => undefined };

const never = new AbortController().signal;

async function takeOver(path: string, signal: AbortSignal): Promise<Takeover | undefined> {
  return takeOverWith(path, { signal, timeoutMs: 2000, log: silent });
}

function setUp(t: Test, give = (): Giving => nothing) {
  const lines: string[] = [];
  const { log } = createLogger({
    format: 'json',
    level: 'info',
    sink: { write: (l) => lines.push(l) > 0 },
  });
  // A short path: the name of a socket has 108 bytes at most.
  const directory = mkdtempSync('/tmp/plumb-handover-');
  const path = `${directory}/h.sock`;
  const fd = socket(4);
  bind(fd, '127.0.0.1', 0);
  listen(fd);
  const pods: PodListeners[] = [{ podUid: 'p1', listeners: [{ service: 'outbound', fd }] }];
  const taken = Promise.withResolvers<void>();
  const resting: boolean[] = [];
  const server = new HandoverServer({
    path,
    log,
    prepare: async () => undefined,
    taking: (isTaking) => resting.push(isTaking),
    listeners: () => pods,
    give: async () => give(),
    given: async () => undefined,
    left: () => 0,
    drainMs: 1000,
    taken: () => taken.resolve(),
  });
  t.after(async () => {
    await server.stop();
    closeFd(fd);
    rmSync(directory, { recursive: true });
  });
  return { path, server, fd, port: localOf(fd)?.port ?? 0, taken: taken.promise, lines, resting };
}

test('takeOver() finds nobody when there is no predecessor', async (t) => {
  const { path } = setUp(t);
  t.equal(await takeOver(path, never), undefined);
});

test('takeOver() receives the very listener, with the connection that waits in its queue', async (t) => {
  const { path, server, fd, port, taken } = setUp(t);
  await server.start();
  const early = connect(port, '127.0.0.1');
  t.after(() => early.destroy());
  await once(early, 'connect');
  const takeover = await takeOver(path, never);
  const got = takeover?.pods[0]?.listeners[0];
  t.match(takeover?.pods, [{ podUid: 'p1', listeners: [{ service: 'outbound' }] }]);
  t.not(got?.fd, fd);
  const successor: Server = createServer((client) => client.end('from the successor'));
  t.after(() => successor.close());
  successor.listen({ fd: got?.fd ?? -1 });
  await takeover?.confirm();
  await taken;
  const [answer] = await once(early, 'data');
  t.equal(String(answer), 'from the successor');
});

test('a hand-over that is cut leaves the predecessor in service for the next', async (t) => {
  const { path, server, taken, lines, resting } = setUp(t);
  await server.start();
  const first = await takeOver(path, never);
  first?.cancel();
  const second = await takeOver(path, never);
  t.match(second?.pods, [{ podUid: 'p1' }]);
  t.notOk(lines.some((line) => line.includes('took the listeners')));
  await second?.confirm();
  await taken;
  t.strictSame(resting, [true, false, true], 'rests while somebody takes over, and no longer');
  t.ok(lines.some((line) => line.includes('took the listeners')));
});

test('takeOver() gives up when its caller does', async (t) => {
  const { path } = setUp(t);
  const mute = unixSocket();
  t.after(() => closeFd(mute));
  bindUnix(mute, path);
  listen(mute);
  await t.rejects(takeOver(path, AbortSignal.timeout(50)), { name: 'TimeoutError' });
});

/** What a worker would give: files of its own, and one end of a socket. */
function giving(settled: boolean[]): Giving {
  const memory = memoryFile('units', [Buffer.from('1 {"podUid":"p1"}\n')]);
  const bytes = memoryFile('bytes', []);
  const [near = -1, far = -1] = unixPair() ?? [];
  return {
    parts: [{ memory, bytes, descriptors: [near] }],
    units: 1,
    problem: '',
    settle: async (isOurs) => {
      settled.push(isOurs);
      for (const fd of [memory, bytes, near, far]) closeFd(fd);
    },
  };
}

function taking(settled: boolean[], problem = '') {
  const seen: { units: number; state: string }[] = [];
  return {
    seen,
    take: async (parts: readonly GivenPart[]): Promise<Taking> => {
      for (const part of parts) {
        for (const { state, descriptors } of unitsOf(part)) {
          seen.push({ units: descriptors.length, state });
          for (const fd of descriptors) closeFd(fd);
        }
        closeFd(part.memory);
        closeFd(part.bytes);
      }
      return { units: seen.length, problem, settle: async (isOurs) => void settled.push(isOurs) };
    },
  };
}

test('live connections are the successor’s once both have said so', async (t) => {
  const [here, there]: boolean[][] = [[], []];
  const { path, server, taken } = setUp(t, () => giving(here ?? []));
  await server.start();
  const { seen, take } = taking(there ?? []);
  const takeover = await takeOver(path, never);
  const { rest } = (await takeover?.live({ podUids: ['p1'], take })) ?? {};
  await rest;
  await taken;
  t.strictSame(seen, [{ units: 1, state: '{"podUid":"p1"}' }]);
  t.strictSame({ here, there }, { here: [false], there: [true] });
});

test('what a successor cannot take up stays, is offered again, and drains in the end', async (t) => {
  const [here, there]: boolean[][] = [[], []];
  const { path, server, taken } = setUp(t, () => giving(here ?? []));
  await server.start();
  const { take } = taking(there ?? [], 'a pod is missing');
  const takeover = await takeOver(path, never);
  await takeover?.live({ podUids: ['p1'], take });
  await taken;
  t.strictSame({ here, there }, { here: [true, true, true], there: [false, false, false] });
});

test('a successor that takes too long has taken nothing', async (t) => {
  const [here, there]: boolean[][] = [[], []];
  const { path, server, taken } = setUp(t, () => giving(here ?? []));
  await server.start();
  const { take } = taking(there ?? []);
  const takeover = await takeOver(path, never);
  await takeover?.live({
    podUids: ['p1'],
    take: async (parts) => {
      const made = await take(parts);
      // Longer than the predecessor holds still: it has taken everything back by then.
      await delay(2200);
      return made;
    },
  });
  await taken;
  t.strictSame({ here, there }, { here: [true, true, true], there: [false, false, false] });
});

test('a predecessor that hangs before it says `yours` can say it no more afterwards', async (t) => {
  const { path } = setUp(t);
  const listening = unixSocket();
  t.after(() => closeFd(listening));
  bindUnix(listening, path);
  listen(listening);
  const settled: boolean[] = [];
  const { take } = taking(settled);
  const options = { signal: never, timeoutMs: 300, log: silent };
  const successor = takeOverWith(path, options).then(async (takeover) =>
    takeover?.live({ podUids: [], take }),
  );
  const link = new Link(accept(listening), never);
  t.after(() => link.close());
  t.match(await link.receive(1000), { message: { ask: 'take' } });
  await link.send({ pods: 0, state: 1 });
  t.match(await link.receive(1000), { message: { ask: 'give', state: 1 } });
  await link.send({ round: 1, parts: [] });
  t.match(await link.receive(1000), { message: { ask: 'restored', round: 1 } });
  await successor;
  t.strictSame(settled, [false]);
  await t.rejects(link.send({ yours: 1 }), { message: /EPIPE/ });
  t.match(await link.receive(1000), { message: { ask: 'took' } }, 'it has been told');
});
