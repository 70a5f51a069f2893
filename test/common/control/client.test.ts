import { createPublicKey } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { createServer as createTls } from 'node:tls';
import { test } from 'tap';
import { ControlSocket } from '#common/control/socket.ts';
import { MeshError } from '#common/errors.ts';
import { identityOf } from '#common/identity.ts';
import { makeRequest } from '#common/tls/csr.ts';
import { openCa } from '../../helpers/ca.ts';
import { eventually, Holder, podOn, startRig, tokenOf } from '../../helpers/control-rig.ts';
import { service } from '../../helpers/mesh-build.ts';

const cart = identityOf('cluster.local', 'shop', 'cart');

type Rig = Awaited<ReturnType<typeof startRig>>;

/** Forwards bytes to the server until it is told to drop them. */
async function blackHole(t: Parameters<typeof startRig>[0], to: number) {
  const sockets: Socket[] = [];
  let open = true;
  const server = createServer((client) => {
    const upstream = connectTcp(to, '127.0.0.1');
    sockets.push(client, upstream);
    client.on('data', (data) => open && upstream.write(data));
    upstream.on('data', (data) => open && client.write(data));
    for (const socket of [client, upstream]) socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { port: address.port, swallow: () => (open = false) };
}

test('both ends notice a peer from which nothing comes any more', async (t) => {
  const timing = { pingIntervalMs: 50, silenceLimitMs: 300 };
  const rig = await startRig(t, { nodes: ['a'], server: { timing } });
  rig.change({ services: [service('one')] });
  const hole = await blackHole(t, rig.port);
  const lost = Promise.withResolvers<MeshError>();
  const open = Promise.withResolvers<void>();
  const socket = new ControlSocket(
    {
      url: `wss://127.0.0.1:${hole.port}`,
      token: tokenOf('a'),
      roots: rig.ca.trust.roots,
      ...timing,
    },
    { onOpen: () => open.resolve(), onText: () => {}, onClosed: (why) => lost.resolve(why) },
  );
  await open.promise;
  socket.send({
    type: 'hello',
    protocols: [1, 2],
    node: 'a',
    instance: 'one',
    version: '1',
    resume: null,
  });
  await eventually(() => rig.push.agents.length === 1, 'connected');
  // Six times the silence that is allowed: only pings keep it alive.
  await new Promise((resolve) => setTimeout(resolve, 600));
  t.equal(rig.push.agents.length, 1);
  const at = performance.now();
  hole.swallow();
  t.match((await lost.promise).message, /nothing came for/);
  await eventually(() => rig.push.agents.length === 0, 'the server noticed');
  t.ok(performance.now() - at < 1500);
});

test('ControlSocket says whether the controller refused the version, the node, or all', async (t) => {
  const rig = await startRig(t, { nodes: ['a'] });
  const ended = async (node: string, protocols: number[], token = 'a'): Promise<string> => {
    const lost = Promise.withResolvers<MeshError>();
    const url = `wss://127.0.0.1:${rig.port}`;
    const hello = { node, protocols, instance: 'one', version: '1', resume: null };
    const socket = new ControlSocket(
      { url, token: tokenOf(token), roots: rig.ca.trust.roots },
      {
        onOpen: () => socket.send({ type: 'hello', ...hello }),
        onText: () => socket.stop(new MeshError('STOPPING', 'Cannot go on: it was welcomed')),
        onClosed: (why) => lost.resolve(why),
      },
    );
    return (await lost.promise).code;
  };
  t.equal(await ended('a', [1]), 'STOPPING', 'welcomed');
  t.equal(await ended('a', [3, 4]), 'VERSION_UNSUPPORTED');
  t.equal(await ended('b', [1]), 'NOT_AUTHENTICATED');
  t.equal(await ended('a', [1], 'b'), 'NOT_AUTHENTICATED');
});

/** What a client says of a server that shows this certificate. */
async function verdictOn(
  t: Parameters<typeof startRig>[0],
  issue: (rig: Rig) => { chainPem: string; keyPem: string },
): Promise<string> {
  const rig = await startRig(t, { nodes: ['a'] });
  const { chainPem, keyPem } = issue(rig);
  let bytes = '';
  const server = createTls({ cert: chainPem, key: keyPem }, (peer) => {
    peer.on('data', (data) => (bytes += String(data)));
    peer.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const address = server.address();
  const port = address === null || typeof address === 'string' ? 0 : address.port;
  const { client } = await rig.agent('a', { url: `wss://127.0.0.1:${port}` });
  await eventually(
    () => client.state.state === 'connecting' && client.state.lastError !== '',
    'a verdict',
  );
  t.equal(bytes, '', 'the token was not sent');
  return client.state.state === 'connecting' ? client.state.lastError : 'connected';
}

test('ControlClient does not take a workload for the controller', async (t) => {
  const verdict = await verdictOn(t, ({ ca }) => {
    const { keyPem } = makeRequest(cart);
    const key = createPublicKey(keyPem);
    return { chainPem: ca.issue(cart, key).chainPem, keyPem };
  });
  t.match(verdict, /it is not the controller/);
});

test('ControlClient does not take another CA’s controller for its own', async (t) => {
  const other = await openCa(t.testdir({}));
  const verdict = await verdictOn(t, () => other.issueController());
  t.match(verdict, /Cannot reach the controller/);
});

test('ControlClient asks for a snapshot after an update that could not be applied', async (t) => {
  const rig = await startRig(t, { nodes: ['a'] });
  rig.change({ services: [service('one')] });
  const held = new Holder();
  let isBroken = false;
  await rig.agent('a', {
    held,
    onUpdate: (update, epoch) => {
      if (isBroken) {
        isBroken = false;
        throw new RangeError('a bug of the agent');
      }
      held.apply(update, epoch);
    },
  });
  await eventually(() => held.version === 1, 'the snapshot');
  isBroken = true;
  rig.change({ services: [service('two')] });
  await eventually(() => held.version === 2, 'the second snapshot');
  t.strictSame(
    held.updates.map(({ snapshot }) => snapshot),
    [true, true],
  );
  t.equal(held.services.size, 2);
});

test('ControlClient hands updates over one at a time, and holds the controller back', async (t) => {
  const rig = await startRig(t, { nodes: ['a'] });
  rig.change({ services: [service('one')] });
  const gate = Promise.withResolvers<void>();
  let inside = 0;
  let most = 0;
  const held = new Holder();
  await rig.agent('a', {
    held,
    onUpdate: async (update, epoch) => {
      inside += 1;
      most = Math.max(most, inside);
      await gate.promise;
      held.apply(update, epoch);
      inside -= 1;
    },
  });
  await eventually(() => inside === 1, 'the first is being handled');
  for (let i = 0; i < 100; i += 1) {
    rig.change({ services: [service(`s${i}`)] });
    await new Promise(setImmediate);
  }
  t.equal(rig.push.agents[0]?.appliedVersion, 0, 'nothing is acknowledged before it is in force');
  gate.resolve();
  await eventually(() => held.version === 101, 'all of them');
  t.equal(most, 1);
  await eventually(() => rig.push.agents[0]?.appliedVersion === 101, 'the acknowledgement');
});

test('ControlClient keeps requests and reports until there is a connection', async (t) => {
  const rig = await startRig(t, { nodes: ['a'] });
  rig.change(podOn('a', 'cart'));
  let token = 'wrong'.padEnd(40, 'x');
  const { client } = await rig.agent('a', { token: async () => token });
  const asked = client.requestCertificate(
    cart,
    makeRequest(cart).csrPem,
    AbortSignal.timeout(5000),
  );
  client.reportProof([
    {
      podUid: 'pod-cart',
      namespace: 'shop',
      name: 'cart',
      direction: 'inbound',
      family: 4,
      outcome: 'captured',
      reason: '',
      atMs: 1,
    },
  ]);
  client.reportLeaves([]);
  token = tokenOf('a');
  t.match(await asked, { authority: rig.ca.trust.authority });
  await eventually(() => rig.proofs.length === 1, 'the proof');
  t.match(rig.proofs[0], { node: 'a', rows: [{ podUid: 'pod-cart' }] });
  await eventually(() => rig.push.agents[0]?.leaves !== undefined, 'the leaves');
  rig.push.agents[0]?.close(1012, 'test');
  await eventually(() => rig.proofs.length === 2, 'said again on the next connection');
});

test('ControlClient gives up a request when its caller does, or when it is stopped', async (t) => {
  const rig = await startRig(t, { nodes: ['a'] });
  const { client } = await rig.agent('a', { token: async () => 'x'.repeat(40) });
  const { csrPem } = makeRequest(cart);
  await t.rejects(client.requestCertificate(cart, csrPem, AbortSignal.timeout(20)), {
    name: 'TimeoutError',
  });
  const waiting = client.requestCertificate(cart, csrPem, new AbortController().signal);
  await Promise.all([t.rejects(waiting, { code: 'STOPPING' }), client.stop()]);
});
