/**
 * A mutually authenticated TLS 1.3 connection on the loop.
 *
 * OpenSSL does the handshake, our own record layer everything after it. No byte reaches the owner
 * before its `onSecure` has accepted the peer's certificate. `onClosed` comes exactly once and
 * last, and never from within `reserve`, `commit` or `blocked`. What is reserved and committed in
 * a pass is sealed and sent once, at its end; buffers are lent by the loop, so an idle connection
 * holds none.
 */
import { MeshError } from '../errors.ts';
import { EAGAIN, errnoName } from '../sys/constants.ts';
import { closeFd } from '../sys/libc.ts';
import type { Slab } from '../sys/slab.ts';
import { socketError } from '../sys/socket-options.ts';
import { HANGUP, READABLE, WRITABLE } from './loop.ts';
import type { Loop, Task, Watcher } from './loop.ts';
import type { Timer } from './timers.ts';
import {
  alertReceived,
  BAD_CERTIFICATE,
  CLOSE_NOTIFY,
  connectFailed,
  INTERNAL_ERROR,
  timedOut,
  TlsViolation,
  tunnelLost,
  USER_CANCELED,
} from './tls-alerts.ts';
import { TlsHandshake } from './tls-handshake.ts';
import type { Secured } from './tls-handshake.ts';
import type { TlsOptions, TlsOwner } from './tls-owner.ts';
import { peerOfCertificate } from './tls-peer.ts';
import type { PeerCertificate } from './tls-peer.ts';
import type { RecordSink } from './tls-reader.ts';
import { openSession, READ_MORE, resumeSession } from './tls-session.ts';
import type { SessionDeps, TlsSession } from './tls-session.ts';
import { slabsOf } from './tls-slabs.ts';
import type { TlsSlabs } from './tls-slabs.ts';
import type { StageUser } from './tls-stage.ts';
import type { TlsState } from './tls-state.ts';
import { RECORDS_PER_KEY } from './tls-writer.ts';
import { WireOutput } from './wire-output.ts';

/** How much may wait for a peer that does not read; beyond it the connection is closed. */
export const MAX_QUEUED_BYTES = 4 << 20;
/** How long we wait for the peer to take our last words before the socket is closed. */
export const LINGER_MS = 1000;

/** `lingering`: we have said our last word, and wait, since a RST would eat it. */
type Phase = 'connecting' | 'handshake' | 'open' | 'lingering' | 'closed';

export class TlsConnection implements Watcher, Task, StageUser, RecordSink {
  readonly fd: number;
  readonly #loop: Loop;
  readonly #owner: TlsOwner;
  readonly #slabs: TlsSlabs;
  readonly #output: WireOutput;
  readonly #sessionDeps: SessionDeps;
  readonly #timer: Timer;
  #phase: Phase = 'connecting';
  #handshake: TlsHandshake | undefined;
  #session: TlsSession | undefined;
  #peer: PeerCertificate | undefined;
  #hungUp = false;
  #wasBlocked = false;
  #queuedTurn = false;
  #told = false;
  /** An end of our own: `onClosed` waits for the peer. */
  #ending = false;
  #failure: MeshError | undefined;

  /** Throws when the context was disposed of. Whoever made the descriptor has set TCP_NODELAY. */
  constructor(options: TlsOptions) {
    const { loop, fd, role, context } = options;
    this.fd = fd;
    this.#loop = loop;
    this.#owner = options.owner;
    this.#slabs = slabsOf(loop);
    this.#output = new WireOutput(fd);
    this.#sessionDeps = {
      role,
      slabs: this.#slabs,
      output: this.#output,
      sink: this,
      recordsPerKey: options.recordsPerKey ?? RECORDS_PER_KEY,
    };
    if ('version' in context) {
      this.#phase = 'open';
      this.#peer = context.peer;
      this.#session = resumeSession(context, this.#sessionDeps);
      this.#wasBlocked = this.#output.queued > 0;
    } else {
      this.#handshake = new TlsHandshake(context[role], fd, this.#slabs, this.#output);
    }
    this.#timer = loop.timers.after(options.handshakeTimeoutMs, {
      run: () => this.destroy(timedOut(this.#phase)),
    });
    if (this.#phase === 'open') loop.timers.cancel(this.#timer);
    loop.add(fd, this);
  }

  get closed(): boolean {
    return this.#phase === 'closed';
  }

