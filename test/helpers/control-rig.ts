/**
 * A controller's push side on a real port, with agents that are ControlClients, for tests.
 *
 * The mesh is given as diffs, so tests say exactly what changes; what an agent has received is kept
 * as an agent would keep it.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import type { Test } from 'tap';
import { ControlClient, type ControlClientDeps } from '#common/control/client.ts';
import type { Trust } from '#common/control/messages.ts';
import type { MeshUpdate } from '#common/mesh/update.ts';
import type { LocalPod, Workload } from '#common/mesh/workload.ts';
import type { CaOptions } from '../../controller/ca/certificate-authority.ts';
import type { ModelDiff, PlacedPod } from '../../controller/model/diff.ts';
import { MeshState } from '../../controller/push/mesh-state.ts';
import { PushServer, type PushServerDeps } from '../../controller/push/push-server.ts';
import { TokenFile } from '../../controller/push/tokens.ts';
import { openCa } from './ca.ts';
import { localPod, workload } from './mesh-build.ts';
import { silent } from './silent-log.ts';

const EMPTY: ModelDiff = {
  workloads: [],
  services: [],
  policies: [],
  pods: [],
  removed: { workloads: [], services: [], policies: [], pods: [] },
  warnings: [],
  rebuilt: { workloads: 0, services: 0, policies: 0 },
};

type DiffPart = Partial<Omit<ModelDiff, 'removed'>> & { removed?: Partial<ModelDiff['removed']> };

export function diff({ removed, ...rest }: DiffPart): ModelDiff {
  return { ...EMPTY, ...rest, removed: { ...EMPTY.removed, ...removed } };
}

/** A pod `name` of service account `name` on `node`, enrolled, with its workload. */
export function podOn(
  node: string,
  name: string,
  { pod = {}, ...over }: Partial<Workload> & { pod?: Partial<LocalPod> } = {},
): { readonly workloads: Workload[]; readonly pods: PlacedPod[] } {
  const one = workload(name, { node, ...over });
  return { workloads: [one], pods: [{ node, pod: localPod(one, pod) }] };
}

export function tokenOf(node: string): string {
  return `token-of-${node}-`.padEnd(40, 'x');
}

/** What an agent holds, by primary key, and everything it was told. */
export class Holder {
  readonly workloads = new Map<string, unknown>();
  readonly services = new Map<string, unknown>();
  readonly policies = new Map<string, unknown>();
  readonly pods = new Map<string, unknown>();
  readonly updates: MeshUpdate[] = [];
  epoch = '';
  version = 0;

  apply(update: MeshUpdate, epoch = ''): void {
    this.updates.push(update);
    this.epoch = epoch;
    this.version = update.version;
    const lists = [this.workloads, this.services, this.policies, this.pods];
    if (update.snapshot) for (const list of lists) list.clear();
    for (const one of update.workloads) this.workloads.set(one.uid, one);
    for (const one of update.services) this.services.set(one.key, one);
    for (const one of update.policies) this.policies.set(one.key, one);
    for (const one of update.pods) this.pods.set(one.uid, one);
    for (const kind of ['workloads', 'services', 'policies', 'pods'] as const) {
      for (const key of update.removed[kind]) this[kind].delete(key);
    }
  }
}

export interface TestAgent {
  readonly client: ControlClient;
  readonly held: Holder;
  readonly trusts: Trust[];
  /** Resolves once `holds()` does, looked at after each message; rejects after five seconds. */
  until(holds: () => boolean, what: string): Promise<void>;
}

export interface RigOptions {
  readonly nodes: readonly string[];
  readonly ca?: Partial<CaOptions>;
  readonly server?: Partial<PushServerDeps>;
}

/** Polls, since what is waited for may happen at either end; each look is a turn of the loop. */
export async function eventually(holds: () => boolean, what: string, ms = 5000): Promise<void> {
  const end = performance.now() + ms;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`never came true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export async function startRig(t: Test, { nodes, ca: caOptions, server }: RigOptions) {
  const directory = t.testdir({});
  const tokens = `${directory}/tokens`;
  writeFileSync(tokens, nodes.map((node) => `${node} ${tokenOf(node)}\n`).join(''), {
    mode: 0o600,
  });
  mkdirSync(`${directory}/ca`, { mode: 0o700 });
  const state = new MeshState({ trustDomain: 'cluster.local' });
  const holder: { push?: PushServer } = {};
  const ca = await openCa(`${directory}/ca`, {
    ...caOptions,
    onTrust: () => holder.push?.trustChanged(),
  });
  const proofs: { node: string; rows: readonly unknown[] }[] = [];
  const push = new PushServer({
    listen: [{ host: '127.0.0.1', port: 0 }],
    authenticate: new TokenFile(tokens, silent).authenticate,
    ca,
    state,
    trustDomain: 'cluster.local',
    version: 'test',
    onProof: (node, rows) => proofs.push({ node, rows }),
    log: silent,
    ...server,
  });
  holder.push = push;
  await push.start();
  t.after(async () => push.stop());
  const port = push.addresses[0]?.port ?? 0;

  const change = (part: DiffPart): void => {
    state.apply(diff(part));
    push.wake();
  };

  const agent = async (
    node: string,
    over: Partial<ControlClientDeps> & { readonly held?: Holder } = {},
  ): Promise<TestAgent> => {
    const { held = new Holder(), ...deps } = over;
    const trusts: Trust[] = [];
    const client = new ControlClient({
      url: `wss://127.0.0.1:${port}`,
      node,
      instance: `instance-${node}`,
      version: 'test',
      token: async () => tokenOf(node),
      roots: async () => ca.trust.roots,
      resume: () => (held.epoch === '' ? undefined : { epoch: held.epoch, version: held.version }),
      onUpdate: (update, epoch) => held.apply(update, epoch),
      onTrust: (trust) => void trusts.push(trust),
      log: silent,
      timing: { firstRetryMs: 20 },
      ...deps,
    });
    await client.start();
    t.after(async () => client.stop());
    return { client, held, trusts, until: eventually };
  };

  return { directory, state, ca, push, port, proofs, change, agent };
}
