/**
 * A connection that a pod has begun: where it goes is decided, then it is carried there.
 *
 * The decision trees are those of hbone.md section 3.1. Until the far side has accepted, nothing is
 * read from the pod, so another endpoint may be tried without a byte lost or doubled; when all fail,
 * the pod's connection is reset. What belongs to the mesh never goes out in the clear because
 * something is missing.
 */
import type { Route } from '#common/decide/route.ts';
import { throughTunnel } from '#common/decide/target.ts';
import type { Target } from '#common/decide/target.ts';
import { TcpSocket } from '#common/engine/tcp.ts';
import type { TcpOwner } from '#common/engine/tcp.ts';
import { formatEndpoint } from '#common/address.ts';
import { MeshError } from '#common/errors.ts';
import type { ErrorCode } from '#common/errors.ts';
import type { ConnectRequest } from '#common/hbone/headers.ts';
import type { Endpoint } from '#common/sys/sockaddr.ts';
import { socketError } from '#common/sys/socket-options.ts';
import { noCertificate } from './client-tunnel.ts';
import type { ClientTunnel } from './client-tunnel.ts';
import type { Flow } from './flow.ts';
import type { AnewState, Descriptors, Given, OutboundState } from './handover-state.ts';
import * as limits from './limits.ts';
import type { LiveConnection } from './live.ts';
import { PlainAttempt } from './plain-attempt.ts';
import type { PlainAttemptOwner } from './plain-attempt.ts';
import { PlainRelay } from './plain-relay.ts';
import type { RelayOwner } from './plain-relay.ts';
import { nobody, notResolved } from './outbound-errors.ts';
import { goOn, wayState } from './outbound-way.ts';
import { Patience } from './patience.ts';
import type { Pod } from './pod.ts';
import type { Expectant } from './readiness.ts';
import type { Ending } from './record.ts';
import { connectRequest } from './request.ts';
import { openOutgoing } from './sockets.ts';
import { StreamRelay } from './stream-relay.ts';
import { targetOfState, targetState } from './target-state.ts';
import { TunnelAttempt } from './tunnel-attempt.ts';
import type { AttemptOwner, Carried, Retry } from './tunnel-attempt.ts';

