/**
 * A TLS connection after its handshake, without its socket: both record halves, and what is left
 * of an incomplete record.
 *
 * It is made from the secrets of a handshake or from a state that was taken from another session;
 * which of the two makes no difference from then on.
 */
import { EAGAIN, EINTR } from '../sys/constants.ts';
import { recv } from '../sys/libc.ts';
import type { Slab } from '../sys/slab.ts';
import type { Suite } from '../sys/ssl-handshake.ts';
import type { Secured } from './tls-handshake.ts';
import type { PeerCertificate } from './tls-peer.ts';
import { TlsReader } from './tls-reader.ts';
import type { RecordSink } from './tls-reader.ts';
import { READ_BYTES } from './tls-slabs.ts';
import type { TlsSlabs } from './tls-slabs.ts';
import type { TlsState } from './tls-state.ts';
import { TlsWriter } from './tls-writer.ts';
import type { WireOutput } from './wire-output.ts';

/** `read()` has used up its turn, and there may be more. */
export const READ_MORE = 1;
const READS_PER_TURN = 8;
/** What is read costs more than its bytes when each of them is a request: then a turn is shorter. */
const TURN_MS = 1;

export type Role = 'client' | 'server';

export interface SessionDeps {
  readonly role: Role;
  readonly slabs: TlsSlabs;
  readonly output: WireOutput;
  readonly sink: RecordSink;
  readonly recordsPerKey: number;
}

export interface SessionKeys {
  readonly suite: Suite;
  readonly sendSecret: Buffer;
  readonly sendSequence: number;
  readonly receiveSecret: Buffer;
  readonly receiveSequence: number;
}

export class TlsSession {
  readonly writer: TlsWriter;
  readonly reader: TlsReader;
  readonly #role: Role;
  readonly #suite: Suite;
  readonly #slabs: TlsSlabs;
  readonly #output: WireOutput;
  #leftover: Buffer | undefined;
  #leftoverLength = 0;

  constructor(keys: SessionKeys, deps: SessionDeps) {
    const { role, slabs, output, sink, recordsPerKey } = deps;
    const { suite } = keys;
    this.#role = role;
    this.#suite = suite;
    this.#slabs = slabs;
    this.#output = output;
    this.writer = new TlsWriter({
      slabs,
      output,
      suite,
      secret: keys.sendSecret,
      sequence: keys.sendSequence,
      recordsPerKey,
    });
    this.reader = new TlsReader({
      role,
      suite,
      secret: keys.receiveSecret,
      sequence: keys.receiveSequence,
      sink,
    });
  }

  /**
   * Reads and opens what the socket has, beginning with what already stands in `wireIn[from, to)`.
   * Returns 0 for the end of the stream, `READ_MORE` when its turn is over, -EAGAIN when all is
   * read or the reader was stopped, or another negated error number. Throws `TlsViolation`.
   */
  read(fd: number, hungUp: boolean, from = 0, to = 0): number {
    const { wireIn } = this.#slabs;
    let have = from < to ? this.#consume(from, to) : this.#takeLeftover();
    const until = performance.now() + TURN_MS;
    for (let turn = 0; turn < READS_PER_TURN && !this.reader.stopped; turn += 1) {
      const n = recv(fd, wireIn, have, READ_BYTES);
      if (n <= 0) {
        this.#keepLeftover(have);
        return n === -EINTR ? READ_MORE : n;
      }
      have = this.#consume(0, have + n);
      // A short read is the end of what is there, unless the peer's FIN stands behind it.
      if (n < READ_BYTES && !hungUp) {
        this.#keepLeftover(have);
        return -EAGAIN;
      }
      if (performance.now() > until) break;
    }
    if (this.reader.stopped) return -EAGAIN;
    this.#keepLeftover(have);
    return READ_MORE;
  }

  sendStaged(stage: Slab, length: number): number {
    return this.writer.sendStaged(stage, length);
  }

  /** The whole state, or undefined while a handshake message has come in part. */
  state(peer: PeerCertificate): TlsState | undefined {
    if (!this.reader.atBoundary) return undefined;
    return {
      version: 1,
      role: this.#role,
      suite: this.#suite,
      peer,
      sendSecret: this.writer.secret.toString('base64'),
      sendSequence: this.writer.sequence,
      receiveSecret: this.reader.secret.toString('base64'),
      receiveSequence: this.reader.sequence,
      leftover: this.#leftover?.toString('base64', 0, this.#leftoverLength) ?? '',
      queued: this.#output.queue.toBuffer().toString('base64'),
    };
  }

  /** Takes over what another session had left; `wireIn` serves as the way. */
  restoreLeftover(bytes: Buffer): void {
    bytes.copy(this.#slabs.wireIn.bytes);
    this.#keepLeftover(bytes.length);
  }

  free(): void {
    this.reader.free();
    this.writer.free();
    if (this.#leftover !== undefined) this.#slabs.giveBack(this.#leftover);
    this.#leftover = undefined;
  }

  /** Opens whole records, moves the rest to the beginning of `wireIn` and returns its length. */
  #consume(from: number, to: number): number {
    const { wireIn, plain } = this.#slabs;
    const at = this.reader.consume(wireIn, from, to, plain);
    if (at > 0 && at < to) wireIn.bytes.copyWithin(0, at, to);
    return to - at;
  }

  /** Puts what was left back to the beginning of `wireIn`, and returns its length. */
  #takeLeftover(): number {
    const kept = this.#leftover;
    if (kept === undefined) return 0;
    kept.copy(this.#slabs.wireIn.bytes, 0, 0, this.#leftoverLength);
    this.#slabs.giveBack(kept);
    this.#leftover = undefined;
    return this.#leftoverLength;
  }

  #keepLeftover(length: number): void {
    if (length === 0 || this.reader.stopped) return;
    this.#leftover = this.#slabs.keepLeftover(length);
    this.#leftoverLength = length;
  }
}

/** Begins with the secrets of a handshake. */
export function openSession(secured: Secured, deps: SessionDeps): TlsSession {
  const { suite, clientSecret, serverSecret } = secured;
  const isClient = deps.role === 'client';
  const keys = {
    suite,
    sendSecret: isClient ? clientSecret : serverSecret,
    sendSequence: 0,
    receiveSecret: isClient ? serverSecret : clientSecret,
    receiveSequence: 0,
  };
  return new TlsSession(keys, deps);
}

/** Goes on where the session that `state` was taken from has stopped. */
export function resumeSession(state: TlsState, deps: SessionDeps): TlsSession {
  const keys = {
    suite: state.suite,
    sendSecret: Buffer.from(state.sendSecret, 'base64'),
    sendSequence: state.sendSequence,
    receiveSecret: Buffer.from(state.receiveSecret, 'base64'),
    receiveSequence: state.receiveSequence,
  };
  const session = new TlsSession(keys, { ...deps, role: state.role });
  session.restoreLeftover(Buffer.from(state.leftover, 'base64'));
  const queued = Buffer.from(state.queued, 'base64');
  if (queued.length > 0) deps.output.queue.append(queued, 0, queued.length);
  return session;
}
