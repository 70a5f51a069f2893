/**
 * What one change costs the model in a big cluster: 50,000 pods in 5,000 services, 2,000 policies.
 *
 * Run: `node --expose-gc test/bench/model.ts`. Prints one line of JSON. The number of rebuilt objects
 * is a unit test (test/controller/model/incremental.test.ts); here is only the time.
 */
import { Model } from '../../controller/model/model.ts';
import type { MeshObject, PodObject } from '../../controller/model/objects.ts';
import {
  MESHED,
  authorization,
  namespace,
  node,
  pod,
  service,
  set,
  slice,
} from '../helpers/mesh-objects.ts';

const SERVICES = 5_000;
const PODS_EACH = 10;
const NAMESPACES = 50;
const NODES = 100;
const POLICIES = 2_000;
const CHANGES = 5_000;

const objects: MeshObject[] = [];
const pods: PodObject[] = [];
for (let n = 0; n < NAMESPACES; n += 1) objects.push(namespace(`ns${n}`, MESHED));
for (let n = 0; n < NODES; n += 1) objects.push(node(`n${n}`, `z${n % 3}`));
for (let s = 0; s < SERVICES; s += 1) {
  const meta = { namespace: `ns${s % NAMESPACES}`, labels: { app: `svc${s}` } };
  const endpoints: string[] = [];
  for (let p = 0; p < PODS_EACH; p += 1) {
    const i = s * PODS_EACH + p;
    const address = `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;
    endpoints.push(`svc${s}-${p}=${address}`);
    pods.push(pod(`svc${s}-${p}`, address, { node: `n${i % NODES}`, meta }));
  }
  objects.push(service(`svc${s}`, { clusterIps: [`10.32.${s >> 8}.${s & 255}`], meta }));
  const made = slice(`svc${s}`, endpoints);
  objects.push({ ...made, meta: { ...made.meta, ...meta } });
}
for (let p = 0; p < POLICIES; p += 1) {
  const meta = { namespace: `ns${p % NAMESPACES}` };
  objects.push(authorization(`allow-${p}`, { selector: { app: `svc${p}` }, meta }));
}

const model = new Model();
const loadFrom = performance.now();
model.apply(set(...objects, ...pods));
const loadMs = performance.now() - loadFrom;

const times: number[] = [];
for (let i = 0; i < CHANGES; i += 1) {
  const one = pods[(i * 37) % pods.length];
  if (one === undefined) continue;
  const from = performance.now();
  model.apply(set({ ...one, ready: i % 2 === 0 }));
  times.push(performance.now() - from);
}
times.sort((a, b) => a - b);
globalThis.gc?.();
const at = (share: number): number =>
  Number((times[Math.floor(times.length * share)] ?? 0).toFixed(3));
const line = {
  workloads: model.snapshot().workloads.length,
  loadMs: Math.round(loadMs),
  changeMs: { p50: at(0.5), p99: at(0.99), worst: at(0.9999) },
  heapMiB: Math.round(process.memoryUsage().heapUsed / 2 ** 20),
  rssMiB: Math.round(process.memoryUsage().rss / 2 ** 20),
};
process.stdout.write(`${JSON.stringify(line)}\n`);
