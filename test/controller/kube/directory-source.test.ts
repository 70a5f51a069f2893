import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test, type Test } from 'tap';
import { createLogger } from '../../../common/log.ts';
import type { DesiredState, PodRuntime } from '../../../common/control/desired.ts';
import { DirectorySource } from '../../../controller/kube/directory-source.ts';
import { Model } from '../../../controller/model/model.ts';

const CLUSTER = `
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { plumbline.dev/dataplane-mode: ambient } }
---
apiVersion: v1
kind: Node
metadata: { name: n1 }
---
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec:
  selector: { app: cart }
  ports: [{ port: 80, targetPort: http }]
`;

const deployment = (replicas: number, command = 'v1'): string => `
apiVersion: apps/v1
kind: Deployment
metadata: { name: cart, namespace: shop }
spec:
  replicas: ${replicas}
  selector: { matchLabels: { app: cart } }
  template:
    metadata: { labels: { app: cart } }
    spec:
      containers:
        - { name: main, command: [${command}], ports: [{ name: http, containerPort: 8080 }] }
`;

interface World {
  readonly directory: string;
  readonly stateFile: string;
  readonly model: Model;
  readonly source: DirectorySource;
  readonly logged: string[];
}

function setUp(t: Test, files: Record<string, string>): World {
  // Not in the test's own directory, which may be removed while the last state is being written.
  const state = mkdtempSync(join(tmpdir(), 'plumb-state-'));
  return open(t, t.testdir(files), join(state, 'pods.json'));
}

function open(t: Test, directory: string, stateFile: string): World {
  const logged: string[] = [];
  const { log } = createLogger({
    format: 'text',
    level: 'debug',
    sink: {
      write(line) {
        logged.push(line);
        return true;
      },
    },
  });
  const model = new Model();
  const source = new DirectorySource({
    directory,
    stateFile,
    domain: 'cluster.local',
    log,
    onChanges: (changes) => {
      model.apply(changes);
    },
  });
  t.after(async () => {
    await source.stop();
    rmSync(dirname(stateFile), { recursive: true, force: true });
  });
  return { directory, stateFile, model, source, logged };
}

/** Waits for desired states until one fits; the file's time limit is the only other way out. */
async function until(
  source: DirectorySource,
  fits: (state: DesiredState) => boolean,
): Promise<DesiredState> {
  const signal = new AbortController().signal;
  let state = await source.desired(undefined, signal);
  while (!fits(state)) state = await source.desired(state.version, signal);
  return state;
}

const now = async (source: DirectorySource): Promise<DesiredState> => until(source, () => true);

function running(podUid: string, n: number): PodRuntime {
  return {
    podUid,
    addresses: [`10.65.0.${n}`, `fd00:65::${n}`],
    phase: 'Running',
    ready: true,
    terminating: false,
  };
}

/** Resolves after the step that a report asked for: the source takes it before the next turn. */
async function settled(): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(() => setImmediate(resolve));
  });
}

test('DirectorySource expands, places and addresses what the directory declares', async (t) => {
  const { source, model } = setUp(t, { 'a.yaml': CLUSTER, 'b.yaml': deployment(2) });
  await source.start();
  const state = await now(source);
  t.strictSame(state.problems, []);
  t.strictSame(state.nodes, [{ name: 'n1', labels: {} }]);
  t.match(state.pods, [
    { name: 'cart-0', node: 'n1', containers: [{ command: ['v1'], workingDir: '' }] },
    { name: 'cart-1', node: 'n1' },
  ]);
  t.match(state.hosts[0], { names: ['cart.shop', 'cart.shop.svc', String] });
  t.equal(model.snapshot().workloads.length, 0, 'a pod without an address is no workload');
  t.match(model.snapshot().services, [{ addresses: [/^10\.32\./, /^fd00:32::/] }]);
});

test('DirectorySource turns reports into endpoints, at once and no further than asked', async (t) => {
  const { source, model } = setUp(t, { 'a.yaml': CLUSTER, 'b.yaml': deployment(2) });
  await source.start();
  const [one, two] = (await now(source)).pods;
  const uids = [one?.podUid ?? '', two?.podUid ?? ''] as const;
  source.patchRuntime({
    pods: [running(uids[0], 1), running(uids[1], 2), running('somebody-else', 3)],
    gone: [],
  });
  await settled();
  t.match(model.snapshot().workloads, [
    {
      name: 'cart-0',
      addresses: ['10.65.0.1', 'fd00:65::1'],
      health: 'ready',
      tunnel: 'hbone',
      memberships: [{ ports: [{ servicePort: 80, targetPort: 8080 }] }],
    },
    { name: 'cart-1' },
  ]);
  t.equal(model.snapshot().workloads.length, 2);

  source.patchRuntime({ pods: [{ ...running(uids[0], 1), ready: false }], gone: [] });
  await settled();
  t.match(model.snapshot().workloads, [{ name: 'cart-0', health: 'not-ready' }, {}]);

  source.patchRuntime({ pods: [], gone: [uids[1]] });
  const state = await until(source, ({ pods }) => pods[1]?.podUid !== uids[1]);
  t.match(state.pods, [{ podUid: uids[0] }, { name: 'cart-1' }], 'a lost pod is made again');
});