  /** Where reserved bytes are written: the same buffer for all connections of the loop. */
  get stage(): Slab {
    return this.#slabs.stage.slab;
  }

  get bytes(): Buffer {
    return this.#slabs.stage.slab.bytes;
  }

  /** The kernel has not taken all; what is written all the same is queued, up to a limit. */
  get blocked(): boolean {
    return this.#output.queued > 0;
  }

  /** Makes room for `length` bytes in `bytes`, at the offset that it returns. */
  reserve(length: number): number {
    return this.#slabs.stage.reserve(this, length);
  }

  /** Sends the first `length` of the bytes reserved last, at the end of the pass, if still open. */
  commit(length: number): void {
    if (this.#session === undefined) throw new TypeError('Cannot write before onSecure');
    if (this.#phase === 'open') this.#slabs.stage.commit(this, length);
  }

  /** Sends what is staged now rather than at the end of the pass. */
  flush(): void {
    this.#slabs.stage.flushFor(this);
  }

  /** Announces new sending keys, and asks the peer for new ones if `request`. */
  updateKeys(request: boolean): void {
    if (this.#phase !== 'open') return;
    this.flush();
    this.#sent(this.#session?.writer.updateKeys(request) ?? 0);
  }

  /**
   * Says `close_notify` behind everything written, then FIN; `onClosed` follows the peer's end, or
   * comes after a moment. If `deaf`, what the peer sends meanwhile costs nothing: it is not read.
   */
  end(deaf = false): void {
    if (this.#phase !== 'open') {
      if (this.#phase !== 'lingering') this.destroy();
      return;
    }
    this.#ending = true;
    this.flush();
    this.#sent(this.#session?.writer.sendAlert(CLOSE_NOTIFY) ?? 0);
    if (deaf) this.#session?.reader.stop();
    this.#linger();
  }

  /** Closes at once; what is queued is lost. */
  destroy(error?: MeshError): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.#loop.timers.cancel(this.#timer);
    this.#freeState();
    closeFd(this.fd);
    this.#tell(error);
  }

  /** All of an open connection's state, or undefined while it is none or inside a message. */
  state(): TlsState | undefined {
    if (this.#phase !== 'open') return undefined;
    this.flush();
    if (this.#failure !== undefined) return undefined;
    return this.#peer === undefined ? undefined : this.#session?.state(this.#peer);
  }

  /** Lets go of the descriptor, which stays open, without a word to peer or owner. */
  release(): TlsState | undefined {
    const state = this.state();
    if (state === undefined) return undefined;
    this.#phase = 'closed';
    this.#told = true;
    this.#loop.remove(this.fd);
    this.#freeState();
    return state;
  }

  onEvents(events: number): void {
    if ((events & HANGUP) !== 0) this.#hungUp = true;
    if (this.#phase === 'connecting' && !this.#settleConnect(events)) return;
    if ((events & WRITABLE) !== 0 && this.#output.queued > 0) this.#drain();
    // What has been put off keeps its turn; an event of writing alone brings nothing to read.
    const readable = (events & (READABLE | HANGUP)) !== 0 || this.#phase === 'handshake';
    if (readable && this.#failure === undefined && !this.#queuedTurn) this.#read();
  }

  onFault(error: unknown): void {
    this.#abort(INTERNAL_ERROR, tunnelLost('an internal error', error));
  }

  /** Its turn: a failure met while sending, or reading that was put off. */
  run(): void {
    this.#queuedTurn = false;
    if (this.#failure !== undefined) this.destroy(this.#failure);
    else this.#read();
  }

  onPlain(bytes: Buffer, from: number, to: number): void {
    if (this.#phase === 'open') this.#owner.onPlain(bytes, from, to);
  }

  onAlert(_level: number, alert: number): void {
    if (alert === USER_CANCELED) return;
    if (alert !== CLOSE_NOTIFY || this.#phase === 'lingering') {
      this.destroy(alert === CLOSE_NOTIFY ? undefined : alertReceived(alert));
      return;
    }
    this.flush();
    this.#sent(this.#session?.writer.sendAlert(CLOSE_NOTIFY) ?? 0);
    this.#linger();
  }

  onKeyUpdate(requested: boolean): void {
    if (requested) this.updateKeys(false);
  }

  sealStaged(stage: Slab, length: number): void {
    if (this.#phase !== 'open' || this.#failure !== undefined) return;
    this.#sent(this.#session?.sendStaged(stage, length) ?? 0);
  }

  #settleConnect(events: number): boolean {
    const error = socketError(this.fd);
    if (error !== 0) {
      this.destroy(connectFailed(error));
      return false;
    }
    if ((events & WRITABLE) === 0) return false;
    this.#phase = 'handshake';
    return true;
  }

  #read(): void {
    if (this.#phase === 'handshake') this.#shakeHands();
    else this.#readRecords();
  }

  #shakeHands(): void {
    let secured: Secured | undefined;
    try {
      secured = this.#handshake?.advance();
    } catch (error) {
      if (!(error instanceof MeshError)) throw error;
      // OpenSSL's alert, if any, is on its way already.
      this.#linger(error);
      return;
    }
    if (secured === undefined) return;
    this.#handshake?.free();
    this.#handshake = undefined;
    this.#loop.timers.cancel(this.#timer);
    this.#session = openSession(secured, this.#sessionDeps);
    this.#phase = 'open';
    const peer = peerOfCertificate(secured.certificate);
    this.#peer = peer;
    // What cannot be read, or is an authority's, is refused before the owner is asked.
    if (peer === undefined || !this.#owner.onSecure(peer)) {
      this.#abort(
        BAD_CERTIFICATE,
        new TlsViolation(BAD_CERTIFICATE, 'the certificate was refused'),
      );
    }
    this.#readRecords(secured.from, secured.to);
  }

  /** Reads, beginning with what already stands in `wireIn[from, to)`. */
  #readRecords(from = 0, to = 0): void {
    if (this.#session === undefined || this.#session.reader.stopped) {
      // What nobody wants is left to the kernel: a flood then costs nothing, and waits.
      if (this.#hungUp) this.destroy();
      return;
    }
    try {
      const n = this.#session.read(this.fd, this.#hungUp, from, to);
      if (n === READ_MORE) this.#putOff();
      else if (n !== -EAGAIN) this.#onEnd(n);
    } catch (error) {
      if (!(error instanceof TlsViolation)) throw error;
      this.#abort(error.alert, error);
    }
  }

  #onEnd(n: number): void {
    if (this.#phase === 'lingering') this.destroy();
    else if (n === 0) this.destroy(tunnelLost('the peer closed it without "close_notify"'));
    else this.destroy(tunnelLost(errnoName(n)));
  }

  #drain(): void {
    const result = this.#output.drain();
    this.#sent(result);
    if (result < 0 || this.#output.queued > 0 || !this.#wasBlocked) return;
    this.#wasBlocked = false;
    if (this.#phase === 'open') this.#owner.onWritable();
  }

  /** Looks at the result of sending; a failure closes in the next pass, not under the caller. */
  #sent(result: number): void {
    if (this.#output.queued > 0) this.#wasBlocked = true;
    const full = this.#output.queued > MAX_QUEUED_BYTES;
    if ((result >= 0 && !full) || this.#failure !== undefined) return;
    this.#failure = full
      ? new MeshError('LIMIT_REACHED', 'Cannot send: the peer does not read', {
          details: { queuedBytes: this.#output.queued },
        })
      : tunnelLost(errnoName(result));
    this.#putOff();
  }

  #putOff(): void {
    if (this.#queuedTurn) return;
    this.#queuedTurn = true;
    this.#loop.soon(this);
  }

  /** Sends a fatal alert and ends. */
  #abort(alert: number, error: MeshError): void {
    if (this.#phase === 'closed') return;
    this.#slabs.stage.dropFor(this);
    this.#ending = false;
    this.#sent(this.#session?.writer.sendAlert(alert) ?? 0);
    this.#linger(error);
  }

  /** Sends FIN behind our last words and waits a little for the peer to take them. */
  #linger(error?: MeshError): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'lingering';
    if (!this.#ending) this.#session?.reader.stop();
    this.#handshake?.free();
    this.#handshake = undefined;
    this.#output.finish();
    this.#loop.timers.rearm(this.#timer, LINGER_MS);
    if (!this.#ending) this.#tell(error);
  }

  #freeState(): void {
    this.#loop.forget(this.fd);
    this.#slabs.stage.dropFor(this);
    this.#handshake?.free();
    this.#session?.free();
    this.#output.queue.clear();
  }

  #tell(error: MeshError | undefined): void {
    if (this.#told) return;
    this.#told = true;
    this.#owner.onClosed(error);
  }
}
