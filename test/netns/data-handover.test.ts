/** Live connections between two data planes of one process, where what is handed over can be damaged. */
import { test } from 'tap';
import { createLogger } from '#common/log.ts';
import { packUpdate } from '#common/mesh/pack.ts';
import { closeFd } from '#common/sys/libc.ts';
import { memoryFile } from '#common/sys/memory-file.ts';
import { receiveDescriptors, sendDescriptors, unixPair } from '#common/sys/unix-socket.ts';
import { DataPlane } from '../../node-agent/data/data-plane.ts';
import { giveLive, takeLive, unitsOf } from '../../node-agent/data/live-handover.ts';
import type { GivenPart } from '../../node-agent/data/live-handover.ts';
import { World } from '../helpers/data-world.ts';
import { snapshot } from '../helpers/mesh-build.ts';
import { needsRoot as skip } from '../helpers/netns.ts';
import { greeter, PodClient } from '../helpers/pod-apps.ts';

const CLIENTS = 4;

test('a unit that cannot be read ends alone, and the others go on', { skip }, async (t) => {
  const world = new World(t);
  const web = await world.pod('web', { node: 1 });
  const plain = await world.pod('plain', { node: 2, isPlain: true });
  await greeter(t, plain.fd, 8080);
  const clients = Array.from(
    { length: CLIENTS },
    () => new PodClient(web.fd, plain.address4 ?? '', 8080),
  );
  for (const client of clients) await client.line();

  const lines: string[] = [];
  const { log } = createLogger({
    format: 'json',
    level: 'info',
    sink: { write: (line) => lines.push(line) > 0 },
  });
  const next = new DataPlane({
    workers: 2,
    log,
    onClosed: () => {},
    onProbe: () => {},
    blockedBy: () => () => undefined,
    snapshot: () => undefined,
  });
  next.start();
  t.after(async () => next.stop());
  const workloads = world.pods.map(({ workload }) => workload);
  next.applyUpdate(packUpdate(snapshot({ workloads }, 100)));
  const { podUid, identity, addresses } = web;
  const plan = { podUid, identity, addresses, uid: web.workload.uid, netns: web.fd, options: {} };
  next.addPod(plan);
  await next.settled();

  const giving = await giveLive(world.plane(1).running(), [podUid]);
  t.equal(giving.problem, '');
  t.equal(giving.units, CLIENTS);
  const parts = giving.parts.map((part, i) => copyOf(part, i === 0));
  const taking = await takeLive(next.running(), parts);
  t.equal(taking.problem, '');
  await taking.settle(true);
  await giving.settle(false);

  const echoes = await Promise.allSettled(clients.map(async (client) => client.echo('on')));
  t.equal(
    echoes.filter((echo) => echo.status === 'fulfilled' && echo.value).length,
    CLIENTS - 1,
    'all but one go on',
  );
  await world.until(() => lines.length > 0);
  t.match(JSON.parse(lines[0] ?? ''), {
    level: 'warn',
    message: 'a unit of a hand-over is refused',
    error: /connections\[0\]\.flow\.security: expected one of mutual_tls, unknown/,
  });
  t.equal(next.totals().outboundOpen, CLIENTS - 1);
  for (const client of clients) client.end();
  await world.until(() => next.totals().outboundOpen === 0);
});

test('when no unit can be read, all stay where they are', { skip }, async (t) => {
  const world = new World(t);
  const web = await world.pod('web', { node: 1 });
  const plain = await world.pod('plain', { node: 2, isPlain: true });
  await greeter(t, plain.fd, 8080);
  const client = new PodClient(web.fd, plain.address4 ?? '', 8080);
  await client.line();
  const giving = await giveLive(world.plane(1).running(), [web.podUid]);
  const parts = giving.parts.map((part) => copyOf(part, true));
  // Node 2 serves no such pod, so it would refuse the unit even if it could be read.
  const taking = await takeLive(world.plane(2).running(), parts);
  t.match(taking.problem, /flow\.security/);
  await taking.settle(false);
  await giving.settle(true);
  t.ok(await client.echo('as if nothing had been'));
  client.end();
});

/** What arrives at another process: descriptors of its own; the first unit of them may be damaged. */
function copyOf(part: GivenPart, isDamaged: boolean): GivenPart {
  const units = unitsOf(part).map(({ state, descriptors }, i) => {
    const text =
      isDamaged && i === 0 ? state.replace('"security":"unknown"', '"security":"?"') : state;
    return `${descriptors.length} ${text}\n`;
  });
  const [bytes = -1, ...descriptors] = duplicates([part.bytes, ...part.descriptors]);
  return { memory: memoryFile('units', [Buffer.from(units.join(''))]), bytes, descriptors };
}

function duplicates(fds: readonly number[]): number[] {
  const pair = unixPair();
  if (pair === undefined) throw new Error('no socket pair');
  const [from, to] = pair;
  try {
    sendDescriptors(from, Buffer.from('copies'), fds);
    const received = receiveDescriptors(to);
    if (typeof received === 'number') throw new Error(`errno ${-received}`);
    return [...received.descriptors];
  } finally {
    closeFd(from);
    closeFd(to);
  }
}
