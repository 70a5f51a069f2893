/**
 * One captured pod in one worker: its listeners, its tunnels, who waits for what.
 *
 * A pod that drains takes nothing new, lets its connections end for a bounded time and then cuts
 * them. Its tunnels are never used by another pod, even one of the same identity: their sockets stand
 * in its network namespace and their address is what the far side sees.
 */
import { Listener } from '#common/engine/listener.ts';
import type { TlsContext } from '#common/engine/tls-context.ts';
import type { Applied } from '#common/mesh/view.ts';
import type { Workload } from '#common/mesh/workload.ts';
import { ClientTunnel } from './client-tunnel.ts';
import type { Descriptors, ServedTunnelState } from './handover-state.ts';
import type { Carrier } from './inbound.ts';
import type { Listener as GivenListener, PodPlan, Service } from './messages.ts';
import { TunnelPool } from './pool.ts';
import { Decisions } from './decisions.ts';
import { Readiness } from './readiness.ts';
import type { Shared } from './shared.ts';

/** What is done with a descriptor that a listener of this kind gave. */
export type Acceptors = Readonly<
  Record<Exclude<Service, 'dns-udp'>, (pod: Pod, fd: number) => void>
>;

/** A tunnel that others opened to this pod. */
export interface ServedTunnel extends Carrier {
  /** All there is beside its streams' users; undefined when it cannot move now. */
  state(descriptors: Descriptors): ServedTunnelState | undefined;
  /** Another process goes on with it: closes what is here without a word to the peer. */
  release(): void;
  /** Takes no more streams and closes when those it has are done. */
  retire(): void;
  /** The world has changed. */
  onWorld(applied: Applied): void;
  onTick(now: number): void;
}

export class Pod {
  plan: PodPlan;
  readonly shared: Shared;
  readonly pool: TunnelPool<ClientTunnel>;
  readonly readiness: Readiness;
  readonly decisions: Decisions;
  readonly served = new Set<ServedTunnel>();
  /** Handshakes at 15008 that have not ended. */
  handshakes = 0;
  readonly #acceptors: Acceptors;
  readonly #listeners = new Map<number, Listener>();
  #isLeaving = false;

  constructor(shared: Shared, plan: PodPlan, acceptors: Acceptors) {
    this.shared = shared;
    this.plan = plan;
    this.#acceptors = acceptors;
    this.decisions = new Decisions(shared.view, () => this.plan.uid);
    this.readiness = new Readiness(shared.loop);
    this.pool = new TunnelPool(
      (hop) => new ClientTunnel(this, hop),
      () => shared.loop.now,
    );
  }

  get isLeaving(): boolean {
    return this.#isLeaving;
  }

  /** Its record in the mesh, as it is now. */
  workload(): Workload | undefined {
    return this.decisions.workload();
  }

  /** The world has changed, or what is known of the pod: whoever waits for it may look again. */
  changed(): void {
    this.decisions.forget();
    this.readiness.changed();
  }

  /** Ends the tunnels whose far end has left the world; to be called when everybody knows that. */
  dropGonePeers(applied: Applied): void {
    for (const tunnel of Array.from(this.pool.tunnels())) tunnel.onWorld(applied);
    for (const tunnel of Array.from(this.served)) tunnel.onWorld(applied);
  }

  context(): TlsContext | undefined {
    return this.shared.contexts.get(this.plan.identity);
  }

  /** Accepts at a listener; DNS over UDP, which accepts nothing, is served elsewhere. */
  listen({ service, fd }: GivenListener): void {
    if (service === 'dns-udp' || this.#isLeaving || this.#listeners.has(fd)) return;
    const accept = this.#acceptors[service];
    const { loop, table, log } = this.shared;
    this.#listeners.set(
      fd,
      new Listener(loop, fd, {
        onAccept: (connection) => {
          table.count('accepted');
          accept(this, connection);
        },
        onExhausted: (error) => {
          table.count('acceptPauses');
          log('warn', 'accepting rests', { pod: this.plan.podUid, error: error.message });
        },
      }),
    );
  }

  /** Leaves the listeners alone, open for whoever holds them too. */
  stopAccepting(): void {
    this.release(new Set(this.#listeners.keys()));
  }

  /** The same for some of them. */
  release(fds: ReadonlySet<number>): void {
    for (const [fd, listener] of this.#listeners) {
      if (!fds.has(fd)) continue;
      listener.release();
      this.#listeners.delete(fd);
    }
  }

  /** Takes nothing new, tells the peers, and calls `done` when the last connection has ended. */
  drain(drainMs: number, done: () => void): void {
    this.#isLeaving = true;
    this.stopAccepting();
    for (const tunnel of Array.from(this.served)) tunnel.retire();
    const { live, loop } = this.shared;
    const podUid = this.plan.podUid;
    const timer = loop.timers.after(drainMs, { run: () => live.cutAll(podUid) });
    live.whenEmpty(podUid, () => {
      loop.timers.cancel(timer);
      this.pool.drain();
      for (const tunnel of Array.from(this.served)) tunnel.retire();
      done();
    });
  }

  /** Once a second: pings, and tunnels that nobody has used for long. */
  onTick(now: number): void {
    for (const tunnel of Array.from(this.pool.tunnels())) tunnel.onTick(now);
    for (const tunnel of Array.from(this.served)) tunnel.onTick(now);
    this.pool.sweep();
  }
}
