/**
 * The data workers as the agent sees them: give them the world, pods and certificates; take records.
 *
 * A connection stays with the worker that accepted it. Each pod has, per worker, one listener of
 * every kind with SO_REUSEPORT, all of them held open here: when a worker dies, its connections are
 * cut, and another one accepts at its listeners, with what is queued in them, until its successor
 * can; nothing else is disturbed.
 */
import { closeSync } from 'node:fs';
import type { Identity } from '#common/identity.ts';
import type { Logger } from '#common/log.ts';
import type { AccessLog } from './access-line.ts';
import type { FlowReader, FlowRow, Totals } from './flow-table.ts';
import { sumTotals } from './flow-table.ts';
import type {
  Credentials,
  FromWorker,
  Listener,
  PodPlan,
  ProbeArrival,
  ProbeToken,
  ToWorker,
} from './messages.ts';
import { Deaths, DEATHS_MINUTE_MS } from './deaths.ts';
import { closeOrphans } from './orphans.ts';
import type { ProfileKind } from './profile.ts';
import { readRecords } from './record.ts';
import type { ConnectionInfo, ConnectionRecord } from './record.ts';
import { Names } from './names.ts';
import { openListeners, servicesOf } from './sockets.ts';
import { WorkerHost } from './worker-host.ts';

export interface DataPlaneOptions {
  readonly workers: number;
  readonly log: Logger;
  /** Absent: `onClosed` gets a record for every connection, and no lines. */
  readonly accessLog?: AccessLog;
  /** Connections that have ended, in batches. */
  readonly onClosed: (closed: Closed) => void;
  readonly onProbe: (arrival: ProbeArrival) => void;
  /** Workers die again and again; called for what undoes it, once that is over. */
  readonly blockedBy: (name: string) => () => void;
  /** The whole world, packed, for a worker that starts later than the others. */
  readonly snapshot: () => Uint8Array | undefined;
}

export interface Closed {
  readonly count: number;
  /** Their lines of the access log, joined; '' when there is none. */
  readonly lines: string;
  /** Those that are counted by what policy said of them, or all; see `accessLog`. */
  readonly records: readonly ConnectionRecord[];
}

export interface DataPod extends PodPlan {
  /** Listeners of a predecessor, as `listeners()` gave them there. */
  readonly listeners?: readonly Listener[];
}

export interface PodListeners {
  readonly podUid: string;
  readonly listeners: readonly Listener[];
}

interface Place {
  plan: PodPlan;
  /** By worker number. */
  readonly shares: Listener[][];
}

/** Workers that died are remembered for their counters, but not without end. */
const MOST_RETIRED = 16;

export class DataPlane {
  readonly #options: DataPlaneOptions;
  readonly #hosts: WorkerHost[] = [];
  /** By share: the worker that accepts at its listeners; none while no worker lives. */
  readonly #acceptors: (WorkerHost | undefined)[] = [];
  readonly #places = new Map<string, Place>();
  /** Pods that are being removed: their listeners are open still. */
  readonly #leaving = new Set<Place>();
  readonly #credentials = new Map<Identity, Credentials>();
  readonly #retired: FlowReader[] = [];
  readonly #names = new Names();
  readonly #deaths = new Deaths();
  #isStopping = false;
  #settledDown: (() => void) | undefined;

  constructor(options: DataPlaneOptions) {
    this.#options = options;
  }

  start(): void {
    for (let n = 0; n < this.#options.workers; n += 1) {
      const host = this.#newHost(n);
      this.#hosts.push(host);
      this.#acceptors.push(host);
    }
  }

  /** Applies a packed update in every worker. */
  applyUpdate(packed: Uint8Array): void {
    // Shared memory: one copy for all workers, however many they are.
    const shared = new Uint8Array(new SharedArrayBuffer(packed.length));
    shared.set(packed);
    this.#post({ kind: 'update', packed: shared });
  }

  /** Resolves when every worker has in force all that it was told so far. */
  async settled(): Promise<void> {
    await this.#askAll((host) => host.ask({ kind: 'settle' }));
  }

  setCredentials(identity: Identity, credentials: Credentials): void {
    this.#credentials.set(identity, credentials);
    this.#post({ kind: 'credentials', identity, credentials });
  }

  removeCredentials(identity: Identity): void {
    this.#credentials.delete(identity);
    this.#post({ kind: 'forget credentials', identity });
  }