export class Outbound
  implements TcpOwner, LiveConnection, AttemptOwner, PlainAttemptOwner, RelayOwner, Expectant
{
  readonly flow: Flow;
  readonly #pod: Pod;
  readonly #client: TcpSocket;
  readonly #destination: Endpoint;
  /** Uids of those that failed; most connections never need it. */
  #tried: Set<string> | undefined;
  #route: Extract<Route, { kind: 'endpoints' }> | undefined;
  #target: Target | undefined;
  #attempt: TunnelAttempt | PlainAttempt | undefined;
  #relay: PlainRelay | StreamRelay | undefined;
  #tunnel: ClientTunnel | undefined;
  #patience: Patience | undefined;
  /** Uid of the workload that counts this connection as its own. */
  #countedAt = '';
  #isDone = false;

  constructor(pod: Pod, fd: number, destination: Endpoint, flow: Flow) {
    this.#pod = pod;
    this.#destination = destination;
    this.flow = flow;
    pod.shared.live.add(this);
    this.#client = new TcpSocket(pod.shared.loop, fd, this);
  }

  begin(): void {
    const source = this.#pod.workload();
    const found = this.#pod.decisions.route(this.#destination);
    if (found.kind === 'refuse' && found.code === 'UNKNOWN_SOURCE') {
      if (!this.#pod.readiness.wait(this))
        this.refuse('LIMIT_REACHED', 'too many connections wait');
      return;
    }
    this.flow.source.workload = source;
    this.flow.service = found.service;
    if (found.kind === 'refuse') {
      this.refuse(found.code, found.reason);
      return;
    }
    if (found.kind === 'direct') {
      this.#pod.readiness.forget(this);
      this.#connectPlain(this.#destination);
      return;
    }
    this.#route = found;
    this.#tryNext(undefined);
  }

  onMaybeReady(): void {
    this.begin();
  }

  onGivenUp(): void {
    if (this.#pod.workload() === undefined) {
      this.refuse('UNKNOWN_SOURCE', 'the workload that connects is not known');
    } else this.#fail(noCertificate(this.#pod.plan.identity));
  }

  cut(error: MeshError): void {
    if (this.#relay === undefined) this.#fail(error);
    else this.#relay.cut(error);
  }

  recheck(): void {
    // Policy has its say where a connection ends, not where it begins.
  }

  /** Before there is a relay: a client that resets while it waits has given up. */
  onReadable(): void {
    if (this.#client.hungUp && socketError(this.#client.fd) > 0) this.#clientGone();
  }

  onWritable(): void {
    // Nothing is written to the client before there is a relay.
  }

  onClosed(): void {
    this.#clientGone();
  }

  get tunnel(): ClientTunnel | undefined {
    return this.#tunnel;
  }

  state(descriptors: Descriptors): OutboundState | AnewState | undefined {
    const client = descriptors.socket(this.#client);
    if (client === undefined) return undefined;
    const way = wayState(this.#relay, this.#attempt, descriptors);
    if (way === 'failed') return undefined;
    // Nothing has been read from the pod, nothing asked of anybody.
    if (way === undefined) return { kind: 'anew', service: 'outbound', fd: client.fd };
    return {
      kind: 'outbound',
      flow: this.flow.state(),
      client,
      destination: this.#destination,
      target: targetState(this.#target),
      tried: [...(this.#tried ?? NOBODY)],
      countedAt: this.#countedAt,
      way,
    };
  }

  restore(state: OutboundState, given: Given, tunnel: ClientTunnel | undefined): void {
    const { view, balance } = this.#pod.shared;
    this.#client.restore(state.client.tcp, given.queued(state.client));
    this.#tunnel = tunnel;
    this.#tried = new Set(state.tried);
    this.#target = targetOfState(view, state.target);
    this.#countedAt = state.countedAt;
    if (state.countedAt !== '') balance.opened(state.countedAt);
    const route = this.#pod.decisions.route(this.#destination);
    if (state.way.kind === 'asked' && route.kind === 'endpoints') this.#route = route;
    const deps = { pod: this.#pod, client: this.#client, flow: this.flow, owner: this, given };
    const way = goOn(state.way, deps, tunnel);
    if (way instanceof TunnelAttempt) this.#attempt = way;
    else this.#relay = way;
  }

  release(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#pod.readiness.forget(this);
    this.#patience?.cancel();
    if (this.#attempt instanceof TunnelAttempt) this.#attempt.release();
    else this.#attempt?.cancel();
    this.#relay?.release();
    this.#client.release();
    if (this.#countedAt !== '') this.#pod.shared.balance.closed(this.#countedAt);
    this.flow.release();
    this.#pod.shared.live.remove(this);
  }

  requestFor(tunnel: ClientTunnel): ConnectRequest {
    this.#tunnel = tunnel;
    this.flow.security = 'mutual_tls';
    this.flow.source.identity = this.#pod.plan.identity;
    this.flow.destination.identity = tunnel.peer;
    return connectRequest(this.flow);
  }

  onCarried({ stream, stage }: Carried): void {
    this.#attempt = undefined;
    this.#settled();
    const { loop } = this.#pod.shared;
    const { flow } = this;
    const socket = this.#client;
    const relay = new StreamRelay({ loop, stage, stream, socket, flow, owner: this });
    this.#relay = relay;
    relay.start();
  }

  onAttemptFailed(error: MeshError, retry: Retry): void {
    if (retry === 'no') this.#fail(error);
    else this.#tryNext(error, retry === 'again');
  }

  onPlainConnected(server: TcpSocket): void {
    this.#attempt = undefined;
    this.#settled();
    const sockets = { client: this.#client, server };
    const relay = new PlainRelay(this.#pod.shared.loop, this.flow, sockets, this);
    this.#relay = relay;
    relay.start();
  }

  onNotConnected(error: MeshError): void {
    if (this.#route === undefined) this.#fail(error);
    else this.#tryNext(error);
  }

  onRelayEnd(ending: Ending, error?: MeshError): void {
    this.#end(ending, error);
  }

  /** Picks an endpoint; after a failure another one, or the same `again` over another tunnel. */
  #tryNext(error: MeshError | undefined, again = false): void {
    if (this.#isDone) return;
    this.#tunnel = undefined;
    if (error !== undefined) {
      const uid = this.#target?.workload.uid;
      if (uid !== undefined && !again) {
        this.#tried ??= new Set();
        this.#tried.add(uid);
        // Who asks again and again has seen one failure, not twenty.
        if (this.#patience?.hasBegun !== true) this.#pod.shared.balance.failed(uid);
      }
      if (this.flow.retries >= limits.MOST_RETRIES) {
        this.#giveUp(error);
        return;
      }
    }
    const target = this.#route?.choose(this.#pod.shared.balance, this.#tried ?? NOBODY);
    if (target === undefined) {
      this.#giveUp(error ?? nobody(this.#destination, this.flow.service?.key ?? ''));
      return;
    }
    if (error !== undefined) {
      this.flow.retries += 1;
      this.#pod.shared.table.count('retries');
    }
    this.#goTo(target);
  }

  #goTo(target: Target): void {
    this.#target = target;
    if (target.tunnel === 'hbone' && this.#pod.context() === undefined) {
      // Nothing has been tried yet; the certificate may come.
      if (!this.#pod.readiness.wait(this)) this.#fail(noCertificate(this.#pod.plan.identity));
      return;
    }
    this.#pod.readiness.forget(this);
    this.flow.service = target.service;
    this.flow.destination.workload = target.workload;
    this.flow.destination.port = target.port;
    this.flow.destination.identity = '';
    if (target.address !== '') this.#goToAddress(target, target.address);
    else {
      this.#pod.shared.resolve(target.hostname, ([address]) => {
        if (this.#isDone || this.#target !== target) return;
        if (address === undefined) this.#tryNext(notResolved(target.hostname));
        else this.#goToResolved(target, address);
      });
    }
  }

  /** A name that turns out to be a pod of the mesh is reached like one, or not at all. */
  #goToResolved(target: Target, address: string): void {
    const known = throughTunnel(this.#pod.shared.view, target, address);
    if (known.tunnel === 'hbone' && this.#pod.context() === undefined) {
      this.#fail(noCertificate(this.#pod.plan.identity));
    } else this.#goToAddress(known, address);
  }

  #goToAddress(target: Target, address: string): void {
    this.flow.destination.address = address;
    if (target.tunnel === 'none') {
      this.flow.security = 'unknown';
      this.flow.hboneAddress = '';
      this.#connectPlain({ address, port: target.port });
      return;
    }
    this.flow.hboneAddress = formatEndpoint(address, target.port);
    const hop = {
      identity: this.#pod.plan.identity,
      expected: target.expected,
      address,
      port: limits.TUNNEL_PORT,
    };
    const attempt = new TunnelAttempt(this.#pod, hop, this);
    this.#attempt = attempt;
    attempt.begin();
  }

  #connectPlain(to: Endpoint): void {
    const attempt = new PlainAttempt(this.#pod, to, this);
    this.#attempt = attempt;
    attempt.begin(openOutgoing(this.#pod.plan.netns, to.address));
  }

  /** The far side has accepted. */
  #settled(): void {
    const uid = this.#target?.workload.uid;
    if (uid !== undefined) {
      this.#countedAt = uid;
      this.#pod.shared.balance.opened(uid);
    }
    this.flow.open();
  }

  #clientGone(): void {
    if (this.#relay === undefined) this.#end('reset by source');
  }

  refuse(code: ErrorCode, reason: string): void {
    const { address, port } = this.#destination;
    const to = formatEndpoint(address, port);
    this.#end('refused', new MeshError(code, `Cannot connect to "${to}": ${reason}`));
  }

  /** There is no other endpoint. */
  #giveUp(error: MeshError): void {
    this.#attempt = undefined;
    this.#tried = undefined;
    this.#patience ??= new Patience(this.#pod.shared.loop, () => this.begin());
    if (this.#target?.tunnel !== 'hbone' || !this.#patience.waits(error)) this.#fail(error);
  }

  #fail(error: MeshError): void {
    this.#end('failed', error);
  }

  /** Leaves nothing behind, whatever had begun. */
  #end(ending: Ending, error?: MeshError): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#pod.readiness.forget(this);
    this.#patience?.cancel();
    this.#attempt?.cancel();
    this.#client.destroy(true);
    const { balance, live } = this.#pod.shared;
    if (this.#countedAt !== '') balance.closed(this.#countedAt);
    this.flow.end(ending, error);
    live.remove(this);
  }
}

const NOBODY: ReadonlySet<string> = new Set();
