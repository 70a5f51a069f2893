/**
 * One stream of a tunnel that leads to a pod: judged, connected to the application, carried.
 *
 * The trees are those of hbone.md section 3.2. The destination is the pod whose namespace took the
 * tunnel, never what the caller writes; the application sees the caller's address; 200 is said only
 * when the application has accepted. Policy is asked with what the certificate proved, and asked
 * again whenever the world changes.
 */
import { familyOf, isLoopback } from '#common/address.ts';
import { connectTcp } from '#common/engine/tcp.ts';
import type { TcpOwner, TcpSocket } from '#common/engine/tcp.ts';
import { MeshError } from '#common/errors.ts';
import type { ConnectRequest, InvalidRequest } from '#common/hbone/headers.ts';
import type { StreamState } from '#common/hbone/session-state.ts';
import type { Stream, StreamOwner } from '#common/hbone/stream.ts';
import type { Identity } from '#common/identity.ts';
import { errnoName } from '#common/sys/constants.ts';
import type { Slab } from '#common/sys/slab.ts';
import type { Endpoint } from '#common/sys/sockaddr.ts';
import { refusalOf, revocationOf } from './admission.ts';
import type { Arrival } from './admission.ts';
import { Flow } from './flow.ts';
import type { Descriptors, Given, InboundState } from './handover-state.ts';
import * as limits from './limits.ts';
import type { LiveConnection } from './live.ts';
import type { RelayOwner } from './plain-relay.ts';
import type { Pod } from './pod.ts';
import type { Ending } from './record.ts';
import { responseTo, serviceOf, traceIdOf } from './request.ts';
import { openLocal } from './sockets.ts';
import { StreamRelay } from './stream-relay.ts';

export interface InboundStreamDeps {
  readonly tunnel: Carrier;
  readonly stream: Stream;
  readonly source: Endpoint;
  readonly local: Endpoint;
  readonly identity: Identity;
}

/** The tunnel on which it came, as far as the stream has to do with it. */
export interface Carrier {
  readonly stage: Slab;
  streamOf(state: StreamState): Stream;
}

export class InboundStream implements LiveConnection, TcpOwner, StreamOwner, RelayOwner {
  readonly flow: Flow;
  readonly tunnel: Carrier;
  readonly #pod: Pod;
  readonly #stream: Stream;
  readonly #local: Endpoint;
  #arrival: Arrival;
  #app: TcpSocket | undefined;
  #relay: StreamRelay | undefined;
  #earlyBytes = 0;
  #earlyEnd = false;
  #isDone = false;

