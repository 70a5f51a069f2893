/**
 * The link over which a worker asks the agent for connections to endpoints: it is dialled at
 * once and again whenever it is lost, and there is no other way out while it is away.
 *
 * The agent opens each connection under the waypoint's identity and says for whom it is
 * (docs/waypoints.md). Who listens there is looked at (SO_PEERCRED) before a byte is sent.
 */
import { formatEndpoint } from '#common/address.ts';
import type { Task } from '#common/engine/loop.ts';
import type { Stage } from '#common/engine/tls-stage.ts';
import { MeshError } from '#common/errors.ts';
import { HboneSession } from '#common/hbone/session.ts';
import type { SessionOwner } from '#common/hbone/session.ts';
import { closeFd } from '#common/sys/libc.ts';
import { connectUnix, peerCredentials, unixStreamSocket } from '#common/sys/unix-socket.ts';
import { REDIAL_MS } from './limits.ts';
import type { Destination } from './router.ts';
import type { Shared } from './shared.ts';
import { StreamWire } from './stream-wire.ts';
import type { Ticking } from './sweep.ts';
import { TcpWire } from './tcp-wire.ts';
import type { Wire, WireOwner } from './wire.ts';

export interface OutLinkOptions {
  /** Abstract name, with its leading NUL. */
  readonly name: string;
  readonly agentUid: number;
  readonly stage: Stage;
  /** Told when a link stands, and when it is lost. */
  readonly onState: (isUp: boolean) => void;
}

export class OutLink implements WireOwner, SessionOwner, Ticking, Task {
  readonly #shared: Shared;
  readonly #options: OutLinkOptions;
  #wire: TcpWire | undefined;
  #session: HboneSession | undefined;
  #isUp = false;

  constructor(shared: Shared, options: OutLinkOptions) {
    this.#shared = shared;
    this.#options = options;
    shared.sweep.add(this);
  }

  /** Dials; also as the task that does so again. */
  run(): void {
    const { name, agentUid, stage } = this.#options;
    const fd = unixStreamSocket();
    const connected = fd < 0 ? fd : connectUnix(fd, name);
    const uid = connected < 0 ? -1 : (peerCredentials(fd)?.uid ?? -1);
    if (uid !== agentUid) {
      if (connected >= 0) this.#shared.log('warn', 'link refused', { uid, expected: agentUid });
      if (fd >= 0) closeFd(fd);
      this.#dialLater();
      return;
    }
    const { loop } = this.#shared;
    this.#wire = new TcpWire({ loop, stage }, fd, this);
    const now = (): number => loop.now;
    this.#session = new HboneSession({ role: 'client', outlet: this.#wire, owner: this, now });
    this.#session.start();
  }

  /** Asks for a connection; undefined while there is no link, or no room in it. */
  open(to: Destination, source: string, owner: WireOwner): Wire | undefined {
    const session = this.#session;
    const outlet = this.#wire;
    if (session === undefined || outlet === undefined || !session.ready || !session.canOpen()) {
      return undefined;
    }
    const authority = formatEndpoint(to.address, to.port);
    const stream = session.open({ authority, ...(source !== '' && { source }) });
    return new StreamWire({ stream, outlet, stage: this.#shared.stage }, owner, false);
  }

  onBytes(bytes: Buffer, from: number, to: number): void {
    this.#session?.receive(bytes, from, to);
  }

  onEnd(): void {
    this.#wire?.destroy(false);
  }

  onDrained(): void {
    this.#session?.onWritable();
  }

  onClosed(error: MeshError | undefined): void {
    const session = this.#session;
    this.#session = undefined;
    this.#wire = undefined;
    session?.lost(error ?? new MeshError('TUNNEL_LOST', 'Cannot go on: the link has ended'));
    this.#tell(false);
    this.#dialLater();
  }

  onTick(now: number): void {
    this.#session?.onTimer(now);
  }

  onReady(): void {
    this.#tell(true);
  }

  onRequest(): void {
    // The agent opens its streams in links of its own.
  }

  onGoAway(): void {
    this.#tell(false);
  }

  onIdle(): void {
    // A link stays.
  }

  onError(): void {
    this.#wire?.endWrite();
    this.#wire?.destroy(false);
  }

  #tell(isUp: boolean): void {
    if (this.#isUp === isUp) return;
    this.#isUp = isUp;
    this.#shared.counters.add('linksOpen', isUp ? 1 : -1);
    this.#options.onState(isUp);
  }

  #dialLater(): void {
    if (!this.#shared.isDraining) this.#shared.loop.timers.after(REDIAL_MS, this);
  }
}
