/**
 * A data worker without its thread: what main tells it, applied to pods, keys and the world.
 *
 * It owns all of the worker's state. worker.ts gives it the loop and the port to main.
 */
import { BalanceState } from '#common/decide/balance-state.ts';
import type { Loop, Task } from '#common/engine/loop.ts';
import { createTlsContext } from '#common/engine/tls-context.ts';
import type { TlsContext } from '#common/engine/tls-context.ts';
import { MeshError } from '#common/errors.ts';
import type { Identity } from '#common/identity.ts';
import type { Fields, Level } from '#common/log.ts';
import { View } from '#common/mesh/view.ts';
import type { Applied } from '#common/mesh/view.ts';
import { acceptOutbound } from './accept-outbound.ts';
import { DnsService } from './dns.ts';
import { FlowTable } from './flow-table.ts';
import { LiveConnections } from './live.ts';
import type {
  FromWorker,
  Listener,
  PodPlan,
  ProbeToken,
  ToWorker,
  WorkerStart,
} from './messages.ts';
import { Offenders } from './offenders.ts';
import type { Peer } from './offenders.ts';
import { Outbox } from './outbox.ts';
import { acceptPlain } from './passthrough.ts';
import { Ownership } from './ownership.ts';
import type { OwnershipDeps } from './ownership.ts';
import { Pod } from './pod.ts';
import { profileThread } from './profile.ts';
import { acceptTunnel } from './served-tunnel.ts';
import type { Shared } from './shared.ts';
import { Updates } from './updates.ts';

const TICK_MS = 1_000;

export class Station implements Task {
  readonly #loop: Loop;
  readonly #post: (message: FromWorker) => void;
  readonly #shared: Shared;
  readonly #table: FlowTable;
  readonly #outbox: Outbox;
  readonly #dns: DnsService;
  readonly #updates: Updates;
  readonly #ownership: Ownership;
  readonly #pods = new Map<string, Pod>();
  readonly #contexts = new Map<Identity, TlsContext>();
  readonly #probes = new Set<string>();
  readonly #resolving = new Map<number, (addresses: readonly string[]) => void>();
  #lastAsk = 0;
  #isRecheckDue = false;

