/**
 * A tunnel that somebody has opened to a pod: the server's half of mutual TLS and HTTP/2.
 *
 * Not a byte of HTTP/2 is looked at before the peer has shown the certificate of a workload in our
 * trust domain. What it asks for then is decided stream by stream (inbound.ts); a peer that is
 * refused before that still leaves a record.
 */
import type { TlsContext } from '#common/engine/tls-context.ts';
import { TlsConnection } from '#common/engine/tls-connection.ts';
import type { TlsOwner } from '#common/engine/tls-owner.ts';
import { peerIdentity } from '#common/engine/tls-peer.ts';
import type { TlsState } from '#common/engine/tls-state.ts';
import type { PeerCertificate } from '#common/engine/tls-peer.ts';
import { MeshError } from '#common/errors.ts';
import type { ConnectRequest, InvalidRequest } from '#common/hbone/headers.ts';
import { CODE } from '#common/http2/frames.ts';
import { HboneSession } from '#common/hbone/session.ts';
import type { SessionOwner } from '#common/hbone/session.ts';
import type { StreamState } from '#common/hbone/session-state.ts';
import type { Stream } from '#common/hbone/stream.ts';
import { identityParts } from '#common/identity.ts';
import type { Identity } from '#common/identity.ts';
import type { Applied } from '#common/mesh/view.ts';
import { closeFd, localOf, peerOf } from '#common/sys/libc.ts';
import type { Slab } from '#common/sys/slab.ts';
import type { Endpoint } from '#common/sys/sockaddr.ts';
import { setReset } from '#common/sys/socket-options.ts';
import { noCertificate } from './client-tunnel.ts';
import { Flow } from './flow.ts';
import type { Descriptors, ServedTunnelState } from './handover-state.ts';
import { InboundStream } from './inbound.ts';
import * as limits from './limits.ts';
import { PeerPresence } from './peer-presence.ts';
import type { Pod, ServedTunnel } from './pod.ts';
import type { Expectant } from './readiness.ts';
import { TunnelTrust } from './tunnel-trust.ts';

/** Takes a connection that came to port 15008 of a pod. */
export function acceptTunnel(pod: Pod, fd: number): void {
  const source = peerOf(fd);
  const local = localOf(fd);
  if (source === undefined || local === undefined) {
    closeFd(fd); // Reset already.
    return;
  }
  new Served(pod, fd, { source, local }).begin();
}

/** Goes on with a tunnel of a predecessor. */
export function restoreServed(pod: Pod, state: ServedTunnelState, fd: number): Served {
  const served = new Served(pod, fd, state);
  served.restore(state);
  return served;
}

export class Served implements TlsOwner, SessionOwner, ServedTunnel, Expectant {
  readonly #pod: Pod;
  readonly #fd: number;
  readonly #source: Endpoint;
  readonly #local: Endpoint;
  #tls: TlsConnection | undefined;
  #session: HboneSession | undefined;
  #peer: Identity | undefined;
  #context: TlsContext | undefined;
  #trust: TunnelTrust | undefined;
  #presence: PeerPresence | undefined;
  #failure: MeshError | undefined;
  #isShaking = false;
  #isRetired = false;

  constructor(pod: Pod, fd: number, ends: { source: Endpoint; local: Endpoint }) {
    this.#pod = pod;
    this.#fd = fd;
    this.#source = ends.source;
    this.#local = ends.local;
  }