test('DirectorySource rolls an edited template, and the mesh sees pods end', async (t) => {
  const { source, model, directory } = setUp(t, { 'a.yaml': CLUSTER, 'b.yaml': deployment(1) });
  await source.start();
  const old = (await now(source)).pods[0]?.podUid ?? '';
  source.patchRuntime({ pods: [running(old, 1)], gone: [] });
  await settled();

  writeFileSync(join(directory, 'b.yaml'), deployment(1, 'v2'));
  const both = await until(source, ({ pods }) => pods.length === 2);
  t.match(both.pods, [{ podUid: old }, { name: 'cart-1', containers: [{ command: ['v2'] }] }]);
  const next = both.pods[1]?.podUid ?? '';
  source.patchRuntime({ pods: [running(next, 2)], gone: [] });
  const after = await until(source, ({ pods }) => pods.length === 1);
  t.equal(after.pods[0]?.podUid, next);
  t.match(model.snapshot().workloads, [
    { name: 'cart-0', health: 'terminating' },
    { name: 'cart-1', health: 'ready' },
  ]);
  source.patchRuntime({ pods: [], gone: [old] });
  await settled();
  t.match(model.snapshot().workloads, [{ name: 'cart-1' }]);
  t.equal(model.snapshot().workloads.length, 1);
});

test('DirectorySource keeps the last good state while the directory has mistakes', async (t) => {
  const { source, model, directory } = setUp(t, { 'a.yaml': CLUSTER, 'b.yaml': deployment(1) });
  await source.start();
  const good = await now(source);
  const before = model.snapshot();

  // One file is better than before and one is broken: neither may count.
  writeFileSync(join(directory, 'b.yaml'), deployment(3));
  writeFileSync(join(directory, 'c.yaml'), 'apiVersion: v1\nkind: Pdo\nmetadata: { name: x }\n');
  const bad = await until(source, ({ problems }) => problems.length > 0);
  t.match(bad.problems, [{ file: 'c.yaml', line: 2, object: 'Pdo x', field: 'kind' }]);
  t.strictSame(source.problems(), bad.problems);
  t.strictSame(bad.pods, good.pods);
  t.strictSame(model.snapshot(), before);

  rmSync(join(directory, 'c.yaml'));
  const mended = await until(source, ({ problems }) => problems.length === 0);
  t.equal(mended.version > bad.version, true);
  const grown = await until(source, ({ pods }) => pods.length === 3);
  t.equal(grown.pods[0]?.podUid, good.pods[0]?.podUid);
});

test('DirectorySource does not take an emptied directory for a wish', async (t) => {
  const { source, directory } = setUp(t, { 'a.yaml': CLUSTER + '---' + deployment(1) });
  await source.start();
  rmSync(join(directory, 'a.yaml'));
  const state = await until(source, ({ problems }) => problems.length > 0);
  t.match(state.problems, [{ message: 'no YAML files' }]);
  t.equal(state.pods.length, 1);
});

test('start() rejects with the first mistake when there is no state to fall back on', async (t) => {
  const { source } = setUp(t, { 'a.yaml': 'kind: Pod\n' });
  await t.rejects(source.start(), {
    code: 'CONFIG_INVALID',
    message: /a\.yaml:1: Pod: apiVersion/,
  });
  const missing = open(t, join(t.testdirName, 'nowhere'), join(t.testdirName, 'state.json'));
  await t.rejects(missing.source.start(), { code: 'CONFIG_INVALID' });
});

test('desired() waits for a change, for its signal, or for the end', async (t) => {
  const { source } = setUp(t, { 'a.yaml': CLUSTER + '---' + deployment(1) });
  await source.start();
  const { version } = await now(source);
  const asked = new AbortController();
  const waiting = source.desired(version, asked.signal);
  asked.abort();
  t.equal((await waiting).version, version);
  t.equal((await source.desired(version, asked.signal)).version, version, 'already aborted');
  const last = source.desired(version, new AbortController().signal);
  await source.stop();
  t.equal((await last).version, version);
  t.equal((await source.desired(version, new AbortController().signal)).version, version);
});

test('DirectorySource takes its pods up again after a restart of the controller', async (t) => {
  const first = setUp(t, { 'a.yaml': CLUSTER, 'b.yaml': deployment(2) });
  await first.source.start();
  const before = await now(first.source);
  first.source.patchRuntime({
    pods: before.pods.map(({ podUid }, i) => running(podUid, i + 1)),
    gone: [],
  });
  await settled();
  await first.source.stop();
  t.equal(statSync(first.stateFile).mode & 0o777, 0o600);

  const second = open(t, first.directory, first.stateFile);
  await second.source.start();
  const after = await now(second.source);
  t.strictSame(after.pods, before.pods);
  t.not(after.epoch, before.epoch);
  t.strictSame(
    second.model.snapshot().workloads,
    first.model.snapshot().workloads,
    'the mesh does not forget its pods until the runner reports again',
  );
  await second.source.stop();

  // A pod that no longer runs what is declared is not taken up.
  writeFileSync(join(first.directory, 'b.yaml'), deployment(2, 'v2'));
  const third = open(t, first.directory, first.stateFile);
  await third.source.start();
  const fresh = await now(third.source);
  t.equal(
    fresh.pods.some(({ podUid }) => before.pods.some((old) => old.podUid === podUid)),
    false,
  );
});

test('DirectorySource begins anew when its state file cannot be read', async (t) => {
  const { source, stateFile, logged } = setUp(t, { 'a.yaml': CLUSTER + '---' + deployment(1) });
  writeFileSync(stateFile, '{"version":"1","pods":[{"podUid":7}]}');
  await source.start();
  t.equal((await now(source)).pods.length, 1);
  t.ok(logged.some((line) => line.includes('pods of the last run are not known')));
  await source.stop();
  t.equal(JSON.parse(readFileSync(stateFile, 'utf8')).pods.length, 1);
});
