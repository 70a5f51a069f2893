/** The shop of examples/shop, the very YAML that `plumb up` runs, as Deployments in the cluster. */
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'tap';
import { parseAllDocuments } from 'yaml';
import { apply, eventually, kubectl, needsCluster as skip, rolledOut } from './cluster.ts';
import { accessLine, install, provenPods } from './product.ts';
import { NODE_IMAGE, pods } from './scenario.ts';
import { watchWire } from './wire.ts';

const SHOP = new URL('../../examples/shop/', import.meta.url);
/** A call that fails after 5 s, and prints the answer. */
const FETCH =
  'fetch(process.argv[1], { signal: AbortSignal.timeout(5000) }).then(async (r) => console.log(await r.text()))';
const SECRET = 'only-between-the-two-of-us';

interface PodSpec {
  nodeName?: string;
  volumes?: object[];
  containers: { image: string; workingDir?: string; volumeMounts?: object[] }[];
}
interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: PodSpec & { readonly template?: { readonly spec: PodSpec } };
}

test(
  'the shop sells, its policies hold, and nobody on the wire can read it',
  { skip },
  async (t) => {
    await install();
    t.after(async () => {
      await kubectl(
        'delete',
        'namespace',
        'shop',
        'office',
        '--ignore-not-found',
        '--timeout=180s',
      );
    });
    const wire = watchWire(t, SECRET);
    const objects = manifests();
    const isFirst = ({ kind }: Manifest): boolean =>
      kind === 'Namespace' || kind === 'ServiceAccount';
    await apply(...objects.filter(isFirst), programs('shop'), programs('office'));
    await apply(...objects.filter((object) => !isFirst(object)));
    for (const { kind, metadata } of objects)
      if (kind === 'Deployment') await rolledOut('shop', `deployment/${metadata.name}`);
    await provenPods('shop');

    const bought = async (): Promise<number> => {
      const said = await kubectl('-n', 'shop', 'logs', 'customer', '--tail=-1');
      return Number(Array.from(said.matchAll(/^bought (\d+), failed \d+$/gm)).at(-1)?.[1] ?? 0);
    };
    const before = await bought();
    await eventually('the customer buys', async () => {
      const now = await bought();
      if (now < before + 40) throw new Error(`${now} times, ${before} before`);
    });
    const { packets, inClear } = wire.report();
    t.ok(packets > 500, `the watch saw ${packets} packets`);
    t.equal(inClear, 0, 'none of them readable');

    const [ledger] = await pods('shop', 'app=ledger');
    const node = ledger?.spec.nodeName ?? '';
    const ask = async (from: string, url: string): Promise<string> =>
      kubectl('-n', 'shop', 'exec', from, '--', 'node', '-e', FETCH, url);
    t.match(
      await ask('deployment/web', 'http://catalog/items'),
      /items/,
      'the web asks the catalog',
    );
    await t.rejects(ask('deployment/web', 'http://ledger/'), 'the ledger refuses the web');
    t.match(
      await accessLine(node, {
        direction: 'inbound',
        code: 'POLICY_DENIED',
        'dst.namespace': 'shop',
      }),
      {
        policy: /ledger-for-payments-only/,
      },
    );
  },
);

/** The objects of the example, with an image that the cluster has and nodes that it has. */
function manifests(): Manifest[] {
  const nodes: Readonly<Record<string, string>> = { 'node-a': 'n1', 'node-b': 'n2' };
  const all = readdirSync(SHOP)
    .filter((file) => file.endsWith('.yaml'))
    .flatMap((file) => parseAllDocuments(readFileSync(new URL(file, SHOP), 'utf8')))
    .map((document): Manifest => document.toJS())
    .filter(({ kind }) => kind !== 'Node');
  for (const { kind, spec } of all) {
    const pod = kind === 'Pod' ? spec : spec?.template?.spec;
    if (pod === undefined) continue;
    if (pod.nodeName !== undefined) pod.nodeName = nodes[pod.nodeName] ?? '';
    pod.volumes = [{ name: 'app', configMap: { name: 'app' } }];
    for (const container of pod.containers)
      Object.assign(container, {
        image: NODE_IMAGE,
        workingDir: '/',
        volumeMounts: [{ name: 'app', mountPath: '/app' }],
      });
  }
  return all;
}

/** The programs of the shop, as a ConfigMap. */
function programs(namespace: string): object {
  const folder = new URL('app/', SHOP);
  const files = readdirSync(folder).map((file) => [
    file,
    readFileSync(new URL(file, folder), 'utf8'),
  ]);
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'app', namespace },
    data: Object.fromEntries(files),
  };
}