  constructor(
    loop: Loop,
    start: WorkerStart,
    { post, hold }: { post: (message: FromWorker) => void; hold: OwnershipDeps['hold'] },
  ) {
    this.#loop = loop;
    this.#post = post;
    const table = new FlowTable(start.counters, (row, labels) =>
      post({ kind: 'labels', row, labels }),
    );
    this.#table = table;
    this.#outbox = new Outbox(loop, table, start.accessLog, (ended) =>
      post({ kind: 'ended', ...ended }),
    );
    const view = new View();
    this.#shared = {
      loop,
      view,
      balance: new BalanceState({ now: () => loop.now, random: Math.random }),
      table,
      flows: {
        worker: start.worker,
        table,
        tell: (record) => this.#outbox.add(record),
        now: () => performance.now(),
        version: () => view.version,
      },
      live: new LiveConnections(loop),
      contexts: this.#contexts,
      offenders: new Offenders(),
      offend: (peer, reason) => this.#offend(peer, reason),
      takeProbe: (token) => this.#probes.delete(keyOf(token)),
      tellProbe: (arrival) => post({ kind: 'probe', arrival }),
      resolve: (hostname, answer) => this.#resolve(hostname, answer),
      log: (level, message, fields) => this.log(level, message, fields),
    };
    this.#updates = new Updates({
      loop,
      view,
      live: this.#shared.live,
      applied: (applied) => this.#looksAnew(applied),
      failed: (error) => this.log('error', 'an update cannot be applied', describeFault(error)),
    });
    this.#dns = new DnsService(this.#shared);
    this.#ownership = new Ownership({
      loop,
      pods: this.#pods,
      post,
      hold,
      stopAccepting: () => this.#stopAccepting(),
      recheck: () => this.#recheckSoon(),
    });
    loop.timers.after(TICK_MS, this);
  }

  log(level: Level, message: string, fields: Fields): void {
    this.#post({ kind: 'log', level, message, fields });
  }

  /** Once a second. */
  run(): void {
    this.#loop.timers.after(TICK_MS, this);
    for (const pod of this.#pods.values()) pod.onTick(this.#loop.now);
  }

  handle(message: ToWorker): void {
    switch (message.kind) {
      case 'update':
        this.#updates.add(message.packed);
        break;
      case 'credentials':
        this.#setContext(message.identity, createTlsContext(message.credentials));
        break;
      case 'forget credentials':
        this.#setContext(message.identity, undefined);
        break;
      case 'pod':
        this.#addPod(message.pod, message.listeners);
        break;
      case 'remove pod':
        this.#removePod(message);
        break;
      case 'expect probe':
        this.#probes.add(keyOf(message.token));
        this.#post({ kind: 'done', ask: message.ask });
        break;
      case 'settle':
        this.#updates.whenApplied(() => this.#post({ kind: 'done', ask: message.ask }));
        break;
      case 'hold':
        this.#shared.offenders.note(message.peer, this.#loop.now);
        break;
      case 'forget probe':
        this.#probes.delete(keyOf(message.token));
        break;
      case 'resolved':
        this.#resolving.get(message.query)?.(message.addresses);
        this.#resolving.delete(message.query);
        break;
      case 'connections':
        this.#post({
          kind: 'connections',
          ask: message.ask,
          connections: this.#shared.live.list(),
        });
        break;
      case 'profile': {
        const { ask, of: kind, ms } = message;
        profileThread(this.#loop, { kind, ms }, (profile) =>
          this.#post({ kind: 'profile', ask, profile }),
        );
        break;
      }
      case 'release listeners':
        this.#release(new Set(message.fds));
        this.#post({ kind: 'done', ask: message.ask });
        break;
      case 'stop accepting':
        this.#stopAccepting();
        this.#post({ kind: 'done', ask: message.ask });
        break;
      case 'give':
        this.#ownership.give(message);
        break;
      case 'take':
        this.#ownership.take(message);
        break;
      case 'owner':
        this.#post({ kind: 'done', ask: message.ask });
        break;
      case 'drain':
        this.#drain(message);
        break;
      case 'stop':
        this.#outbox.run();
        this.#loop.stop();
        break;
    }
  }

  #looksAnew(applied: Applied): void {
    this.#table.set('version', applied.version);
    for (const pod of this.#pods.values()) pod.decisions.forget();
    for (const pod of this.#pods.values()) pod.changed();
    for (const pod of this.#pods.values()) pod.dropGonePeers(applied);
    this.#recheckSoon();
  }

  /** Several updates that come together cost one look at the connections. */
  #recheckSoon(): void {
    if (this.#isRecheckDue) return;
    this.#isRecheckDue = true;
    this.#loop.atPassEnd({
      run: () => {
        this.#isRecheckDue = false;
        this.#shared.live.recheckAll();
      },
    });
  }

  #setContext(identity: Identity, context: TlsContext | undefined): void {
    this.#contexts.get(identity)?.dispose();
    if (context === undefined) this.#contexts.delete(identity);
    else this.#contexts.set(identity, context);
    for (const pod of this.#pods.values()) {
      if (pod.plan.identity === identity) pod.readiness.changed();
    }
  }

  #addPod(plan: PodPlan, listeners: readonly Listener[]): void {
    const pod =
      this.#pods.get(plan.podUid) ??
      new Pod(this.#shared, plan, {
        outbound: acceptOutbound,
        inbound: acceptPlain,
        tunnel: acceptTunnel,
        'dns-tcp': (to, fd) => this.#dns.accept(to, fd),
      });
    pod.plan = plan;
    pod.decisions.forget();
    this.#pods.set(plan.podUid, pod);
    for (const listener of listeners) {
      if (listener.service === 'dns-udp') this.#dns.listen(pod, listener.fd);
      else pod.listen(listener);
    }
    pod.readiness.changed();
  }

  #removePod({ ask, podUid, drainMs }: Extract<ToWorker, { kind: 'remove pod' }>): void {
    const pod = this.#pods.get(podUid);
    if (pod === undefined) {
      this.#post({ kind: 'done', ask });
      return;
    }
    this.#dns.leave(podUid);
    pod.drain(drainMs, () => {
      this.#pods.delete(podUid);
      this.#post({ kind: 'done', ask });
    });
  }

  #release(fds: ReadonlySet<number>): void {
    for (const pod of this.#pods.values()) pod.release(fds);
    this.#dns.release(fds);
  }

  #stopAccepting(): void {
    for (const [podUid, pod] of this.#pods) {
      pod.stopAccepting();
      this.#dns.leave(podUid);
    }
  }

  #drain({ ask, drainMs }: Extract<ToWorker, { kind: 'drain' }>): void {
    let left = this.#pods.size;
    const done = (): void => {
      left -= 1;
      if (left > 0) return;
      this.#outbox.run();
      this.#post({ kind: 'done', ask });
    };
    if (left === 0) {
      left = 1;
      done();
      return;
    }
    this.#stopAccepting();
    for (const pod of this.#pods.values()) pod.drain(drainMs, done);
  }

  #offend(peer: Peer, reason: string): void {
    const holdMs = this.#shared.offenders.note(peer, this.#loop.now);
    if (holdMs === 0) return;
    this.#table.count('peersHeld');
    this.#post({ kind: 'offence', peer, holdMs, reason });
  }

  #resolve(hostname: string, answer: (addresses: readonly string[]) => void): void {
    this.#lastAsk += 1;
    this.#resolving.set(this.#lastAsk, answer);
    this.#post({ kind: 'resolve', query: this.#lastAsk, hostname });
  }
}

function keyOf({ podUid, address, port }: ProbeToken): string {
  return `${podUid} ${address} ${port}`;
}

/** What the loop met where nobody else could take it. */
export function describeFault(error: unknown): Fields {
  if (error instanceof MeshError) return { code: error.code, error: error.message };
  return { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}
