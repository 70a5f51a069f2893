/**
 * Two nodes with captured pods and a data plane each, all real but the controller: network
 * namespaces, iptables, workers, certificates. Tests say who is there and what the policies are.
 */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Identity } from '#common/identity.ts';
import { identityOf } from '#common/identity.ts';
import { createLogger } from '#common/log.ts';
import type { Logger } from '#common/log.ts';
import { packUpdate } from '#common/mesh/pack.ts';
import type { Policy } from '#common/mesh/policy.ts';
import type { Service } from '#common/mesh/service.ts';
import type { CaptureOptions, Workload } from '#common/mesh/workload.ts';
import { findPrograms } from '../../node-agent/capture/backend.ts';
import { Capture } from '../../node-agent/capture/capture.ts';
import { createCommand } from '../../node-agent/capture/command.ts';
import { DataPlane } from '../../node-agent/data/data-plane.ts';
import type { PodOptions, ProbeArrival } from '../../node-agent/data/messages.ts';
import type { ConnectionRecord } from '../../node-agent/data/record.ts';
import { captureOptions, snapshot, workload } from './mesh-build.ts';
import { createNet } from './netns.ts';
import type { Net, PodNetns } from './netns.ts';
import { chainPem, makeAuthority, makeLeaf } from './pki.ts';
import type { Issued } from './pki.ts';
import { silent } from './silent-log.ts';

interface Test {
  after(undo: () => void | Promise<void>): void;
}

export interface WorldPod extends PodNetns {
  readonly workload: Workload;
  readonly identity: Identity;
  readonly podUid: string;
}

export interface PodWish {
  readonly node?: number;
  readonly families?: readonly (4 | 6)[];
  readonly over?: Partial<Workload>;
  /** A pod that no agent captures. */
  readonly isPlain?: boolean;
  readonly options?: PodOptions;
  readonly capture?: CaptureOptions;
}

export const authority = makeAuthority();
const command = createCommand();

/** Set PLUMB_TEST_LOG to see what the workers say. */
const log: Logger =
  process.env['PLUMB_TEST_LOG'] === undefined
    ? silent
    : createLogger({
        format: 'text',
        level: 'debug',
        sink: { write: (line) => (console.error(line), true) },
      }).log;

export class World {
  readonly net: Net;
  readonly planes: readonly DataPlane[];
  readonly records: ConnectionRecord[][];
  readonly probes: ProbeArrival[] = [];
  readonly pods: WorldPod[] = [];
  services: Service[] = [];
  policies: Policy[] = [];
  #version = 0;
  #waiting: (() => void)[] = [];

  constructor(t: Test, workers = 1, prefix = 'dat') {
    this.net = createNet(t, prefix);
    this.records = [[], []];
    this.planes = [0, 1].map(
      (node) =>
        new DataPlane({
          workers,
          log,
          onClosed: ({ records }) => {
            this.records[node]?.push(...records);
            for (const tell of this.#waiting.splice(0)) tell();
          },
          onProbe: (arrival) => this.probes.push(arrival),
          blockedBy: () => () => undefined,
          snapshot: () => this.#packed(),
        }),
    );
    for (const plane of this.planes) plane.start();
    t.after(async () => {
      await Promise.all(this.planes.map(async (plane) => plane.stop()));
    });
  }

  plane(node: number): DataPlane {
    const plane = this.planes[node - 1];
    if (plane === undefined) throw new RangeError(`no node ${node}`);
    return plane;
  }

  /** Makes a pod, captures it, gives it a certificate and tells everybody. */
  async pod(name: string, wish: PodWish = {}): Promise<WorldPod> {
    const node = wish.node ?? 1;
    const families = wish.families;
    const netns = this.net.node(node).pod(name, families === undefined ? {} : { families });
    const record = workload(name, {
      addresses: netns.addresses,
      node: `node-${node}`,
      tunnel: wish.isPlain === true ? 'none' : 'hbone',
      ...wish.over,
    });
    const identity = identityOf(record.trustDomain, record.namespace, record.serviceAccount);
    const made: WorldPod = { ...netns, workload: record, identity, podUid: `pod-${name}` };
    this.pods.push(made);
    if (wish.isPlain !== true) {
      this.certify(made, makeLeaf(authority, { uris: [identity] }));
      await this.capture(made, () => this.add(made, wish.options), wish.capture);
    }
    this.publish();
    return made;
  }

  certify(pod: WorldPod, leaf: Issued, roots: readonly Issued[] = [authority]): void {
    this.plane(pod.node.number).setCredentials(pod.identity, {
      chainPem: chainPem(leaf),
      keyPem: leaf.keyPem,
      rootsPem: roots.map(({ pem }) => pem),
    });
  }

  async capture(
    pod: WorldPod,
    openListeners: () => void,
    options: CaptureOptions = captureOptions,
  ): Promise<Capture> {
    const programs = await findPrograms(command);
    const capture = new Capture({ command, programs, log, netns: pod.fd }, options);
    await capture.enrol(openListeners);
    return capture;
  }

  add(pod: WorldPod, options: PodOptions = {}): void {
    this.plane(pod.node.number).addPod({
      podUid: pod.podUid,
      uid: pod.workload.uid,
      identity: pod.identity,
      addresses: pod.addresses,
      netns: pod.fd,
      options,
    });
  }

  /** Tells both data planes what the world is now. */
  publish(): void {
    this.#version += 1;
    const packed = this.#packed();
    for (const plane of this.planes) plane.applyUpdate(packed);
  }

  get version(): number {
    return this.#version;
  }

  /** Waits for the record of a connection that has ended. */
  async record(
    node: number,
    wanted: (record: ConnectionRecord) => boolean = () => true,
  ): Promise<ConnectionRecord> {
    const deadline = AbortSignal.timeout(20_000);
    for (;;) {
      const records = this.records[node - 1] ?? [];
      const at = records.findIndex(wanted);
      const [found] = at < 0 ? [] : records.splice(at, 1);
      if (found !== undefined) return found;
      const next = Promise.withResolvers<void>();
      this.#waiting.push(next.resolve);
      await Promise.race([
        next.promise,
        once(deadline, 'abort').then(() => {
          throw new Error(`no such record; there are ${JSON.stringify(records)}`);
        }),
      ]);
    }
  }

  /** Waits until `holds` does; for what has no event of its own. */
  async until(holds: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = performance.now() + 15_000;
    while (!(await holds())) {
      if (performance.now() > deadline) throw new Error('it did not come true in time');
      await delay(10);
    }
  }

  #packed(): Uint8Array<ArrayBuffer> {
    const { services, policies } = this;
    const workloads = this.pods.map((pod) => pod.workload);
    return packUpdate(snapshot({ workloads, services, policies }, this.#version));
  }
}
