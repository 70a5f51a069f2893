/**
 * The measured process: source, model and state as in a controller, on an API server that is there.
 * Sends what it found to its parent, and ends when it is told to.
 */
import { readFileSync } from 'node:fs';
import { ApiClient, loadKubeConfig } from '../../../controller/kube/api-client.ts';
import { KubernetesSource } from '../../../controller/kube/kubernetes-source.ts';
import { isEmptyDiff } from '../../../controller/model/diff.ts';
import { Model } from '../../../controller/model/model.ts';
import { MeshState } from '../../../controller/push/mesh-state.ts';
import { silent } from '../../helpers/silent-log.ts';

export interface Found {
  readonly syncMs: number;
  readonly rssMb: number;
  readonly peakMb: number;
  readonly heapMb: number;
  /** With nothing but its programs loaded. */
  readonly bareMb: number;
  readonly counts: Readonly<Record<string, number>>;
}

const SETTLE_MS = 5000;

const model = new Model();
const state = new MeshState({ trustDomain: 'cluster.local' });
const client = new ApiClient(loadKubeConfig(process.argv[2]));
const source = new KubernetesSource({
  client,
  log: silent,
  onChanges: (changes) => {
    const diff = model.apply(changes);
    if (!isEmptyDiff(diff)) state.apply(diff);
  },
});

const bareMb = rssMb();
const began = performance.now();
await source.start();
const syncMs = Math.round(performance.now() - began);
await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
const found: Found = {
  syncMs,
  rssMb: rssMb(),
  peakMb: Math.round(peakKb() / 1024),
  heapMb: Math.round(process.memoryUsage().heapUsed / 2 ** 20),
  bareMb,
  counts: state.counts(),
};
process.send?.(found);
await source.stop();
client.close();
process.disconnect?.();

function rssMb(): number {
  return Math.round(process.memoryUsage().rss / 2 ** 20);
}

function peakKb(): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0);
}
