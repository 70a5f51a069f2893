import { once } from 'node:events';
import { connect as connectTls } from 'node:tls';
import { test } from 'tap';
import { WebSocket } from 'ws';
import type { MeshError } from '#common/errors.ts';
import { hasCode } from '#common/errors.ts';
import { identityOf } from '#common/identity.ts';
import { identityIn, readCertificate } from '#common/tls/certificate.ts';
import { makeRequest } from '#common/tls/csr.ts';
import { splitPem, verifyChain } from '#common/tls/trust.ts';
import { eventually, podOn, startRig, tokenOf } from '../../helpers/control-rig.ts';
import { service, workload } from '../../helpers/mesh-build.ts';

const cart = identityOf('cluster.local', 'shop', 'cart');
const { signal } = new AbortController();

type Rig = Awaited<ReturnType<typeof startRig>>;

/** A bare WebSocket with the token of `node`: an agent that may say anything. */
async function rawAgent(rig: Rig, node: string, token = tokenOf(node)) {
  const ws = new WebSocket(`wss://127.0.0.1:${rig.port}/v1/agent`, ['plumbline.control'], {
    headers: { authorization: `Bearer ${token}` },
    rejectUnauthorized: false,
  });
  const heard: { type: string }[] = [];
  const closed = Promise.withResolvers<{ code: number; reason: string }>();
  ws.on('message', (data: Buffer) => heard.push(JSON.parse(data.toString('utf8'))));
  ws.on('close', (code, reason) => closed.resolve({ code, reason: String(reason) }));
  ws.on('error', () => {});
  await Promise.race([once(ws, 'open'), closed.promise]);
  return { ws, heard, closed: closed.promise };
}

function hello(node: string, over: object = {}): string {
  const base = { type: 'hello', protocols: [1], node, instance: 'raw', version: '1', resume: null };
  return JSON.stringify({ ...base, ...over });
}

test('PushServer gives an agent its snapshot, then what changes', async (t) => {
  const rig = await startRig(t, { nodes: ['a'] });
  rig.change({ ...podOn('a', 'cart'), services: [service('cart')] });
  const { held, trusts } = await rig.agent('a');
  await eventually(() => held.updates.length === 1, 'the snapshot');
  t.match(held.updates[0], { snapshot: true, version: 1 });
  t.equal(trusts[0]?.authority, rig.ca.trust.authority);
  rig.change(podOn('b', 'other'));
  await eventually(() => held.updates.length === 2, 'the delta');
  t.match(held.updates[1], { snapshot: false, version: 2, pods: [] });
  await eventually(() => rig.push.agents[0]?.appliedVersion === 2, 'the acknowledgement');
});

test('PushServer resumes a connection that was lost, without a full push', async (t) => {
  const rig = await startRig(t, { nodes: ['a'] });
  rig.change({ services: Array.from({ length: 500 }, (_, i) => service(`s${i}`)) });
  const { held } = await rig.agent('a');
  await eventually(() => held.version === 1, 'the snapshot');
  rig.push.agents[0]?.close(1012, 'test');
  rig.change({ services: [service('s1', { headless: true })], removed: { services: ['none'] } });
  await eventually(() => held.version === 2, 'what was missed');
  t.equal(held.updates.length, 2);
  t.match(held.updates[1], { snapshot: false });
  t.equal(held.updates[1]?.services.length, 1, 'and nothing else');
});

test('PushServer sends a snapshot to an agent of another epoch', async (t) => {
  const rig = await startRig(t, { nodes: ['a'] });
  rig.change({ services: [service('one')] });
  const { held } = await rig.agent('a', { resume: () => ({ epoch: 'older', version: 1 }) });
  await eventually(() => held.version === 1, 'the snapshot');
  t.equal(held.updates[0]?.snapshot, true);
});

test('PushServer issues a certificate for a pod of the node, and its chain holds', async (t) => {
  const rig = await startRig(t, { nodes: ['a'] });
  rig.change(podOn('a', 'cart'));
  const { client } = await rig.agent('a');
  const { csrPem } = makeRequest(cart);
  const { chain, authority } = await client.requestCertificate(cart, csrPem, signal);
  const { leaf } = verifyChain(chain, rig.ca.trust.roots, Date.now());
  t.equal(identityIn(leaf), cart);
  t.equal(authority, rig.ca.trust.authority);
  t.equal(splitPem(chain).length, 2);
});

