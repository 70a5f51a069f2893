/** The controller as it is started, with its directory, socket, CA and an agent. */
import { spawn, execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { promisify } from 'node:util';
import { test, type Test } from 'tap';
import { ControlClient } from '#common/control/client.ts';
import { identityOf } from '#common/identity.ts';
import { makeRequest } from '#common/tls/csr.ts';
import { eventually, Holder, tokenOf } from '../helpers/control-rig.ts';
import { silent } from '../helpers/silent-log.ts';

const MAIN = new URL('../../controller/main.ts', import.meta.url).pathname;
const MESH = `
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { plumbline.dev/dataplane-mode: ambient } }
---
apiVersion: v1
kind: Node
metadata: { name: a }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: cart, namespace: shop }
---
apiVersion: v1
kind: Pod
metadata: { name: cart, namespace: shop, labels: { app: cart } }
spec:
  nodeName: a
  serviceAccountName: cart
  containers: [{ name: cart, image: none, command: [sleep, "1"], ports: [{ containerPort: 80 }] }]
`;

const environment = (): NodeJS.ProcessEnv => {
  const { NODE_OPTIONS: _, ...rest } = process.env;
  return rest;
};

async function ask(socketPath: string, method: string, path: string, body = '') {
  const sent = request({ socketPath, method, path, host: 'localhost' });
  sent.end(body);
  const [answer] = await once(sent, 'response');
  let text = '';
  for await (const chunk of answer) text += String(chunk);
  return { status: Number(answer.statusCode), json: (): unknown => JSON.parse(text), text };
}

async function startController(t: Test, more: Readonly<Record<string, string>> = {}) {
  // The path of a Unix socket has room for 107 bytes, and a test directory takes more.
  const root = mkdtempSync(`${tmpdir()}/plumbline-`);
  t.after(() => rmSync(root, { recursive: true }));
  mkdirSync(`${root}/mesh`);
  writeFileSync(`${root}/mesh/mesh.yaml`, MESH);
  writeFileSync(`${root}/tokens`, `a ${tokenOf('a')}\n`, { mode: 0o600 });
  const flags = {
    directory: `${root}/mesh`,
    'state-dir': `${root}/state`,
    'run-dir': `${root}/run`,
    listen: '127.0.0.1:0',
    tokens: `${root}/tokens`,
    ...more,
  };
  const given = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...given], {
    env: environment(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (data) => (output += String(data)));
  t.after(async () => {
    if (child.exitCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await exited;
  });
  const port = (): string | undefined =>
    /"controller is ready","listen":\[\{"host":"127\.0\.0\.1","port":(\d+)/.exec(output)?.[1];
  await eventually(() => port() !== undefined, 'the controller is ready', 15_000);
  return { root, child, socket: `${root}/run/controller.sock`, port: Number(port()) };
}

test('the controller leads an agent from the first report of a pod to its certificate', async (t) => {
  const { root, socket, port, child } = await startController(t);
  t.equal(statSync(socket).mode & 0o777, 0o600);
  const held = new Holder();
  const client = new ControlClient({
    url: `wss://127.0.0.1:${port}`,
    node: 'a',
    instance: 'one',
    version: 'test',
    token: async () => tokenOf('a'),
    roots: async () => [readFileSync(`${root}/state/ca/roots.pem`, 'utf8')],
    resume: () => undefined,
    onUpdate: (update, epoch) => held.apply(update, epoch),
    onTrust: () => {},
    log: silent,
  });
  await client.start();
  t.after(async () => client.stop());

  const desired = await ask(socket, 'GET', '/v1/directory/desired');
  const { pods } = Object(desired.json());
  t.match(pods, [{ namespace: 'shop', name: 'cart', node: 'a' }]);
  const { podUid } = pods[0];
  const running = {
    podUid,
    addresses: ['10.65.0.2'],
    phase: 'Running',
    ready: true,
    terminating: false,
  };
  const posted = await ask(
    socket,
    'POST',
    '/v1/directory/runtime',
    JSON.stringify({ pods: [running], gone: [] }),
  );
  t.equal(posted.status, 200);
  await eventually(() => held.workloads.size === 1, 'the workload');
  t.match([...held.workloads.values()], [{ addresses: ['10.65.0.2'], health: 'ready' }]);
  t.match([...held.pods.values()], [{ podUid, enrolled: true }]);

  const cart = identityOf('cluster.local', 'shop', 'cart');
  const { csrPem } = makeRequest(cart);
  const issued = await client.requestCertificate(cart, csrPem, AbortSignal.timeout(5000));
  client.reportLeaves([{ identity: cart, authority: issued.authority, notAfterMs: 1 }]);
  client.reportProof([
    {
      podUid,
      namespace: 'shop',
      name: 'cart',
      direction: 'inbound',
      family: 4,
      outcome: 'captured',
      reason: '',
      atMs: 1,
    },
    {
      podUid: 'another',
      namespace: 'shop',
      name: 'cart',
      direction: 'inbound',
      family: 4,
      outcome: 'captured',
      reason: '',
      atMs: 1,
    },
  ]);
  const proof = async (): Promise<unknown[]> =>
    Object(await ask(socket, 'GET', '/v1/proof').then((answer) => answer.json()));
  let rows: unknown[] = [];
  for (let i = 0; i < 200 && rows.length === 0; i += 1) rows = await proof();
  t.match(rows, [{ podUid, node: 'a', outcome: 'captured' }], 'and nothing of pods that are not');
  t.equal(rows.length, 1);

  const agents = (await ask(socket, 'GET', '/v1/agents')).json();
  t.match(agents, [{ node: 'a', certificates: 1, instance: 'one' }]);
  t.match((await ask(socket, 'GET', '/v1/version')).json(), { trustDomain: 'cluster.local' });
  t.match((await ask(socket, 'GET', '/v1/workloads')).json(), [{ name: 'cart' }]);
  t.match((await ask(socket, 'GET', '/metrics')).text, /^plumbline_controller_agents 1$/m);

  const bad = await ask(socket, 'POST', '/v1/directory/runtime', '{"pods":[{"__proto__":1}]}');
  t.equal(bad.status, 400);
  t.equal((await ask(socket, 'POST', '/v1/directory/runtime', 'x')).status, 400);
  t.equal((await ask(socket, 'GET', '/v1/directory/desired?after=x')).status, 400);
  t.equal((await ask(socket, 'GET', '/v1/ca/rotate')).status, 405);
  t.equal((await ask(socket, 'GET', '/v1/nothing')).status, 404);

  t.equal(child.exitCode, null);
});

test('POST /v1/ca/rotate begins a rotation once, and GET /v1/ca tells how far it is', async (t) => {
  const { socket } = await startController(t, { 'rotation-settle': '100ms' });
  const first = await ask(socket, 'POST', '/v1/ca/rotate');
  t.equal(first.status, 202);
  t.match(first.json(), { phase: 'distributing', roots: [{}, {}] });
  t.equal((await ask(socket, 'POST', '/v1/ca/rotate')).status, 200);
  let phase = '';
  const end = performance.now() + 15_000;
  while (phase !== 'stable' && performance.now() < end) {
    ({ phase } = Object((await ask(socket, 'GET', '/v1/ca')).json()));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  t.equal(phase, 'stable', 'nobody is connected, so nobody is waited for');
});

test('the controller says what is wrong and ends with the documented code', async (t) => {
  const run = promisify(execFile);
  const root = t.testdir({ good: { 'a.yaml': MESH }, bad: { 'a.yaml': 'kind: Pod\n' } });
  const main = async (...flags: string[]): Promise<{ code: number; out: string }> =>
    run(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...flags], {
      env: environment(),
    }).then(
      ({ stdout }) => ({ code: 0, out: stdout }),
      (error: { code: number; stdout: string; stderr: string }) => ({
        code: error.code,
        out: error.stdout + error.stderr,
      }),
    );
  t.match(await main('--directory', `${root}/good`, '--check'), { code: 0, out: /4 objects/ });
  t.match(await main('--directory', `${root}/bad`, '--check'), { code: 2, out: /a\.yaml:1: / });
  t.match(await main('--directory', `${root}/good`), { code: 64, out: /--listen: expected/ });
});