  begin(): void {
    if (this.#pod.isLeaving) {
      this.#drop(new MeshError('STOPPING', 'Cannot accept a tunnel: the pod leaves the mesh'));
      return;
    }
    const context = this.#pod.context();
    if (context === undefined) {
      if (!this.#pod.readiness.wait(this)) this.onGivenUp();
      return;
    }
    this.#pod.readiness.forget(this);
    if (this.#pod.handshakes >= limits.MOST_HANDSHAKES) {
      this.#drop(new MeshError('LIMIT_REACHED', 'Cannot accept a tunnel: too many handshakes'));
      return;
    }
    const { offenders, loop, table } = this.#pod.shared;
    if (!offenders.mayShake(this.#source.address, loop.now)) {
      table.count('tunnelsRefused');
      this.#drop(new MeshError('LIMIT_REACHED', 'Cannot accept a tunnel: its address is held'));
      return;
    }
    this.#pod.handshakes += 1;
    this.#isShaking = true;
    this.#context = context;
    this.#tls = this.#newTls(context);
  }

  #newTls(context: TlsContext | TlsState): TlsConnection {
    const tls = new TlsConnection({
      loop: this.#pod.shared.loop,
      fd: this.#fd,
      context,
      role: 'server',
      owner: this,
      handshakeTimeoutMs: limits.HANDSHAKE_TIMEOUT_MS,
    });
    this.#pod.served.add(this);
    this.#pod.shared.table.count('serverTunnelsOpen');
    return tls;
  }

  #newSession(outlet: TlsConnection): HboneSession {
    return new HboneSession({ role: 'server', outlet, owner: this, now: () => this.#now() });
  }

  #now(): number {
    return this.#pod.shared.loop.now;
  }

  /** Who is at both ends. */
  get ends(): { source: Endpoint; local: Endpoint; identity: Identity } {
    if (this.#peer === undefined) throw new TypeError('Cannot tell who is there: no handshake');
    return { source: this.#source, local: this.#local, identity: this.#peer };
  }

  get stage(): Slab {
    if (this.#tls === undefined) throw new TypeError('Cannot write: the tunnel is not open');
    return this.#tls.stage;
  }

  streamOf(state: StreamState): Stream {
    if (this.#session === undefined) throw new TypeError('Cannot find a stream: no session');
    return this.#session.streamOf(state);
  }

  state(descriptors: Descriptors): ServedTunnelState | undefined {
    const session = this.#session?.state();
    const peer = this.#peer;
    if (session === undefined || peer === undefined) return undefined;
    const tls = this.#tls?.state();
    if (tls === undefined) return undefined;
    return {
      kind: 'served tunnel',
      source: this.#source,
      local: this.#local,
      fd: descriptors.add(this.#fd),
      tls,
      session,
      peer,
      roots: this.#trust?.roots ?? [],
      isRetired: this.#isRetired,
    };
  }

  restore({ tls, session, peer, roots, isRetired }: ServedTunnelState): void {
    this.#tls = this.#newTls(tls);
    this.#peer = peer;
    this.#trust = new TunnelTrust(tls.peer, { roots });
    const { address } = this.#source;
    this.#presence = new PeerPresence(this.#pod.shared.view, { address, identity: peer });
    this.#session = this.#newSession(this.#tls);
    this.#session.restore(session);
    this.#isRetired = isRetired;
  }

  /** Nothing keeps a tunnel that takes no new streams and has none. */
  goOn(): void {
    this.onIdle();
  }

  release(): void {
    if (this.#tls?.release() === undefined) return;
    closeFd(this.#fd);
    this.#pod.shared.table.count('serverTunnelsOpen', -1);
    this.#pod.served.delete(this);
  }

  onMaybeReady(): void {
    this.begin();
  }

  onGivenUp(): void {
    this.#drop(noCertificate(this.#pod.plan.identity));
  }

  retire(): void {
    this.#isRetired = true;
    this.#session?.goAway();
    if (this.#session === undefined) this.#tls?.destroy();
    else this.onIdle();
  }

  onWorld(applied: Applied): void {
    if (this.#presence?.leaves(applied) !== true) return;
    this.retire();
    this.#session?.doubt();
  }

  onTick(now: number): void {
    this.#presence?.look();
    if (this.#trust?.holds(this.#pod.context(), Date.now()) === false) this.retire();
    this.#session?.onTimer(now);
  }

  onSecure(certificate: PeerCertificate): boolean {
    this.#shaken();
    const identity = peerIdentity(certificate);
    if (identity === undefined || !this.#isOfOurDomain(identity)) {
      const shown = identity ?? certificate.uris.join(', ');
      this.#failure = new MeshError(
        'IDENTITY_REFUSED',
        `Cannot accept a tunnel from "${shown}": no workload of our trust domain`,
        { details: { shown } },
      );
      return false;
    }
    this.#peer = identity;
    this.#trust = new TunnelTrust(certificate, this.#context);
    const { address } = this.#source;
    this.#presence = new PeerPresence(this.#pod.shared.view, { address, identity });
    this.#pod.shared.table.count('handshakesAccepted');
    const tls = this.#tls;
    if (tls === undefined) return false;
    this.#session = this.#newSession(tls);
    this.#session.start();
    const heldMs = this.#pod.shared.offenders.heldMs({ identity, address }, this.#now());
    if (heldMs > 0) this.#refuse(identity, heldMs);
    return true;
  }

  onPlain(bytes: Buffer, from: number, to: number): void {
    this.#session?.receive(bytes, from, to);
  }

  onWritable(): void {
    this.#session?.onWritable();
  }

  onClosed(error: MeshError | undefined): void {
    this.#shaken();
    const { table } = this.#pod.shared;
    table.count('serverTunnelsOpen', -1);
    this.#pod.served.delete(this);
    if (this.#session === undefined) {
      table.count('handshakesFailed');
      this.#tell(
        this.#failure ??
          error ??
          new MeshError('TLS_FAILURE', 'Cannot accept a tunnel: the peer has left'),
      );
      return;
    }
    this.#session.lost(
      this.#failure ??
        error ??
        new MeshError('TUNNEL_LOST', 'Cannot go on: the peer closed the tunnel'),
    );
  }

  onReady(): void {
    // Nothing waits for it here.
  }

  onRequest(stream: Stream, request: ConnectRequest | InvalidRequest): void {
    if (this.#peer === undefined) return;
    new InboundStream(this.#pod, { tunnel: this, stream, ...this.ends }).begin(request);
  }

  onGoAway(): void {
    this.#isRetired = true;
  }

  onIdle(): void {
    if (this.#isRetired && this.#session?.streams === 0) this.#tls?.end();
  }

  onError(error: MeshError): void {
    this.#failure ??= error;
    const { address } = this.#source;
    const identity = this.#peer;
    if (error.code === 'HTTP2_PROTOCOL_ERROR' && identity !== undefined) {
      this.#pod.shared.offend({ identity, address }, error.message);
    }
    this.#tls?.end(true);
  }

  /** Tells a peer that it has to wait. */
  #refuse(identity: Identity, heldMs: number): void {
    const error = new MeshError(
      'LIMIT_REACHED',
      `Cannot accept a tunnel from "${identity}": held for ${heldMs} ms more, since it broke the rules`,
      { details: { identity, heldMs } },
    );
    this.#failure = error;
    this.#pod.shared.table.count('tunnelsRefused');
    this.#tell(error);
    this.#session?.close(error, CODE.enhanceYourCalm);
    this.#tls?.end(true);
  }

  #isOfOurDomain(identity: Identity): boolean {
    const ours = identityParts(this.#pod.plan.identity).trustDomain;
    return identityParts(identity).trustDomain === ours;
  }

  #shaken(): void {
    if (!this.#isShaking) return;
    this.#isShaking = false;
    this.#pod.handshakes -= 1;
  }

  #drop(error: MeshError): void {
    this.#pod.readiness.forget(this);
    setReset(this.#fd);
    closeFd(this.#fd);
    this.#pod.shared.table.count('handshakesFailed');
    this.#tell(error);
  }

  /** The record of a tunnel that never came to be. */
  #tell(error: MeshError): void {
    const { view, flows } = this.#pod.shared;
    const flow = new Flow(flows, {
      direction: 'inbound',
      podUid: this.#pod.plan.podUid,
      source: {
        ...this.#source,
        workload: view.workloadAt(this.#source.address),
        identity: this.#peer ?? '',
      },
      destination: { ...this.#local, workload: this.#pod.workload(), identity: '' },
    });
    flow.end('failed', error);
  }
}