test('PushServer refuses a certificate that is not for a pod of the node', async (t) => {
  const rig = await startRig(t, { nodes: ['a', 'b'] });
  const released = podOn('b', 'idle', { pod: { enrolled: false } });
  const here = podOn('b', 'web');
  const there = podOn('a', 'cart');
  rig.change({
    workloads: [...released.workloads, ...here.workloads, ...there.workloads],
    pods: [...released.pods, ...here.pods, ...there.pods],
  });
  const { client } = await rig.agent('b');
  const ask = async (asked: string, csrFor = asked): Promise<string> => {
    const identity = identityOf('cluster.local', 'shop', asked);
    const { csrPem } = makeRequest(identityOf('cluster.local', 'shop', csrFor));
    const error = await client
      .requestCertificate(identity, csrPem, signal)
      .catch((e: MeshError) => e);
    return 'code' in error ? error.code : 'issued';
  };
  t.equal(await ask('web'), 'issued');
  t.equal(await ask('cart'), 'IDENTITY_REFUSED', 'it runs on another node');
  t.equal(await ask('idle'), 'IDENTITY_REFUSED', 'it is not enrolled');
  t.equal(await ask('web', 'cart'), 'IDENTITY_INVALID', 'the request names another');
  const foreign = identityOf('other.domain', 'shop', 'web');
  const error = await client
    .requestCertificate(foreign, makeRequest(foreign).csrPem, signal)
    .catch((e: unknown) => e);
  t.ok(hasCode(error, 'IDENTITY_REFUSED'));
  t.strictSame(rig.push.certificates, { issued: 1, refused: 4 });
});

test('PushServer refuses tokens that are missing, forged or malformed', async (t) => {
  const rig = await startRig(t, { nodes: ['a'] });
  for (const token of ['', 'x'.repeat(40), `${tokenOf('a')}x`, 'x'.repeat(9000), '__proto__']) {
    const { closed, heard } = await rawAgent(rig, 'a', token);
    t.equal((await closed).code, 1006, 'no WebSocket at all');
    t.strictSame(heard, []);
  }
  t.equal(rig.push.refusedTokens, 5);
  const { client } = await rig.agent('a', { token: async () => 'y'.repeat(40) });
  await eventually(
    () => client.state.state === 'connecting' && /answered 401/.test(client.state.lastError),
    'the client says why',
  );
});

test('PushServer refuses an agent that claims to be of another node', async (t) => {
  const rig = await startRig(t, { nodes: ['a', 'b'] });
  rig.change(podOn('b', 'cart'));
  const { ws, closed, heard } = await rawAgent(rig, 'a');
  ws.send(hello('b'));
  t.equal((await closed).code, 4403);
  t.strictSame(heard, [], 'and tells it nothing');
});

test('PushServer closes on messages that are too large, too deep, poisoned or out of place', async (t) => {
  const rig = await startRig(t, { nodes: ['a'] });
  const before = process.memoryUsage().rss;
  const table: [string, (ws: WebSocket) => void, number][] = [
    ['64 MB', (ws) => ws.send(Buffer.alloc(64 << 20, 0x20).toString()), 1009],
    ['deep', (ws) => ws.send(`{"type":${'['.repeat(10_000)}`), 4400],
    ['__proto__', (ws) => ws.send(hello('a').replace('{', '{"__proto__":{"a":1},')), 4400],
    ['binary', (ws) => ws.send(Buffer.from(hello('a'))), 4400],
    ['not JSON', (ws) => ws.send('hello'), 4400],
    ['no hello first', (ws) => ws.send('{"type":"applied","version":1}'), 4400],
    ['no common version', (ws) => ws.send(hello('a', { protocols: [3, 4] })), 4426],
    [
      'two hellos',
      (ws) => {
        ws.send(hello('a'));
        ws.send(hello('a'));
      },
      4400,
    ],
  ];
  for (const [name, send, code] of table) {
    const { ws, closed } = await rawAgent(rig, 'a');
    send(ws);
    t.equal((await closed).code, code, name);
  }
  t.ok(process.memoryUsage().rss - before < 300 << 20, 'the sender is in this process too');
  const { held } = await rig.agent('a');
  rig.change({ services: [service('one')] });
  await eventually(() => held.version === 1, 'a good agent is served as ever');
});

test('PushServer never agrees to compression', async (t) => {
  const rig = await startRig(t, { nodes: ['a'] });
  const ws = new WebSocket(`wss://127.0.0.1:${rig.port}/v1/agent`, ['plumbline.control'], {
    headers: { authorization: `Bearer ${tokenOf('a')}` },
    rejectUnauthorized: false,
    perMessageDeflate: true,
  });
  await once(ws, 'open');
  t.equal(ws.extensions, '');
  ws.terminate();
});

