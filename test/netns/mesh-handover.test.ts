/** An agent is replaced, and connections that stand go on: every byte, both directions, many times. */
import { createHash, randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'tap';
import { closeFd } from '#common/sys/libc.ts';
import { connectUnix, unixSocket } from '#common/sys/unix-socket.ts';
import { Link } from '../../node-agent/handover-link.ts';
import { takeOver } from '../../node-agent/takeover.ts';
import { dial, ending, hashSlowly, readAll, serve, sha256 } from '../helpers/data-sockets.ts';
import { Mesh } from '../helpers/mesh.ts';
import {
  account,
  documents,
  namespace,
  nodes,
  peerAuthentication,
  pod,
} from '../helpers/mesh-yaml.ts';
import { needsRoot } from '../helpers/netns.ts';
import { greet, greeter, PodClient } from '../helpers/pod-apps.ts';
import { eventually } from '../helpers/program.ts';
import type { Program } from '../helpers/program.ts';
import { silent } from '../helpers/silent-log.ts';

const yaml = documents(
  nodes(2),
  namespace('shop'),
  account('web'),
  account('cart'),
  pod('web', { node: 1, account: 'web' }),
  pod('cart', { node: 2, account: 'cart' }),
  pod('old', { node: 2, labels: { 'istio.io/dataplane-mode': 'none' } }),
  peerAuthentication('strict', { mtls: { mode: 'STRICT' } }),
);
const ECHO = 9000;
const SINK = 9001;
const SOURCE = 9002;
const LATE = 9003;
const GREETING = 9004;
const never = new AbortController().signal;

async function setUp(t: { after(undo: () => void | Promise<void>): void }, flags: string[] = []) {
  const mesh = await Mesh.start(t, 'meshhan', { yaml, agentFlags: ['--drain', '2s', ...flags] });
  const [web, cart] = [mesh.pod('shop/web'), mesh.pod('shop/cart')];
  await greeter(t, cart.fd, GREETING);
  return { mesh, web, cart, address: cart.address4 ?? '' };
}

async function replace(mesh: Mesh, node: number): Promise<number | null> {
  const old = mesh.agent(node);
  const next = mesh.successor(node);
  next.start();
  const code = await old.exit();
  mesh.replaceAgent(node, next);
  return code;
}

/** Sends random blocks until told to stop, and compares what comes back. */
async function chatter(client: Socket, isOver: () => boolean): Promise<number> {
  let blocks = 0;
  const whole = { sent: createHash('sha256'), received: createHash('sha256') };
  let due = 0;
  let wake = (): void => undefined;
  client.on('data', (bytes: Buffer) => {
    whole.received.update(bytes);
    due -= bytes.length;
    if (due === 0) wake();
  });
  const cut = Promise.withResolvers<never>();
  client.on('close', () => cut.reject(client.errored ?? new Error('the connection has ended')));
  while (!isOver()) {
    const block = randomBytes(1 + Math.floor(Math.random() * 16_384));
    whole.sent.update(block);
    due += block.length;
    const back = new Promise<void>((resolve) => (wake = resolve));
    client.write(block);
    await Promise.race([back, cut.promise]);
    blocks += 1;
    await delay(10 + Math.random() * 20);
  }
  if (whole.sent.digest('hex') !== whole.received.digest('hex')) throw new Error('other bytes');
  cut.promise.catch(() => {});
  client.destroy();
  return blocks;
}

test(
  'connections of every kind outlive replacements of both agents',
  { skip: needsRoot },
  async (t) => {
    const { mesh, web, cart, address } = await setUp(t, ['--workers', '2']);
    const old = mesh.pod('shop/old');
    for (const netns of [cart.fd, web.fd, old.fd]) {
      await serve(t, { netns, port: ECHO }, (client) => client.pipe(client));
    }
    const sunk = Promise.withResolvers<string>();
    await serve(t, { netns: cart.fd, port: SINK }, (client) => {
      const answer = async (): Promise<void> => {
        sunk.resolve(await hashSlowly(client, 1));
        client.end('all of it');
      };
      answer().catch(sunk.reject);
    });
    const bulk = randomBytes(48 << 20);
    await serve(t, { netns: cart.fd, port: SOURCE }, (client) => client.end(bulk));
    const late = randomBytes(64 * 1024);
    await serve(t, { netns: cart.fd, port: LATE }, (client) => {
      client.resume();
      client.on('end', () => {
        void (async () => {
          for (let at = 0; at < late.length; at += 1024) {
            client.write(late.subarray(at, at + 1024));
            await delay(80);
          }
          client.end();
        })();
      });
    });

    const load = { isOver: false };
    const busy = [
      ...Array.from({ length: 20 }, () => dial(t, web.fd, address, ECHO)),
      ...Array.from({ length: 4 }, () => dial(t, web.fd, cart.address6 ?? '', ECHO)),
      ...Array.from({ length: 4 }, () => dial(t, cart.fd, web.address4 ?? '', ECHO)),
      // To a pod without the mesh, in clear.
      ...Array.from({ length: 4 }, () => dial(t, web.fd, old.address4 ?? '', ECHO)),
    ].map(async (client) => chatter(client, () => load.isOver));
    const silence = new PodClient(web.fd, address, GREETING);
    await silence.line();
    const up = dial(t, web.fd, address, SINK);
    up.end(bulk);
    const down = dial(t, web.fd, address, SOURCE);
    const downHash = hashSlowly(down, 1);
    const half = dial(t, web.fd, address, LATE);
    half.end('only this');
    const halfAll = readAll(half);
    const fresh = { made: 0, failures: new Array<unknown>() };
    const newcomer = async (): Promise<void> => {
      while (!load.isOver) {
        try {
          await greet(web.fd, address, GREETING);
          fresh.made += 1;
        } catch (error) {
          fresh.failures.push(error);
        }
        await delay(20);
      }
    };
    const newcomers = Promise.all([newcomer(), newcomer(), newcomer()]);
    await delay(300);
    const agents: Program[] = [];
    for (const node of [1, 2, 1, 2]) {
      agents.push(mesh.agent(node));
      t.equal(await replace(mesh, node), 0, `the old agent of node ${node} ends by itself`);
      await delay(200);
    }
    load.isOver = true;
    await newcomers;
    const blocks = await Promise.all(busy);
    t.ok(Math.min(...blocks) > 50, `at least ${Math.min(...blocks)} blocks each`);
    t.strictSame(fresh.failures, []);
    t.ok(fresh.made > 50, `${fresh.made} new connections`);
    t.equal(await downHash, sha256(bulk));
    down.end();
    t.equal(await sunk.promise, sha256(bulk));
    t.equal(String(await readAll(up)), 'all of it');
    t.equal(sha256(await halfAll), sha256(late));
    t.ok(await silence.echo('still here'));
    silence.end();

    agents.push(mesh.agent(1));
    const lines = await eventually('the access log is complete', async () => {
      const all = agents.flatMap((agent) => agent.access({ direction: 'outbound' }));
      const whole = all.filter((line) => line['dst.addr'] === `${address}:${SOURCE}`);
      const long = all.filter((line) => Number.parseInt(String(line['duration']), 10) > 2000);
      if (whole.length === 0 || long.length < 28) throw new Error(`${all.length} lines`);
      return { whole, long };
    });
    t.match(lines.whole, [{ bytes_recv: bulk.length, ending: 'closed' }], 'one line, all bytes');
    t.ok(lines.long.length >= 28, 'lines of connections that were carried by several agents');
    t.equal(mesh.wire.report().inClear, 0, 'no payload crossed a node boundary in clear');
  },
);

test(
  'a hand-over that is cut in the middle leaves the predecessor in service, and the next succeeds',
  { skip: needsRoot },
  async (t) => {
    const { mesh, web, address } = await setUp(t);
    const client = new PodClient(web.fd, address, GREETING);
    await client.line();
    const path = `${mesh.directory}/node-1/handover.sock`;
    const takeover = await takeOver(path, { timeoutMs: 5000, signal: never, log: silent });
    const podUids = [mesh.podUid('shop/web')];
    let units = 0;
    let stoodStill = false;
    await takeover?.live({
      podUids,
      take: async (parts) => {
        for (const { memory, bytes, descriptors } of parts) {
          units += descriptors.length;
          for (const fd of [memory, bytes, ...descriptors]) closeFd(fd);
        }
        const answer = client.echo('while nobody knows whose it is');
        stoodStill = await Promise.race([answer.then(() => false), delay(200).then(() => true)]);
        // As if the successor were killed now, with everything in its hands.
        takeover.cancel();
        t.ok(await answer, 'the predecessor has gone on');
        return { units, problem: '', settle: async () => undefined };
      },
    });
    t.ok(units >= 2, `${units} descriptors had gone over: a tunnel and its connection`);
    t.ok(stoodStill, 'nothing moved before that');
    t.ok(await client.echo('and on'));
    t.equal(await greet(web.fd, address, GREETING), web.address4, 'new connections too');
    t.equal(await replace(mesh, 1), 0, 'a real successor takes over then');
    t.ok(await client.echo('and on'));
    client.end();
  },
);

test(
  'a successor that reads another form gets the listeners, and what is open drains',
  { skip: needsRoot },
  async (t) => {
    const { mesh, web, address } = await setUp(t);
    const client = new PodClient(web.fd, address, GREETING);
    await client.line();
    const fd = unixSocket();
    connectUnix(fd, `${mesh.directory}/node-1/handover.sock`);
    const link = new Link(fd, never);
    t.after(() => link.close());
    await link.send({ ask: 'take' });
    const { message: head } = await link.receive(5000);
    t.match(head, { pods: 1, state: 1 });
    const { descriptors: listeners } = await link.receive(5000);
    await link.send({ ask: 'give', state: 99, pods: [mesh.podUid('shop/web')] });
    t.match((await link.receive(5000)).message, { cannot: /99/, state: 1 });
    t.ok(await client.echo('still with the old agent'));
    const over = ending(client.socket);
    await link.send({ ask: 'took' });
    t.ok(await client.echo('which drains'));
    const since = performance.now();
    t.equal(await mesh.agent(1).exit(), 0);
    t.ok(performance.now() - since > 1000, 'it has waited for the time to drain');
    t.match(await over, /ECONNRESET|end|close/);
    for (const listener of listeners) closeFd(listener);
    mesh.agent(1).start();
    await eventually('a new agent serves', async () => greet(web.fd, address, GREETING));
  },
);

test(
  'a predecessor that hangs is given up after the time that was set',
  { skip: needsRoot },
  async (t) => {
    const { mesh, web, address } = await setUp(t, ['--takeover-timeout', '500ms']);
    const old = mesh.agent(1);
    process.kill(old.pid, 'SIGSTOP');
    const next = mesh.successor(1);
    next.start();
    await eventually('the successor is ready', async () => {
      if (!next.lines.some(({ message }) => message === 'ready')) throw new Error('not yet');
    });
    t.ok(next.lines.some(({ message }) => /did not hand over/.test(String(message))));
    await old.end('SIGKILL');
    mesh.replaceAgent(1, next);
    t.equal(await greet(web.fd, address, GREETING), web.address4);
  },
);
