import { mkdtempSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { test, type Test } from 'tap';
import { createLogger } from '../../common/log.ts';
import { bind, closeFd, listen, localOf, socket } from '../../common/sys/libc.ts';
import { bindUnix, unixSocket } from '../../common/sys/unix-socket.ts';
import type { PodListeners } from '../../node-agent/data/data-plane.ts';
import type { Giving } from '../../node-agent/data/live-handover.ts';
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
  const server = new HandoverServer({
    path,
    log,
    prepare: async () => undefined,
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
  return { path, server, fd, port: localOf(fd)?.port ?? 0, taken: taken.promise, lines };
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
  const { path, server, taken, lines } = setUp(t);
  await server.start();
  const first = await takeOver(path, never);
  first?.cancel();
  const second = await takeOver(path, never);
  t.match(second?.pods, [{ podUid: 'p1' }]);
  t.notOk(lines.some((line) => line.includes('took the listeners')));
  await second?.confirm();
  await taken;
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