test('PushServer speaks TLS 1.3 only, and HTTP answers say what this is', async (t) => {
  const { port } = await startRig(t, { nodes: ['a'] });
  const old = connectTls({
    port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    maxVersion: 'TLSv1.2',
  });
  const [error] = await once(old, 'error').catch((e: unknown) => [e]);
  t.match(error, { message: /protocol version/ });
  const tls = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
  tls.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  const [answer] = await once(tls, 'data');
  t.match(String(answer), /^HTTP\/1\.1 426 /);
  tls.destroy();
});

test('PushServer closes the oldest of too many connections of one node', async (t) => {
  const rig = await startRig(t, { nodes: ['a', 'b'] });
  const first = await rawAgent(rig, 'a');
  for (let i = 0; i < 4; i += 1) (await rawAgent(rig, 'a')).ws.send(hello('a'));
  t.equal((await first.closed).code, 4001);
  const other = await rawAgent(rig, 'b');
  other.ws.send(hello('b'));
  await eventually(() => rig.push.agents.length === 5, 'the others stay');
});

test('PushServer is not held up, nor filled, by an agent that does not read', async (t) => {
  const rig = await startRig(t, { nodes: ['a', 'slow'] });
  rig.change({ workloads: Array.from({ length: 20_000 }, (_, i) => workload(`w${i}`)) });
  const slow = await rawAgent(rig, 'slow');
  slow.ws.pause();
  slow.ws.send(hello('slow'));
  const { held } = await rig.agent('a');
  await eventually(() => held.version === 1, 'the other has its snapshot');
  const heap = (): number => {
    globalThis.gc?.();
    return process.memoryUsage().heapUsed;
  };
  const before = heap();
  for (let i = 0; i < 2000; i += 1) rig.change({ workloads: [workload('w1', { weight: i })] });
  await eventually(() => held.version === 2001, 'the other has every change');
  t.ok(heap() - before < 64 << 20, 'nothing piled up');
  slow.ws.resume();
  await eventually(() => rig.push.agents.every(({ sentVersion }) => sentVersion === 2001), 'both');
  const updates = slow.heard.filter(({ type }) => type === 'update');
  t.match(updates.at(-1), { version: 2001, last: true });
  const deltas = updates.filter((one) => 'snapshot' in one && one.snapshot === false);
  t.equal(deltas.length, 1, '2,000 changes in one message');
});

test('PushServer shows a certificate that names the controller, and only that', async (t) => {
  const { ca } = await startRig(t, { nodes: ['a'] });
  const [leaf = ''] = splitPem(ca.issueController().chainPem);
  const facts = readCertificate(leaf);
  t.strictSame(facts.uris, ['spiffe://cluster.local/plumbline/controller']);
  t.equal(identityIn(facts), undefined, 'it is no workload identity');
});

test('PushServer says which namespaces are enrolled, to agents that know the message', async (t) => {
  const rig = await startRig(t, { nodes: ['a', 'b'] });
  const shop = { name: 'shop', onFailure: 'hold' as const };
  const web = { name: 'web', onFailure: 'open' as const };
  rig.push.setNamespaces([shop]);
  const told: unknown[] = [];
  await rig.agent('a', { onNamespaces: (namespaces) => void told.push(namespaces) });
  const old = await rawAgent(rig, 'b');
  old.ws.send(hello('b', { protocols: [1] }));
  await eventually(() => told.length === 1, 'the list at the start');
  rig.push.setNamespaces([shop]);
  rig.push.setNamespaces([shop, web]);
  await eventually(() => told.length === 2, 'the list after a change');
  t.strictSame(told, [[shop], [shop, web]]);
  rig.push.trustChanged();
  await eventually(() => old.heard.filter(({ type }) => type === 'trust').length > 1, 'more came');
  t.match(old.heard[0], { type: 'welcome', protocol: 1 });
  t.notOk(old.heard.some(({ type }) => type === 'namespaces'));
});

test('PushServer cuts off the agent whose pod is gone, and no other', async (t) => {
  const server = { authenticate: async (token: string) => ({ node: 'a', podUid: token }) };
  const rig = await startRig(t, { nodes: ['a'], server });
  const [gone, stays] = [await rawAgent(rig, 'a', 'pod-1'), await rawAgent(rig, 'a', 'pod-2')];
  for (const { ws } of [gone, stays]) ws.send(hello('a'));
  await eventually(() => rig.push.agents.length === 2, 'both');
  rig.push.dropPod('pod-1');
  t.equal((await gone.closed).code, 4403);
  await eventually(() => rig.push.agents.length === 1, 'one is left');
  t.equal(rig.push.agents[0]?.podUid, 'pod-2');
  stays.ws.close();
});
