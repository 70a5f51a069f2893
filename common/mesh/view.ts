/**
 * The world as one agent sees it, kept in step by packed updates; main and every data worker have one.
 *
 * An update is checked whole before any of it is used, so `apply` either does all of it or throws and
 * leaves the view as it was. Workloads, which are many, are columns and become objects when somebody
 * asks; services, policies and pods, which are few, are objects. Objects are never changed, only
 * replaced, so whoever holds one may tell by identity whether it is still current.
 */
import { parseAddress } from '../address.ts';
import { MeshError } from '../errors.ts';
import { textAt } from './bytes.ts';
import { PolicyTable } from './policy-table.ts';
import type { Policy } from './policy.ts';
import { ServiceTable } from './service-table.ts';
import type { Service } from './service.ts';
import { atOnce, type Steps } from './steps.ts';
import { readingUpdate } from './unpack.ts';
import type { PackedUpdate } from './unpack.ts';
import type { MeshUpdate } from './update.ts';
import { WorkloadTable } from './workload-table.ts';
import type { LocalPod, Workload } from './workload.ts';

/** What an update has done, for those who must look again at what they decided before it. */
export interface Applied {
  readonly version: number;
  readonly snapshot: boolean;
  /** A policy came, went or changed. */
  readonly policies: boolean;
  readonly pods: boolean;
  /** Says whether the workload with this uid came, went or changed, or may have. */
  touched(uid: string): boolean;
}

export class View {
  #version = 0;
  #workloads = new WorkloadTable();
  #services = new ServiceTable();
  #policies = new PolicyTable();
  #pods = new Map<string, LocalPod>();

  /** Version of the last update; 0 before the first one. */
  get version(): number {
    return this.#version;
  }

  get workloadTable(): WorkloadTable {
    return this.#workloads;
  }

  get serviceTable(): ServiceTable {
    return this.#services;
  }

  get policyTable(): PolicyTable {
    return this.#policies;
  }

  get pods(): ReadonlyMap<string, LocalPod> {
    return this.#pods;
  }

  /** Applies what `packUpdate` made; throws `MESSAGE_INVALID` and changes nothing if it is damaged. */
  apply(packed: Uint8Array): Applied {
    return atOnce(this.applying(packed));
  }

  /**
   * The same, step by step. A snapshot is built beside what is in force, and takes its place at the
   * last step; a change must be taken to its end at once, and no other may come between.
   */
  *applying(packed: Uint8Array): Steps<Applied> {
    const update = yield* readingUpdate(packed);
    if (!update.snapshot && update.version <= this.#version) {
      throw new MeshError(
        'MESSAGE_INVALID',
        `Cannot apply version ${update.version}: the view is at ${this.#version} already`,
      );
    }
    const [workloads, services, policies, pods] = update.snapshot
      ? ([
          new WorkloadTable(update.totals),
          new ServiceTable(),
          new PolicyTable(),
          new Map<string, LocalPod>(),
        ] as const)
      : ([this.#workloads, this.#services, this.#policies, this.#pods] as const);
    const touched = update.snapshot ? undefined : touchedUids(update);
    workloads.remove(update.removed.workloads);
    yield* workloads.upsert(update);
    yield* services.apply(update.services, update.removed.services);
    yield* policies.apply(update.policies, update.removed.policies);
    for (const uid of update.removed.pods) pods.delete(uid);
    for (const pod of update.pods) pods.set(pod.uid, pod);
    this.#workloads = workloads;
    this.#services = services;
    this.#policies = policies;
    this.#pods = pods;
    this.#version = update.version;
    return {
      version: update.version,
      snapshot: update.snapshot,
      policies: update.snapshot || update.policies.length + update.removed.policies.length > 0,
      pods: update.snapshot || update.pods.length + update.removed.pods.length > 0,
      touched: (uid) => touched?.has(uid) ?? true,
    };
  }

  workload(uid: string): Workload | undefined {
    const row = this.#workloads.find(uid);
    return row === undefined ? undefined : this.#workloads.workload(row);
  }

  /**
   * Returns the workload that answers at a canonical address. Of several the one that is not going
   * away counts, then a pod before anything else, then one that speaks HBONE.
   */
  workloadAt(address: string): Workload | undefined {
    const bytes = parseAddress(address);
    if (bytes === undefined) return undefined;
    const [first, ...others] = this.#workloads
      .rowsAt(bytes)
      .map((row) => this.#workloads.workload(row));
    return others.reduce(
      (best, one) => (best === undefined || preference(one) > preference(best) ? one : best),
      first,
    );
  }

  *workloads(): Generator<Workload> {
    for (const row of this.#workloads.rows()) yield this.#workloads.workloadInPassing(row);
  }

  service(key: string): Service | undefined {
    return this.#services.get(key);
  }

  services(): Iterable<Service> {
    return this.#services.all();
  }

  policy(key: string): Policy | undefined {
    return this.#policies.get(key);
  }

  policies(): Iterable<Policy> {
    return this.#policies.all();
  }

  sizes(): { workloads: number; services: number; policies: number; pods: number } {
    return {
      workloads: this.#workloads.size,
      services: this.#services.size,
      policies: this.#policies.size,
      pods: this.#pods.size,
    };
  }

  /** Returns all that the view holds as a snapshot, for a worker that starts late or for the disk. */
  snapshot(): MeshUpdate {
    return {
      version: this.#version,
      snapshot: true,
      workloads: Array.from(this.workloads()),
      services: Array.from(this.services()),
      policies: Array.from(this.policies()),
      pods: Array.from(this.#pods.values()),
      removed: { workloads: [], services: [], policies: [], pods: [] },
    };
  }
}

function preference({ uid, health, tunnel }: Workload): number {
  const staying = health === 'terminating' ? 0 : 4;
  return staying + (uid.includes('//Pod/') ? 2 : 0) + (tunnel === 'hbone' ? 1 : 0);
}

function touchedUids(update: PackedUpdate): Set<string> {
  const uids = new Set(update.removed.workloads);
  for (const { uidAt, uidLength } of update.rows())
    uids.add(textAt(update.bytes, uidAt, uidLength));
  return uids;
}
