/**
 * The receiving half of a TLS connection after its handshake.
 *
 * Records are opened one behind the other into one slab, so that what one read brought is handed
 * on as one piece. Whatever RFC 8446 does not allow after a handshake is a `TlsViolation`, thrown
 * after the authentic bytes before it were handed on. A peer that sends records but no data is cut
 * off: each costs us work and brings nothing.
 */
import { RecordCipher, TAG_BYTES } from '../sys/record-cipher.ts';
import type { Slab } from '../sys/slab.ts';
import type { Suite } from '../sys/ssl-handshake.ts';
import {
  BAD_RECORD_MAC,
  DECODE_ERROR,
  ILLEGAL_PARAMETER,
  RECORD_OVERFLOW,
  TlsViolation,
  UNEXPECTED_MESSAGE,
} from './tls-alerts.ts';
import { nextSecret, recordKeys } from './tls-secrets.ts';
import { MAX_PLAINTEXT, MAX_RECORD_BODY } from './tls-slabs.ts';

const TYPE_ALERT = 21;
const TYPE_HANDSHAKE = 22;
const TYPE_DATA = 23;
const NEW_SESSION_TICKET = 4;
const KEY_UPDATE = 24;
const HANDSHAKE_HEAD = 4;
const MAX_HANDSHAKE_BYTES = 32_768;
export const MAX_RECORDS_WITHOUT_DATA = 64;

/** What a reader tells of; `onPlain` lends the bytes for the call only. */
export interface RecordSink {
  onPlain(bytes: Buffer, from: number, to: number): void;
  onAlert(level: number, alert: number): void;
  /** The peer has changed its keys, and asks for ours to change if `requested`. */
  onKeyUpdate(requested: boolean): void;
}

export interface ReaderOptions {
  readonly role: 'client' | 'server';
  readonly suite: Suite;
  readonly secret: Buffer;
  readonly sequence: number;
  readonly sink: RecordSink;
}

export class TlsReader {
  readonly #role: 'client' | 'server';
  readonly #suite: Suite;
  readonly #sink: RecordSink;
  #secret: Buffer;
  #cipher: RecordCipher;
  #withoutData = 0;
  /** The beginning of a handshake message that goes on in the next record. */
  #message: Buffer | undefined;
  #stopped = false;

  constructor(options: ReaderOptions) {
    this.#role = options.role;
    this.#suite = options.suite;
    this.#sink = options.sink;
    this.#secret = options.secret;
    this.#cipher = this.#newCipher(options.sequence);
  }

  get secret(): Buffer {
    return this.#secret;
  }

  get sequence(): number {
    return this.#cipher.sequence;
  }