  constructor(pod: Pod, deps: InboundStreamDeps, flow?: Flow) {
    const { tunnel, stream, source, local, identity } = deps;
    this.#pod = pod;
    this.tunnel = tunnel;
    this.#stream = stream;
    this.#local = local;
    this.#arrival = {
      identity,
      sourceAddress: source.address,
      destinationAddress: local.address,
      destinationPort: 0,
    };
    this.flow =
      flow ??
      new Flow(pod.shared.flows, {
        direction: 'inbound',
        podUid: pod.plan.podUid,
        source: { ...source, workload: pod.decisions.workloadAt(source.address), identity },
        destination: { ...local, workload: pod.workload(), identity: pod.plan.identity },
      });
    this.flow.security = 'mutual_tls';
    stream.owner = this;
    pod.shared.live.add(this);
  }

  begin(request: ConnectRequest | InvalidRequest): void {
    if ('invalid' in request) {
      this.#refuse(
        400,
        new MeshError('HBONE_PROTOCOL_ERROR', `Cannot serve a request: ${request.invalid}`),
      );
      return;
    }
    const { view } = this.#pod.shared;
    const workload = this.#pod.workload();
    const { authority } = request;
    this.flow.hboneAddress = authority;
    this.flow.traceId = traceIdOf(request.traceparent);
    if (isLoopback(this.#local.address)) {
      this.#refuse(
        400,
        new MeshError('DESTINATION_MISMATCH', 'Cannot serve a tunnel on a loopback address'),
      );
      return;
    }
    const target = this.#pod.decisions.target(authority, this.#local.address);
    if (target.kind === 'refuse') {
      const { code, reason } = target;
      this.#refuse(target.status, new MeshError(code, `Cannot serve "${authority}": ${reason}`));
      return;
    }
    this.flow.service = serviceOf(view, workload, {
      authority,
      forwarded: request.forwarded,
    });
    this.flow.destination.port = target.port;
    this.#arrival = { ...this.#arrival, destinationPort: target.port };
    const refusal = refusalOf(this.#pod, this.flow, this.#arrival);
    if (refusal === undefined) this.#connect(target.port);
    else this.#refuse(refusal.code === 'POLICY_DENIED' ? 401 : 503, refusal);
  }

  recheck(): void {
    if (this.#arrival.destinationPort === 0) return;
    const revoked = revocationOf(this.#pod, this.flow, this.#arrival);
    if (revoked !== undefined) this.cut(revoked);
  }

  cut(error: MeshError): void {
    if (this.#relay !== undefined) this.#relay.cut(error);
    else this.#refuse(error.code === 'POLICY_CHANGED' ? 401 : 503, error);
  }

  /** The application has accepted. */
  onConnected(): void {
    const app = this.#app;
    if (app === undefined || this.#isDone) return;
    this.#stream.respond(200, responseTo(this.#pod.workload()));
    this.flow.open();
    const relay = this.#newRelay(app);
    this.#relay = relay;
    relay.adopt(this.#earlyBytes, this.#earlyEnd);
    relay.start();
  }

  state(descriptors: Descriptors): InboundState | undefined {
    const app = this.#app === undefined ? undefined : descriptors.socket(this.#app);
    if (app === undefined) return undefined;
    const identity = this.#arrival.identity ?? null;
    return {
      kind: 'inbound',
      flow: this.flow.state(),
      arrival: { ...this.#arrival, identity },
      app,
      earlyBytes: this.#earlyBytes,
      earlyEnd: this.#earlyEnd,
      relay: this.#relay?.state() ?? { stream: this.#stream.state() },
    };
  }

  restore(state: InboundState, given: Given): void {
    this.#arrival = { ...state.arrival, identity: state.arrival.identity ?? undefined };
    this.#earlyBytes = state.earlyBytes;
    this.#earlyEnd = state.earlyEnd;
    const app = given.socket(state.app, this);
    this.#app = app;
    if (!('owed' in state.relay)) return;
    this.#relay = this.#newRelay(app);
    this.#relay.restore(state.relay);
  }

  release(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#relay?.release();
    this.#app?.release();
    this.flow.release();
    this.#pod.shared.live.remove(this);
  }

  onReadable(): void {
    // Nothing is read from the application before there is a relay.
  }

  onWritable(): void {
    // Nothing is written to it before there is a relay.
  }

  onClosed(error: MeshError | undefined): void {
    this.#refuse(
      503,
      error ?? new MeshError('CONNECT_FAILED', 'Cannot connect to the application'),
    );
  }

  onResponse(): void {
    // A server gets none.
  }

  /** A peer may send before it has its answer: that waits in the queue, within its window. */
  onData(bytes: Buffer, from: number, to: number): void {
    this.#earlyBytes += to - from;
    this.#app?.write(bytes, from, to);
  }

  onEnd(): void {
    this.#earlyEnd = true;
  }

  onReset(): void {
    this.#end('reset by source');
  }

  onSendRoom(): void {
    // Nothing is sent before there is a relay.
  }

  onLost(error: MeshError): void {
    this.#end('failed', error);
  }

  onRelayEnd(ending: Ending, error?: MeshError): void {
    this.#end(ending, error);
  }

  #newRelay(socket: TcpSocket): StreamRelay {
    const { loop } = this.#pod.shared;
    const { stage } = this.tunnel;
    const { flow } = this;
    return new StreamRelay({ loop, stage, stream: this.#stream, socket, flow, owner: this });
  }

  #connect(port: number): void {
    const { plan, shared } = this.#pod;
    const { address } = this.#local;
    // A pod that calls itself has no address but its own to be seen by.
    const isOwn = plan.addresses.includes(this.#arrival.sourceAddress);
    const keeps = plan.options.keepSourceAddress !== false && !isOwn;
    const fd = openLocal(plan.netns, address, keeps ? this.#arrival.sourceAddress : '');
    if (fd < 0) {
      this.#refuse(
        503,
        new MeshError('CONNECT_FAILED', `Cannot connect to the application: ${errnoName(fd)}`),
      );
      return;
    }
    const to = { address, port, family: familyOf(address), timeoutMs: limits.CONNECT_TIMEOUT_MS };
    this.#app = connectTcp(shared.loop, fd, to, this);
  }

  #refuse(status: number, error: MeshError): void {
    if (this.#isDone) return;
    this.#stream.respond(status, { reason: error.code });
    this.#end('refused', error);
  }

  #end(ending: Ending, error?: MeshError): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#app?.destroy(true);
    this.flow.end(ending, error);
    this.#pod.shared.live.remove(this);
  }
}
