/**
 * A controller at the size that the product promises, on a real API server: 50,000 pods of 7 KB and
 * 5,000 services with their slices, written through the API. Measures the first sync and the memory.
 *
 *   node test/bench/kubernetes/main.ts [--pods N] [--services N] [--check]
 *
 * Writing takes minutes, so the steps can be taken one by one: `--serve` starts an API server, says
 * where its kubeconfig is and waits for SIGINT; `--fill FILE` writes the objects into it; `--measure
 * FILE` measures; with `--from N --to M` only
 * pods N to M are written. With --check the exit code is 1 above a bar.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { ApiClient, loadKubeConfig } from '../../../controller/kube/api-client.ts';
import type { Resource } from '../../../controller/kube/resource.ts';
import { findPrograms, KubeStore, NAMESPACES, PODS, SERVICES } from '../../helpers/api-server.ts';
import type { Found } from './follow.ts';
import { makePod, makeService, namespaceBody, nodeBody, type Size } from './objects.ts';

const { values: flags } = parseArgs({
  options: {
    pods: { type: 'string', default: '50000' },
    services: { type: 'string', default: '5000' },
    serve: { type: 'boolean', default: false },
    fill: { type: 'string' },
    measure: { type: 'string' },
    from: { type: 'string', default: '0' },
    to: { type: 'string' },
    check: { type: 'boolean', default: false },
  },
});
const size: Size = {
  pods: Number(flags.pods),
  services: Number(flags.services),
  nodes: 100,
  namespaces: 100,
};
const BARS = { syncMs: 30_000, rssMb: 700 };
const WRITERS = 32;
const NODES: Resource = { group: '', version: 'v1', plural: 'nodes' };
const SLICES: Resource = { group: 'discovery.k8s.io', version: 'v1', plural: 'endpointslices' };

async function each(what: string, count: number, write: (i: number) => Promise<unknown>) {
  const began = performance.now();
  let next = 0;
  const writer = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) await write(i);
  };
  await Promise.all(Array.from({ length: WRITERS }, writer));
  const seconds = (performance.now() - began) / 1000;
  console.log(`${count} ${what} written in ${seconds.toFixed(1)} s`);
}

async function fill(kubeconfig: string): Promise<void> {
  const client = new ApiClient(loadKubeConfig(kubeconfig));
  const from = Number(flags.from);
  if (from === 0) await surround(client);
  await each('pods', Number(flags.to ?? size.pods) - from, async (i) => {
    const { namespace, name, body, status } = makePod(from + i, size);
    await client.create(PODS, namespace, body);
    const at = { namespace, name, subresource: 'status' };
    await client.patch(PODS, at, { kind: 'merge', body: { status } });
  });
  const { items } = await client.list(PODS, { limit: 10 });
  const bytes = items.reduce<number>((sum, item) => sum + JSON.stringify(item).length, 0);
  console.log(`a pod is ${Math.round(bytes / items.length)} bytes of JSON`);
  client.close();
}

/** Everything but the pods. */
async function surround(client: ApiClient): Promise<void> {
  await each('nodes', size.nodes, async (i) => client.create(NODES, undefined, nodeBody(i)));
  await each('namespaces', size.namespaces, async (i) =>
    client.create(NAMESPACES, undefined, namespaceBody(i)),
  );
  await each('services and slices', size.services, async (i) => {
    const { service, slice } = makeService(i, size);
    await client.create(SERVICES, service.namespace, service.body);
    await client.create(SLICES, slice.namespace, slice.body);
  });
}

async function measure(kubeconfig: string): Promise<void> {
  const child = fork(new URL('follow.ts', import.meta.url), [kubeconfig], { execArgv: [] });
  const [found]: Found[] = await once(child, 'message');
  if (found === undefined) throw new Error('nothing was found');
  await once(child, 'exit');
  const { syncMs, rssMb, peakMb, heapMb, bareMb, counts } = found;
  console.log(`first sync ${syncMs} ms (bar ${BARS.syncMs})`);
  console.log(`memory ${rssMb} MiB, at most ${peakMb} MiB (bar ${BARS.rssMb}); heap ${heapMb} MiB`);
  console.log(`with nothing read ${bareMb} MiB; ${JSON.stringify(counts)}`);
  if (flags.check && (syncMs > BARS.syncMs || peakMb > BARS.rssMb)) process.exitCode = 1;
}

async function serve(work: (kubeconfig: string) => Promise<void>): Promise<void> {
  const programs = findPrograms();
  if (programs === undefined) throw new Error('the test bed was not built');
  const store = await KubeStore.start(programs);
  try {
    const { kubeconfig } = await store.serve();
    await work(kubeconfig);
  } finally {
    await store.stop();
  }
}

if (flags.measure !== undefined) {
  await measure(flags.measure);
} else if (flags.fill !== undefined) {
  await fill(flags.fill);
} else if (flags.serve) {
  await serve(async (kubeconfig) => {
    console.log(`kubeconfig ${kubeconfig}`);
    await once(process, 'SIGINT');
  });
} else {
  await serve(async (kubeconfig) => {
    await fill(kubeconfig);
    await measure(kubeconfig);
  });
}
