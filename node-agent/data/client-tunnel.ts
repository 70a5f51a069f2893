/**
 * A tunnel from one pod to one peer: connect, mutual TLS, HTTP/2, then streams until it is done.
 *
 * Nobody uses it before the peer has shown one of the expected identities and has sent its SETTINGS:
 * a TLS 1.3 client is done before the server has judged its certificate, so only then is it certain
 * that both accept each other. It tells its pool when it opens, when it must not be used any more,
 * and, exactly once, when it is gone.
 */
import { formatEndpoint } from '#common/address.ts';
import type { TlsContext } from '#common/engine/tls-context.ts';
import { TlsConnection } from '#common/engine/tls-connection.ts';
import type { TlsOwner } from '#common/engine/tls-owner.ts';
import { peerIdentity } from '#common/engine/tls-peer.ts';
import type { PeerCertificate } from '#common/engine/tls-peer.ts';
import { MeshError } from '#common/errors.ts';
import type { ConnectRequest } from '#common/hbone/headers.ts';
import { HboneSession } from '#common/hbone/session.ts';
import type { SessionOwner } from '#common/hbone/session.ts';
import type { StreamState } from '#common/hbone/session-state.ts';
import type { Stream, StreamOwner } from '#common/hbone/stream.ts';
import type { Identity } from '#common/identity.ts';
import type { Applied } from '#common/mesh/view.ts';
import { EINPROGRESS, errnoName } from '#common/sys/constants.ts';
import { closeFd, connect } from '#common/sys/libc.ts';
import type { Slab } from '#common/sys/slab.ts';
import type { Task } from '#common/engine/loop.ts';
import type { ClientTunnelState, Descriptors } from './handover-state.ts';
import * as limits from './limits.ts';
import { PeerPresence } from './peer-presence.ts';
import type { Pod } from './pod.ts';
import type { Hop, Poolable } from './pool.ts';
import { openOutgoing } from './sockets.ts';
import { TunnelTrust } from './tunnel-trust.ts';

export class ClientTunnel implements Poolable, TlsOwner, SessionOwner, Task {
  readonly hop: Hop;
  /** Who the peer has proved to be; '' before that. */
  peer: Identity | '' = '';
  readonly #pod: Pod;
  #tls: TlsConnection | undefined;
  #session: HboneSession | undefined;
  #context: TlsContext | undefined;
  #trust: TunnelTrust | undefined;
  #presence: PeerPresence | undefined;
  #isOpen = false;
  #isRetired = false;
  #isGone = false;
  #failure: MeshError | undefined;

  /** Begins to connect; how that ends is told to the pod's pool in a later turn of the loop. */
  constructor(pod: Pod, hop: Hop, before?: { state: ClientTunnelState; fd: number }) {
    this.#pod = pod;
    this.hop = hop;
    pod.shared.table.count('tunnelsOpen');
    if (before !== undefined) {
      this.#restore(before.state, before.fd);
      return;
    }
    try {
      this.#connect();
    } catch (error) {
      this.#failure = asMeshError(error, hop);
      pod.shared.loop.soon(this);
    }
  }

