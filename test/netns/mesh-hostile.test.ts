/** Calls to the agent's own ports, from inside and outside the mesh: vectors V24 to V26 and S8. */
import { readdirSync } from 'node:fs';
import { test } from 'tap';
import { formatEndpoint } from '#common/address.ts';
import { Mesh } from '../helpers/mesh.ts';
import { account, documents, namespace, nodes, pod } from '../helpers/mesh-yaml.ts';
import { needsRoot as skip } from '../helpers/netns.ts';
import { greet, greeter, PodClient } from '../helpers/pod-apps.ts';
import { getText, parseSeries, sumOf } from '../helpers/pod-http.ts';
import { eventually } from '../helpers/program.ts';

const yaml = documents(
  nodes(2),
  namespace('shop'),
  namespace('outside', {}),
  account('web'),
  account('cart'),
  pod('web', { node: 1, account: 'web' }),
  pod('cart', { node: 2, account: 'cart' }),
  pod('stranger', { node: 1 }, 'outside'),
);

const AGENT_PORTS = [15_000, 15_001, 15_006, 15_008, 15_020, 15_021, 15_053];
/** Read by whoever may reach the node: metrics, and whether the agent is ready. */
const OPEN_ON_THE_NODE = [15_020, 15_021];

interface Outcome {
  readonly bytes: string;
  /** False when it was still open after a second. */
  readonly hasEnded: boolean;
}

/** Connects, asks something, and reads until the end. */
async function dial(netns: number, address: string, port: number): Promise<Outcome> {
  const client = new PodClient(netns, address, port);
  client.socket.write('GET / HTTP/1.0\r\n\r\n');
  const bytes: string[] = [];
  client.socket.on('data', (text: string) => bytes.push(text));
  const hasEnded = await new Promise<boolean>((resolve) => {
    client.socket.once('close', () => resolve(true));
    setTimeout(() => resolve(false), 1000);
  });
  client.end();
  return { bytes: bytes.join(''), hasEnded };
}

async function accepted(mesh: Mesh): Promise<number> {
  const counts = mesh.net.nodes.map(async ({ fd }) => {
    const text = await getText(fd, { address: '127.0.0.1', port: 15_020 }, '/metrics');
    return sumOf(parseSeries(text), 'plumbline_connections_accepted_total');
  });
  return (await Promise.all(counts)).reduce((a, b) => a + b, 0);
}

test("the agent's ports lead nowhere, for whoever calls them", { skip }, async (t) => {
  const mesh = await Mesh.start(t, 'meshhos', { yaml });
  const [web, cart] = [mesh.pod('shop/web'), mesh.pod('shop/cart')];
  const stranger = mesh.pod('outside/stranger');
  await greeter(t, cart.fd, 8080);
  t.equal(await greet(web.fd, cart.address4 ?? '', 8080), web.address4);
  const node = mesh.net.node(1);
  const others = [...cart.addresses, node.address4, node.address6];
  const calls = [web, stranger].flatMap((from) =>
    [...from.addresses, '127.0.0.1', '::1', ...others].flatMap((address) =>
      AGENT_PORTS.map((port) => ({ from, address, port })),
    ),
  );
  const before = await accepted(mesh);
  const outcomes = await Promise.all(
    calls.map(async (call) => ({
      ...call,
      ...(await dial(call.from.fd, call.address, call.port)),
    })),
  );
  for (const { from, address, port, bytes, hasEnded } of outcomes) {
    const who = from === web ? 'web' : 'stranger';
    const what = `${who} calls ${formatEndpoint(address, port)}`;
    const onNode = address === node.address4 || address === node.address6;
    if (onNode && OPEN_ON_THE_NODE.includes(port)) t.match(bytes, /^HTTP/, what);
    else if (bytes !== '' || !hasEnded) t.fail(`${what}: ${hasEnded}, ${JSON.stringify(bytes)}`);
  }
  const taken = (await accepted(mesh)) - before;
  t.comment(`${calls.length} calls, ${taken} connections accepted`);
  t.ok(taken <= 2 * calls.length, 'no call went round in circles');
  t.equal(await greet(web.fd, cart.address4 ?? '', 8080), web.address4, 'all is well still');
  t.equal(mesh.wire.report().inClear, 0, 'no payload crossed a node boundary in clear');
});

test('an address of the pod that the mesh does not know makes no loop', { skip }, async (t) => {
  const mesh = await Mesh.start(t, 'meshhos', { yaml });
  const web = mesh.pod('shop/web');
  web.exec('ip addr add 10.250.0.1/32 dev lo; ip addr add fd25::1/128 dev lo nodad');
  const { pid } = mesh.agent(1);
  const descriptors = (): number => readdirSync(`/proc/${pid}/fd`).length;
  const before = { accepted: await accepted(mesh), descriptors: descriptors() };
  for (const address of ['10.250.0.1', 'fd25::1', '127.0.0.2']) {
    for (const port of [15_001, 15_006, 15_008]) {
      const what = formatEndpoint(address, port);
      t.strictSame(await dial(web.fd, address, port), { bytes: '', hasEnded: true }, what);
    }
  }
  t.ok((await accepted(mesh)) - before.accepted <= 20, 'each was taken at most twice');
  await eventually('no descriptor is left', async () => {
    if (descriptors() > before.descriptors + 2) throw new Error(`${descriptors()} are open`);
  });
});