  /** Begins to serve a pod, or changes what is known of it; throws when it cannot be listened in. */
  addPod({ listeners = [], ...plan }: DataPod): void {
    const place = this.#places.get(plan.podUid) ?? { plan, shares: [] };
    place.plan = plan;
    const wanted = servicesOf(plan.options.dns !== undefined);
    const inherited = listeners.filter(({ service }) => wanted.includes(service));
    this.#places.set(plan.podUid, place);
    for (const [n, host] of this.#hosts.entries()) {
      const share = (place.shares[n] ??= []);
      const had = new Set(share.map(({ service }) => service));
      const given = inherited.filter((_, i) => i % this.#hosts.length === n);
      const services = new Set(given.map(({ service }) => service));
      const missing = wanted.filter((s) => !had.has(s) && !services.has(s));
      try {
        given.push(...(missing.length > 0 ? openListeners(plan.netns, missing) : []));
      } catch (error) {
        if (share.length === 0) void this.#remove(plan.podUid, place, 0);
        throw error;
      }
      share.push(...given);
      const acceptor = this.#acceptors[n];
      host.post({ kind: 'pod', pod: plan, listeners: acceptor === host ? given : [] });
      if (acceptor !== host) acceptor?.post({ kind: 'pod', pod: plan, listeners: given });
    }
  }

  /** Takes nothing new for a pod, lets its connections end for `drainMs`, then cuts them. */
  async removePod(podUid: string, drainMs: number): Promise<void> {
    const place = this.#places.get(podUid);
    if (place === undefined) return;
    await this.#remove(podUid, place, drainMs);
  }

  /** All listeners, for a successor; they stay open here. */
  listeners(): PodListeners[] {
    return Array.from(this.#places, ([podUid, { shares }]) => ({
      podUid,
      listeners: shares.flat(),
    }));
  }

  /**
   * Stops accepting, for good: a successor does now. The listeners close here without harm to what
   * is queued in them, since the successor holds them as well.
   */
  async releaseListeners(): Promise<void> {
    await this.#askAll((host) => host.ask({ kind: 'stop accepting' }));
    for (const place of this.#places.values()) closeAll(place);
  }

  /** Resolves when every worker knows the token, so that the probe may begin. */
  async expectProbe(token: ProbeToken): Promise<void> {
    await this.#askAll((host) => host.ask({ kind: 'expect probe', token }));
  }

  forgetProbe(token: ProbeToken): void {
    this.#post({ kind: 'forget probe', token });
  }

  /** Connections that live now. */
  async connections(): Promise<ConnectionInfo[]> {
    const replies = await this.#askAll((host) => host.ask({ kind: 'connections' }));
    return replies.flatMap((reply) => (reply.kind === 'connections' ? reply.connections : []));
  }

  /** A profile of one worker, as the JSON of a profile file; undefined when there is no such worker. */
  async profile(worker: number, of: ProfileKind, ms: number): Promise<string | undefined> {
    const reply = await this.#hosts[worker]?.ask({ kind: 'profile', of, ms });
    return reply?.kind === 'profile' ? reply.profile : undefined;
  }

  /** For tests of just that: ends a worker's thread as a fault in it would. */
  kill(worker: number): boolean {
    return this.#hosts[worker]?.kill() ?? false;
  }

  get deaths(): number {
    return this.#deaths.count;
  }

  flows(): FlowRow[] {
    return this.#readers().flatMap((reader) => reader.rows());
  }

  totals(): Totals {
    const live = this.running().map((host) => host.flows.totals());
    const all = [...live, ...this.#retired.map((reader) => reader.totals())];
    const versions = live.length === 0 ? [0] : live.map(({ version }) => version);
    // Of the versions only that of the worker furthest behind says something.
    return { ...sumTotals(all), version: Math.min(...versions) };
  }

  /** Stops accepting and resolves when every connection has ended, or been cut after `drainMs`. */
  async drain(drainMs: number): Promise<void> {
    await this.#askAll((host) => host.ask({ kind: 'drain', drainMs }));
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#hosts.map(async (host) => host.stop()));
    for (const place of this.#places.values()) closeAll(place);
    this.#places.clear();
  }

  #newHost(number: number): WorkerHost {
    return new WorkerHost(number, this.#options.accessLog, {
      onMessage: (message, host) => this.#take(message, host),
      onDeath: (host, cause) => this.#replace(host, cause),
    });
  }

  #take(message: FromWorker, host: WorkerHost): void {
    if (message.kind === 'ended')
      this.#options.onClosed({ ...message, records: readRecords(message.records) });
    else if (message.kind === 'probe') this.#options.onProbe(message.arrival);
    else if (message.kind === 'resolve') void this.#resolve(message, host);
    else if (message.kind === 'offence') this.#hold(message, host);
    else if (message.kind === 'log')
      this.#options.log[message.level](message.message, message.fields);
  }

  /** What one worker saw of a peer counts in all. */
  #hold(offence: Extract<FromWorker, { kind: 'offence' }>, seenBy: WorkerHost): void {
    const { peer, holdMs, reason } = offence;
    this.#options.log.warn('a peer is held for breaking the rules', { ...peer, holdMs, reason });
    for (const host of this.running()) if (host !== seenBy) host.post({ kind: 'hold', peer });
  }

  async #resolve(
    { query, hostname }: Extract<FromWorker, { kind: 'resolve' }>,
    host: WorkerHost,
  ): Promise<void> {
    const addresses = await this.#names.addressesOf(hostname);
    host.post({ kind: 'resolved', query, addresses });
  }

  #replace(dead: WorkerHost, cause: unknown): void {
    const n = dead.number;
    const keep = new Set<number>();
    for (const { shares } of [...this.#places.values(), ...this.#leaving]) {
      for (const { fd } of shares.flat()) keep.add(fd);
    }
    const cut = closeOrphans(dead.event, keep);
    dead.flows.endGauges();
    this.#retired.push(dead.flows);
    if (this.#retired.length > MOST_RETIRED) this.#retired.shift();
    for (const [share, acceptor] of this.#acceptors.entries()) {
      if (acceptor === dead) this.#acceptors[share] = undefined;
    }
    const [standIn] = this.running();
    if (standIn !== undefined) this.#takeShares(standIn);
    const { log } = this.#options;
    log.error('data worker died', { worker: n, cut, standIn: standIn?.number, error: cause });
    if (this.#isStopping) return;
    const { pauseMs, isRepeated } = this.#deaths.note(performance.now());
    if (isRepeated) this.#report(pauseMs);
    if (pauseMs === 0) this.#revive(n);
    else setTimeout(() => this.#revive(n), pauseMs).unref();
  }

  #revive(n: number): void {
    if (this.#isStopping) return;
    const host = this.#newHost(n);
    this.#hosts[n] = host;
    const packed = this.#options.snapshot();
    if (packed !== undefined) host.post({ kind: 'update', packed });
    for (const [identity, credentials] of this.#credentials) {
      host.post({ kind: 'credentials', identity, credentials });
    }
    for (const { plan } of this.#places.values()) {
      host.post({ kind: 'pod', pod: plan, listeners: [] });
    }
    this.#takeShares(host);
    void this.#takeBack(n, host).catch(() => undefined); // It died as well: its share has been given on.
  }

  /** Lets a worker accept at all shares where nobody does. */
  #takeShares(host: WorkerHost): void {
    for (const share of this.#acceptors.keys()) {
      if (this.#acceptors[share] !== undefined) continue;
      this.#acceptors[share] = host;
      this.#giveListeners(share, host);
    }
  }

  /** Once a new worker runs, the one that stood in for its predecessor lets go. */
  async #takeBack(n: number, host: WorkerHost): Promise<void> {
    const startedAt = performance.now();
    await host.ask({ kind: 'settle' });
    const standIn = this.#acceptors[n];
    if (standIn !== host) {
      this.#acceptors[n] = host;
      const fds = [...this.#places.values()].flatMap(({ shares }) => shares[n] ?? []);
      const release = { kind: 'release listeners', fds: fds.map(({ fd }) => fd) } as const;
      // One that died meanwhile has let go.
      await standIn?.ask(release).catch(() => undefined);
      if (this.#acceptors[n] !== host) return;
      this.#giveListeners(n, host);
    }
    const ms = Math.round(performance.now() - startedAt);
    this.#options.log.info('data worker replaced', { worker: n, ms });
  }

  #giveListeners(share: number, host: WorkerHost): void {
    for (const { plan, shares } of this.#places.values()) {
      host.post({ kind: 'pod', pod: plan, listeners: shares[share] ?? [] });
    }
  }

  /** Says that workers die again and again, until a minute has passed without that. */
  #report(pauseMs: number): void {
    const deaths = this.#deaths.count;
    this.#options.log.error('data workers die again and again', { deaths, pauseMs });
    if (this.#settledDown !== undefined) return;
    this.#settledDown = this.#options.blockedBy('data workers that stay alive');
    const look = setInterval(() => {
      if (!this.#isStopping && !this.#deaths.isQuiet(performance.now())) return;
      clearInterval(look);
      this.#settledDown?.();
      this.#settledDown = undefined;
    }, DEATHS_MINUTE_MS / 60).unref();
  }

  #readers(): FlowReader[] {
    return [...this.#retired, ...this.running().map((host) => host.flows)];
  }

  /** The workers that are alive, for a hand-over (live-handover.ts). */
  running(): WorkerHost[] {
    return this.#hosts.filter((host) => host.isRunning);
  }

  #post(message: ToWorker): void {
    for (const host of this.#hosts) host.post(message);
  }

  /** A worker that dies while it is asked has nothing left to answer for. */
  async #askAll<T>(ask: (host: WorkerHost) => Promise<T>): Promise<T[]> {
    const replies = await Promise.allSettled(this.running().map((host) => ask(host)));
    return replies.filter((reply) => reply.status === 'fulfilled').map((reply) => reply.value);
  }

  async #remove(podUid: string, place: Place, drainMs: number): Promise<void> {
    this.#places.delete(podUid);
    this.#leaving.add(place);
    await this.#askAll((host) => host.ask({ kind: 'remove pod', podUid, drainMs }));
    this.#leaving.delete(place);
    closeAll(place);
  }
}

function closeAll({ shares }: Place): void {
  for (const share of shares) for (const { fd } of share.splice(0)) closeSync(fd);
}