  /** Where its frames are written. */
  get stage(): Slab {
    if (this.#tls === undefined) throw new TypeError('Cannot write: the tunnel is not open');
    return this.#tls.stage;
  }

  streamOf(state: StreamState): Stream {
    if (this.#session === undefined) throw new TypeError('Cannot find a stream: no session');
    return this.#session.streamOf(state);
  }

  /** All there is beside its streams' users; undefined when it cannot move now. */
  state(descriptors: Descriptors): ClientTunnelState | undefined {
    const tls = this.#isOpen && !this.#isGone ? this.#tls?.state() : undefined;
    const session = this.#session?.state();
    const { peer } = this;
    if (tls === undefined || session === undefined || peer === '') return undefined;
    return {
      kind: 'client tunnel',
      hop: this.hop,
      fd: descriptors.add(this.#tls?.fd ?? -1),
      tls,
      session,
      peer,
      roots: this.#trust?.roots ?? [],
      isRetired: this.#isRetired,
    };
  }

  /** It may carry new streams from here on, unless it was retired. */
  goOn(): void {
    if (!this.#isRetired) this.#pod.pool.freed(this);
    else if (this.streams() === 0) this.#close();
  }

  /** Another process goes on with it: closes what is here without a word to the peer. */
  release(): void {
    const { fd } = this.#tls ?? { fd: -1 };
    if (this.#isGone || this.#tls?.release() === undefined) return;
    this.#isGone = true;
    closeFd(fd);
    this.#pod.shared.table.count('tunnelsOpen', -1);
    this.#pod.pool.lost(this, new MeshError('STOPPING', 'Cannot go on: handed over'));
  }

  room(): number {
    const session = this.#session;
    if (session === undefined || !this.#isOpen || this.#isRetired) return 0;
    return Math.min(session.room(), limits.MOST_STREAMS_PER_TUNNEL - session.streams);
  }

  streams(): number {
    return this.#session?.streams ?? 0;
  }

  /** Begins a stream; the pool has seen to it that there is room. */
  open(request: ConnectRequest, owner: StreamOwner): Stream {
    if (this.#session === undefined) throw new TypeError('Cannot open a stream: no session');
    const stream = this.#session.open(request);
    stream.owner = owner;
    return stream;
  }

  retire(): void {
    this.#isRetired = true;
    if (this.streams() === 0) this.#close();
  }

  /** A stream has ended, or the peer allows more of them. */
  onRoom(): void {
    if (this.#isOpen && !this.#isGone) this.#pod.pool.freed(this);
  }

  onWorld(applied: Applied): void {
    if (this.#presence?.leaves(applied) !== true) return;
    this.#pod.pool.retire(this);
    this.#session?.doubt();
  }

  onTick(now: number): void {
    if (!this.#isOpen) return;
    this.#presence?.look();
    if (this.#trust?.holds(this.#pod.context(), Date.now()) === false) this.#pod.pool.retire(this);
    this.#session?.onTimer(now);
  }

  /** The end of a tunnel that could not even begin. */
  run(): void {
    if (this.#failure !== undefined) this.#gone(this.#failure);
  }

  onSecure(certificate: PeerCertificate): boolean {
    const identity = peerIdentity(certificate);
    if (identity === undefined || !this.hop.expected.includes(identity)) {
      const shown = identity ?? certificate.uris.join(', ');
      this.#failure = new MeshError(
        'IDENTITY_MISMATCH',
        `Cannot trust "${this.#where()}": it is "${shown}", not "${this.hop.expected.join('" or "')}"`,
        { details: { peer: this.#where(), shown } },
      );
      return false;
    }
    this.peer = identity;
    this.#trust = new TunnelTrust(certificate, this.#context);
    const { address } = this.hop;
    this.#presence = new PeerPresence(this.#pod.shared.view, { address, identity });
    const tls = this.#tls;
    if (tls === undefined) return false;
    this.#session = this.#newSession(tls);
    this.#session.start();
    return true;
  }

  onPlain(bytes: Buffer, from: number, to: number): void {
    this.#session?.receive(bytes, from, to);
  }

  onWritable(): void {
    this.#session?.onWritable();
  }

  onClosed(error: MeshError | undefined): void {
    const cause = this.#failure ?? error;
    const lost =
      cause ??
      new MeshError('TUNNEL_LOST', `Cannot use the tunnel to "${this.#where()}": it was closed`);
    this.#session?.lost(lost);
    this.#gone(lost);
  }

  onReady(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#pod.shared.table.count('tunnelsOpened');
    this.#pod.pool.opened(this);
  }

  onRequest(): void {
    // A client's session refuses requests by itself.
  }

  onGoAway(): void {
    this.#isRetired = true;
    this.#pod.pool.retire(this);
    if (this.streams() === 0) this.#close();
  }

  onIdle(): void {
    if (this.#isRetired) this.#close();
  }

  onError(error: MeshError): void {
    this.#failure ??= error;
    this.#pod.pool.retire(this);
    this.#tls?.end(true);
  }

  #restore({ tls, session, peer, roots, isRetired }: ClientTunnelState, fd: number): void {
    this.#tls = new TlsConnection({
      loop: this.#pod.shared.loop,
      fd,
      context: tls,
      role: 'client',
      owner: this,
      handshakeTimeoutMs: limits.HANDSHAKE_TIMEOUT_MS,
    });
    this.peer = peer;
    this.#trust = new TunnelTrust(tls.peer, { roots });
    const { address } = this.hop;
    this.#presence = new PeerPresence(this.#pod.shared.view, { address, identity: peer });
    this.#session = this.#newSession(this.#tls);
    this.#session.restore(session);
    this.#isOpen = true;
    this.#isRetired = isRetired;
    this.#pod.pool.adopt(this.hop, this, isRetired);
  }

  #newSession(outlet: TlsConnection): HboneSession {
    const now = (): number => this.#pod.shared.loop.now;
    return new HboneSession({ role: 'client', outlet, owner: this, now });
  }

  #connect(): void {
    const { shared, plan } = this.#pod;
    const context = this.#pod.context();
    if (context === undefined) throw noCertificate(plan.identity);
    this.#context = context;
    const fd = openOutgoing(plan.netns, this.hop.address);
    if (fd < 0) throw notConnected(this.#where(), fd);
    const result = connect(fd, this.hop.address, this.hop.port);
    if (result < 0 && result !== -EINPROGRESS) {
      closeFd(fd);
      throw notConnected(this.#where(), result);
    }
    this.#tls = new TlsConnection({
      loop: shared.loop,
      fd,
      context,
      role: 'client',
      owner: this,
      handshakeTimeoutMs: limits.HANDSHAKE_TIMEOUT_MS,
    });
  }

  #close(): void {
    if (this.#isGone) return;
    this.#session?.goAway();
    this.#tls?.end();
  }

  #gone(error: MeshError): void {
    if (this.#isGone) return;
    this.#isGone = true;
    const { table } = this.#pod.shared;
    table.count('tunnelsOpen', -1);
    if (!this.#isOpen) table.count('tunnelsFailed');
    this.#pod.pool.lost(this, explain(error, this.#where()));
  }

  #where(): string {
    return formatEndpoint(this.hop.address, this.hop.port);
  }
}

/** What is usually behind it, where we know. */
function explain(error: MeshError, where: string): MeshError {
  if (error.code !== 'CONNECT_TIMEOUT') return error;
  return new MeshError(
    'CONNECT_TIMEOUT',
    `Cannot open a tunnel to "${where}": no answer in time; a NetworkPolicy may block port ${limits.TUNNEL_PORT}`,
    { cause: error, details: { peer: where } },
  );
}

export function noCertificate(identity: Identity): MeshError {
  return new MeshError(
    'NO_CERTIFICATE',
    `Cannot speak as "${identity}": it has no certificate yet`,
  );
}

function notConnected(where: string, errno: number): MeshError {
  return new MeshError('CONNECT_FAILED', `Cannot connect to "${where}": ${errnoName(errno)}`, {
    details: { target: where, errno: errnoName(errno) },
  });
}

function asMeshError(error: unknown, hop: Hop): MeshError {
  if (error instanceof MeshError) return error;
  const where = formatEndpoint(hop.address, hop.port);
  return new MeshError('CONNECT_FAILED', `Cannot connect to "${where}"`, { cause: error });
}
