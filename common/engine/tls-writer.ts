/**
 * The sending half of a TLS connection after its handshake: records, alerts, KeyUpdate.
 *
 * Records leave in the order in which they were sealed. Before a key has sealed as many records as
 * AES-GCM allows (RFC 8446 section 5.5) it is replaced; the new one begins behind the KeyUpdate
 * record that announces it.
 */
import { RecordCipher } from '../sys/record-cipher.ts';
import type { Slab } from '../sys/slab.ts';
import type { Suite } from '../sys/ssl-handshake.ts';
import { LEVEL_FATAL, LEVEL_WARNING } from './tls-alerts.ts';
import { CLOSE_NOTIFY, USER_CANCELED } from './tls-alerts.ts';
import { nextSecret, recordKeys } from './tls-secrets.ts';
import { MAX_PLAINTEXT } from './tls-slabs.ts';
import type { TlsSlabs } from './tls-slabs.ts';
import type { WireOutput } from './wire-output.ts';

const TYPE_ALERT = 21;
const TYPE_HANDSHAKE = 22;
const TYPE_DATA = 23;
const KEY_UPDATE = 24;
/** Under the 2^24.5 full-size records of RFC 8446 section 5.5. */
export const RECORDS_PER_KEY = 2 ** 24;

export interface WriterOptions {
  readonly slabs: TlsSlabs;
  readonly output: WireOutput;
  readonly suite: Suite;
  readonly secret: Buffer;
  readonly sequence: number;
  readonly recordsPerKey: number;
}

export class TlsWriter {
  readonly #slabs: TlsSlabs;
  readonly #output: WireOutput;
  readonly #suite: Suite;
  readonly #recordsPerKey: number;
  #secret: Buffer;
  #cipher: RecordCipher;

  constructor(options: WriterOptions) {
    this.#slabs = options.slabs;
    this.#output = options.output;
    this.#suite = options.suite;
    this.#recordsPerKey = options.recordsPerKey;
    this.#secret = options.secret;
    this.#cipher = this.#newCipher(options.sequence);
  }

  get secret(): Buffer {
    return this.#secret;
  }

  get sequence(): number {
    return this.#cipher.sequence;
  }

  /** Seals the first `length` bytes of the stage and sends them; 0 or a negated error number. */
  sendStaged(stage: Slab, length: number): number {
    const out = this.#slabs.wireOut;
    let wrote = 0;
    for (let at = 0; at < length; at += MAX_PLAINTEXT) {
      if (this.#cipher.sequence >= this.#recordsPerKey) {
        // The KeyUpdate must leave behind the records of its key: send those first.
        const result = wrote === 0 ? 0 : this.#output.send(out, 0, wrote);
        if (result < 0) return result;
        wrote = 0;
        const updated = this.updateKeys(false);
        if (updated < 0) return updated;
      }
      wrote += this.#seal(stage, at, Math.min(MAX_PLAINTEXT, length - at), TYPE_DATA, wrote);
    }
    return this.#output.send(out, 0, wrote);
  }

  sendAlert(alert: number): number {
    const warning = alert === CLOSE_NOTIFY || alert === USER_CANCELED;
    const { bytes } = this.#slabs.control;
    bytes[0] = warning ? LEVEL_WARNING : LEVEL_FATAL;
    bytes[1] = alert;
    return this.#sendControl(TYPE_ALERT, 2);
  }

  /** Announces new keys, asking for the peer's to change as well if `request`, and takes them. */
  updateKeys(request: boolean): number {
    const { bytes } = this.#slabs.control;
    bytes[0] = KEY_UPDATE;
    bytes.writeUIntBE(1, 1, 3);
    bytes[4] = request ? 1 : 0;
    const result = this.#sendControl(TYPE_HANDSHAKE, 5);
    this.#secret = nextSecret(this.#suite, this.#secret);
    this.#cipher.free();
    this.#cipher = this.#newCipher(0);
    return result;
  }

  free(): void {
    this.#cipher.free();
  }

  #sendControl(type: number, length: number): number {
    const wrote = this.#seal(this.#slabs.control, 0, length, type, 0);
    return this.#output.send(this.#slabs.wireOut, 0, wrote);
  }

  /** Seals one record to `to` in `wireOut`; the byte behind the content is lent for its type. */
  #seal(from: Slab, at: number, length: number, type: number, to: number): number {
    const out = this.#slabs.wireOut;
    const { bytes } = from;
    const lent = bytes[at + length] ?? 0;
    bytes[at + length] = type;
    const body = length + 17;
    const head = out.bytes;
    head[to] = TYPE_DATA;
    head[to + 1] = 3;
    head[to + 2] = 3;
    head[to + 3] = body >> 8;
    head[to + 4] = body & 0xff;
    const wrote = this.#cipher.seal(from, at, length + 1, out, to);
    bytes[at + length] = lent;
    return wrote;
  }

  #newCipher(sequence: number): RecordCipher {
    const { key, iv } = recordKeys(this.#suite, this.#secret);
    return new RecordCipher('seal', key, iv, sequence);
  }
}