  /** Whether nothing but whole messages has been read, so that the state is all there is. */
  get atBoundary(): boolean {
    return this.#message === undefined;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** Ends `consume` before the next record. */
  stop(): void {
    this.#stopped = true;
  }

  free(): void {
    this.stop();
    this.#cipher.free();
  }

  /** Opens the whole records in `wire[from, to)` into `plain`; returns where the rest begins. */
  consume(wire: Slab, from: number, to: number, plain: Slab): number {
    let at = from;
    let filled = 0;
    try {
      while (to - at >= 5 && !this.#stopped) {
        const length = bodyLength(wire.bytes, at);
        if (to - at < 5 + length) break;
        const end = this.#open(wire, at, length, plain, filled);
        at += 5 + length;
        const type = plain.bytes[end];
        if (type === TYPE_DATA) {
          if (this.#message !== undefined) throw unexpected('data inside a handshake message');
          if (end === filled) this.#countWithoutData();
          else this.#withoutData = 0;
          filled = end;
          continue;
        }
        const start = filled;
        filled = 0;
        if (start > 0) this.#sink.onPlain(plain.bytes, 0, start);
        if (!this.#stopped) this.#onControl(type, plain.bytes, start, end);
      }
    } catch (error) {
      if (filled > 0 && !this.#stopped) this.#sink.onPlain(plain.bytes, 0, filled);
      throw error;
    }
    if (filled > 0 && !this.#stopped) this.#sink.onPlain(plain.bytes, 0, filled);
    return at;
  }

  /** Opens one record and returns where its content ends and its type stands. */
  #open(wire: Slab, at: number, length: number, plain: Slab, to: number): number {
    if (!this.#cipher.open(wire, at, length, plain, to)) {
      throw new TlsViolation(BAD_RECORD_MAC, 'a record was altered on its way');
    }
    const { bytes } = plain;
    let end = to + length - TAG_BYTES - 1;
    while (end >= to && bytes[end] === 0) end -= 1;
    if (end < to) throw unexpected('a record of padding alone');
    if (end - to > MAX_PLAINTEXT) throw new TlsViolation(RECORD_OVERFLOW, 'a record is too long');
    return end;
  }

  #onControl(type: number | undefined, bytes: Buffer, from: number, to: number): void {
    this.#countWithoutData();
    if (type === TYPE_HANDSHAKE) {
      this.#onHandshake(bytes, from, to);
      return;
    }
    if (type !== TYPE_ALERT) throw unexpected(`a record of type ${type}`);
    if (this.#message !== undefined) throw unexpected('an alert inside a handshake message');
    if (to - from !== 2) throw new TlsViolation(DECODE_ERROR, 'an alert is not two bytes long');
    this.#sink.onAlert(bytes[from] ?? 0, bytes[from + 1] ?? 0);
  }

  #onHandshake(bytes: Buffer, from: number, to: number): void {
    if (from === to) throw unexpected('an empty handshake record');
    const fresh = Buffer.from(bytes.subarray(from, to));
    let rest = this.#message === undefined ? fresh : Buffer.concat([this.#message, fresh]);
    this.#message = undefined;
    while (rest.length > 0 && !this.#stopped) {
      const length = rest.length < HANDSHAKE_HEAD ? 0 : rest.readUIntBE(1, 3);
      if (length > MAX_HANDSHAKE_BYTES) throw unexpected('a handshake message is too long');
      if (rest.length < HANDSHAKE_HEAD + length) {
        this.#message = rest;
        return;
      }
      const type = rest[0];
      const body = rest.subarray(HANDSHAKE_HEAD, HANDSHAKE_HEAD + length);
      rest = rest.subarray(HANDSHAKE_HEAD + length);
      if (type === KEY_UPDATE) this.#onKeyUpdate(body, rest.length);
      else if (type !== NEW_SESSION_TICKET || this.#role !== 'client') {
        throw unexpected(`a handshake message of type ${type}`);
      }
    }
  }

  #onKeyUpdate(body: Buffer, following: number): void {
    const requested = body[0];
    if (body.length !== 1) throw new TlsViolation(DECODE_ERROR, 'a KeyUpdate is malformed');
    if (requested !== 0 && requested !== 1) {
      throw new TlsViolation(ILLEGAL_PARAMETER, 'a KeyUpdate is malformed');
    }
    if (following > 0) throw unexpected('a message behind a KeyUpdate in its record');
    this.#secret = nextSecret(this.#suite, this.#secret);
    this.#cipher.free();
    this.#cipher = this.#newCipher(0);
    this.#sink.onKeyUpdate(requested === 1);
  }

  #countWithoutData(): void {
    this.#withoutData += 1;
    if (this.#withoutData > MAX_RECORDS_WITHOUT_DATA)
      throw unexpected('too many records without data');
  }

  #newCipher(sequence: number): RecordCipher {
    const { key, iv } = recordKeys(this.#suite, this.#secret);
    return new RecordCipher('open', key, iv, sequence);
  }
}

/** Reads a record's head; what it says is checked before the body has come. */
function bodyLength(bytes: Buffer, at: number): number {
  if (bytes[at] !== TYPE_DATA) throw unexpected(`a record of type ${bytes[at]} in the clear`);
  const length = ((bytes[at + 3] ?? 0) << 8) | (bytes[at + 4] ?? 0);
  if (length > MAX_RECORD_BODY) throw new TlsViolation(RECORD_OVERFLOW, 'a record is too long');
  if (length <= TAG_BYTES) throw new TlsViolation(BAD_RECORD_MAC, 'a record is too short');
  return length;
}

function unexpected(found: string): TlsViolation {
  return new TlsViolation(UNEXPECTED_MESSAGE, found);
}
