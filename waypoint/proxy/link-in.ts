/**
 * Links by which the agent brings the connections of clients: HTTP/2 without TLS over a Unix socket,
 * one CONNECT stream for each connection (docs/waypoints.md).
 *
 * Who is at the other end is looked at (SO_PEERCRED) before a byte is read: what a link says of a
 * caller is believed, since the agent has verified it.
 */
import { Listener } from '#common/engine/listener.ts';
import type { Stage } from '#common/engine/tls-stage.ts';
import { MeshError } from '#common/errors.ts';
import type { ConnectRequest, InvalidRequest } from '#common/hbone/headers.ts';
import { parseForwarded } from '#common/hbone/hints.ts';
import { HboneSession } from '#common/hbone/session.ts';
import type { SessionOwner } from '#common/hbone/session.ts';
import type { Stream } from '#common/hbone/stream.ts';
import { parseIdentity } from '#common/identity.ts';
import { closeFd } from '#common/sys/libc.ts';
import { peerCredentials } from '#common/sys/unix-socket.ts';
import { acceptClient } from './accept.ts';
import { LINK_STREAMS } from './limits.ts';
import { callerOf } from './router.ts';
import type { Shared } from './shared.ts';
import { StreamWire } from './stream-wire.ts';
import type { Ticking } from './sweep.ts';
import { TcpWire } from './tcp-wire.ts';
import type { WireOwner } from './wire.ts';

export interface LinkOptions {
  /** Uid that the agent must have. */
  readonly agentUid: number;
  /** Where frames of links wait for the end of the pass: apart from the messages in them. */
  readonly stage: Stage;
}

/** Accepts links at a listening socket, and closes those of strangers. */
export function acceptLinks(shared: Shared, listenFd: number, options: LinkOptions): Listener {
  return new Listener(shared.loop, listenFd, {
    onAccept: (fd) => {
      const uid = peerCredentials(fd)?.uid ?? -1;
      if (uid === options.agentUid) {
        new InLink(shared, fd, options.stage).start();
        return;
      }
      closeFd(fd);
      shared.log('warn', 'link refused', { uid, expected: options.agentUid });
    },
  });
}

/** Until somebody has looked at the first bytes. */
const NOBODY: WireOwner = {
  onBytes: () => undefined,
  onEnd: () => undefined,
  onDrained: () => undefined,
  onClosed: () => undefined,
};

class InLink implements WireOwner, SessionOwner, Ticking {
  readonly #shared: Shared;
  readonly #wire: TcpWire;
  readonly #session: HboneSession;

  constructor(shared: Shared, fd: number, stage: Stage) {
    this.#shared = shared;
    this.#wire = new TcpWire({ loop: shared.loop, stage }, fd, this);
    this.#session = new HboneSession({
      role: 'server',
      outlet: this.#wire,
      owner: this,
      now: () => shared.loop.now,
      limits: { maxStreams: LINK_STREAMS },
    });
    shared.sweep.add(this);
    shared.counters.add('linksOpen');
  }

  start(): void {
    this.#session.start();
  }

  onBytes(bytes: Buffer, from: number, to: number): void {
    this.#session.receive(bytes, from, to);
  }

  onEnd(): void {
    this.#wire.destroy(false);
  }

  onDrained(): void {
    this.#session.onWritable();
  }

  onClosed(error: MeshError | undefined): void {
    this.#shared.sweep.delete(this);
    this.#shared.counters.add('linksOpen', -1);
    this.#session.lost(error ?? new MeshError('TUNNEL_LOST', 'Cannot go on: the link has ended'));
  }

  onTick(now: number): void {
    this.#session.onTimer(now);
  }

  onReady(): void {
    // Streams may follow.
  }

  onRequest(stream: Stream, request: ConnectRequest | InvalidRequest): void {
    if ('invalid' in request) {
      stream.respond(400);
      return;
    }
    if (this.#shared.isDraining) {
      stream.respond(503, { reason: 'STOPPING' });
      return;
    }
    if (request.source !== undefined && parseIdentity(request.source) === undefined) {
      stream.respond(400);
      return;
    }
    stream.respond(200);
    const { stage } = this.#shared;
    const wire = new StreamWire({ stream, outlet: this.#wire, stage }, NOBODY, true);
    const address = parseForwarded(request.forwarded ?? '').client ?? '';
    const { authority, source = '' } = request;
    acceptClient(this.#shared, wire, callerOf(source, address, authority));
  }

  onGoAway(): void {
    // It opens no more streams.
  }

  onIdle(): void {
    // A link stays.
  }

  onError(): void {
    this.#wire.endWrite();
    this.#wire.destroy(false);
  }
}
