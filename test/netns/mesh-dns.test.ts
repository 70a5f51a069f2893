/** DNS of captured pods: the mesh's names are answered where they are asked, the rest is forwarded. */
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { test } from 'tap';
import { inNetns } from '#common/sys/netns.ts';
import { dial, serve } from '../helpers/data-sockets.ts';
import { Mesh } from '../helpers/mesh.ts';
import { documents, namespace, nodes, pod, service } from '../helpers/mesh-yaml.ts';
import { needsRoot as skip } from '../helpers/netns.ts';
import { PodUdp } from '../helpers/pod-udp.ts';
import { eventually } from '../helpers/program.ts';

const RESOLVER = '10.66.0.53';
const AMBIENT = { 'plumbline.dev/dataplane-mode': 'ambient' };
const TYPE_A = 1;
const TYPE_TXT = 16;

const yamlWith = (dnsOfPlain: 'true' | 'false'): string =>
  documents(
    nodes(2),
    namespace('shop', { ...AMBIENT, 'plumbline.dev/dns-capture': 'true' }),
    namespace('plain', { ...AMBIENT, 'plumbline.dev/dns-capture': dnsOfPlain }),
    namespace('outside', {}),
    pod('web', { node: 1 }),
    pod('cart', { node: 2 }),
    pod('web', { node: 1 }, 'plain'),
    pod('resolver', { node: 2, labels: { 'test/host': '53' } }, 'outside'),
    service('cart', 'cart', 80, { clusterIPs: ['10.32.0.10', 'fd00:32::10'] }),
    service('each', 'cart', 80, { clusterIP: 'None' }),
  );

function query(name: string, type: number): Buffer {
  const labels = name.split('.').map((label) => `${String.fromCharCode(label.length)}${label}`);
  const head = Buffer.from([0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([head, Buffer.from(`${labels.join('')}\0`), Buffer.from([0, type, 0, 1])]);
}

/** What the test's resolver says: the question itself, with a tail that no parser would let pass. */
function answerTo(asked: Buffer): Buffer {
  const answer = Buffer.concat([asked, Buffer.from([0xff, 0x00, 0xfe, 0x01])]);
  answer.writeUInt8(0x85, 2);
  return answer;
}

function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

test('DNS capture answers for services and forwards the rest as it is', { skip }, async (t) => {
  const resolvConf = `${t.testdir({})}/resolv.conf`;
  writeFileSync(resolvConf, `search shop.svc\nnameserver ${RESOLVER}\n`);
  const mesh = await Mesh.start(t, 'meshdns', {
    yaml: yamlWith('false'),
    agentFlags: ['--drain', '500ms', '--resolv-conf', resolvConf],
  });
  const [web, cart, plain] = [mesh.pod('shop/web'), mesh.pod('shop/cart'), mesh.pod('plain/web')];
  const upstream = mesh.pod('outside/resolver');
  const at = { address: RESOLVER, port: 53 };
  const server = new PodUdp(t, upstream.fd, 4, at);

  const resolver = new Resolver({ tries: 1, timeout: 3000 });
  resolver.setServers([RESOLVER]);
  const ask = async (name: string, type: 'A' | 'AAAA'): Promise<string[]> =>
    inNetns(web.fd, async () => (type === 'A' ? resolver.resolve4(name) : resolver.resolve6(name)));
  for (const name of ['cart', 'cart.shop', 'cart.shop.svc', 'cart.shop.svc.cluster.local']) {
    t.strictSame(await ask(name, 'A'), ['10.32.0.10'], name);
    t.strictSame(await ask(name, 'AAAA'), ['fd00:32::10'], name);
  }
  t.strictSame(await ask('each.shop.svc.cluster.local', 'A'), [cart.address4]);
  t.strictSame(await ask('each.shop.svc.cluster.local', 'AAAA'), [cart.address6]);

  const client = new PodUdp(t, web.fd, 4);
  for (const asked of [
    query('example.com', TYPE_A),
    query('cart.shop.svc.cluster.local', TYPE_TXT),
    Buffer.from('no question at all'),
  ]) {
    client.send(asked, at);
    const forwarded = await server.receive();
    t.strictSame(forwarded.bytes, asked, 'the resolver gets it byte for byte');
    t.equal(forwarded.from.address, web.address4);
    server.send(answerTo(asked), forwarded.from);
    const answer = await client.receive();
    t.strictSame(answer.bytes, answerTo(asked), 'and so does the pod');
    t.strictSame(answer.from, at, 'from the resolver that it asked');
  }

  await serve(t, { netns: upstream.fd, port: 53 }, (connection) => {
    connection.once('data', (asked: Buffer) => connection.end(framed(answerTo(asked.subarray(2)))));
  });
  const asked = query('example.com', TYPE_A);
  const byTcp = dial(t, web.fd, RESOLVER, 53);
  byTcp.write(framed(asked));
  t.strictSame((await once(byTcp, 'data'))[0], framed(answerTo(asked)), 'by TCP as well');
  const own = dial(t, web.fd, RESOLVER, 53);
  own.write(framed(query('cart', TYPE_A)));
  const [answer] = await once(own, 'data');
  t.ok(Buffer.from(answer).includes(Buffer.from([10, 32, 0, 10])), 'our names by TCP too');

  const uncaptured = new PodUdp(t, plain.fd, 4);
  const ours = query('cart.shop.svc.cluster.local', TYPE_A);
  uncaptured.send(ours, at);
  t.match(await server.receive(), { from: { address: plain.address4 } }, 'without it: for itself');
  await mesh.write(yamlWith('true'));
  const answered = await eventually('capture is switched on in a running pod', async () => {
    const fresh = new PodUdp(t, plain.fd, 4);
    fresh.send(ours, at);
    return fresh.receive(250);
  });
  t.strictSame(answered.from, at);
  t.ok(answered.bytes.includes(Buffer.from([10, 32, 0, 10])));
  await mesh.proven();
  await mesh.write(yamlWith('false'));
  await eventually('and off again', async () => {
    const fresh = new PodUdp(t, plain.fd, 4);
    fresh.send(ours, at);
    for (;;) if ((await server.receive(250)).from.address === plain.address4) return;
  });
  await mesh.proven();
});
