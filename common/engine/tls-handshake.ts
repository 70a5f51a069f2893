/**
 * Drives OpenSSL through a handshake on a non-blocking socket.
 *
 * Records are fed one by one, so what stands behind the last handshake record stays for our own
 * record layer. The bytes of one handshake are bounded, and what is kept of an incomplete record
 * is at most one record.
 */
import { MeshError } from '../errors.ts';
import { EAGAIN, EINTR, errnoName } from '../sys/constants.ts';
import { recv } from '../sys/libc.ts';
import type { SslContext } from '../sys/ssl-context.ts';
import { SslHandshake } from '../sys/ssl-handshake.ts';
import type { Suite } from '../sys/ssl-handshake.ts';
import { MAX_RECORD_BODY } from './tls-slabs.ts';
import type { TlsSlabs } from './tls-slabs.ts';
import type { WireOutput } from './wire-output.ts';

/** Enough for long chains in both directions and far more than ours. */
export const MAX_HANDSHAKE_BYTES = 131_072;
const HEAD = 5;
const MIN_TYPE = 20;
const MAX_TYPE = 23;

export interface Secured {
  readonly suite: Suite;
  readonly clientSecret: Buffer;
  readonly serverSecret: Buffer;
  /** The peer's leaf in DER. */
  readonly certificate: Buffer;
  /** Where in `wireIn` bytes behind the handshake stand. */
  readonly from: number;
  readonly to: number;
}

export class TlsHandshake {
  readonly #ssl: SslHandshake;
  readonly #fd: number;
  readonly #slabs: TlsSlabs;
  readonly #output: WireOutput;
  #leftover: Buffer | undefined;
  #started = false;
  #fed = 0;

  constructor(context: SslContext, fd: number, slabs: TlsSlabs, output: WireOutput) {
    this.#ssl = new SslHandshake(context);
    this.#fd = fd;
    this.#slabs = slabs;
    this.#output = output;
  }

  /** Goes on as far as the peer's bytes allow; throws `TLS_FAILURE` once it cannot succeed. */
  advance(): Secured | undefined {
    if (!this.#started) {
      this.#started = true;
      this.#step();
    }
    const { wireIn } = this.#slabs;
    let at = 0;
    let have = this.#leftover?.copy(wireIn.bytes) ?? 0;
    this.#leftover = undefined;
    for (;;) {
      const length = this.#recordLength(at, have);
      if (have - at >= length) {
        this.#feed(at, length);
        at += length;
        if (this.#step()) return this.#secured(at, have);
        continue;
      }
      if (wireIn.bytes.length - have < length) {
        wireIn.bytes.copyWithin(0, at, have);
        have -= at;
        at = 0;
      }
      const n = this.#receive(have);
      if (n === 0) {
        if (have > at) this.#leftover = Buffer.from(wireIn.bytes.subarray(at, have));
        return undefined;
      }
      have += n;
    }
  }

  free(): void {
    this.#ssl.free();
  }

  /** How many bytes the record at `at` has, as far as that is known. */
  #recordLength(at: number, have: number): number {
    const { bytes } = this.#slabs.wireIn;
    if (have - at < HEAD) return HEAD;
    const type = bytes[at] ?? 0;
    const length = bytes.readUInt16BE(at + 3);
    // OpenSSL judges by the head alone that this is no TLS, and sends the right alert.
    if (type < MIN_TYPE || type > MAX_TYPE || length > MAX_RECORD_BODY) return HEAD;
    return HEAD + length;
  }

  #feed(at: number, length: number): void {
    this.#fed += length;
    if (this.#fed > MAX_HANDSHAKE_BYTES) throw failed('the peer sends too much', 'peer');
    this.#ssl.feed(this.#slabs.wireIn, at, length);
  }

  /** Lets OpenSSL go on and sends what it wants sent; true when the handshake is complete. */
  #step(): boolean {
    const step = this.#ssl.step();
    const { wireOut } = this.#slabs;
    for (;;) {
      const n = this.#ssl.take(wireOut, 0, wireOut.bytes.length);
      if (n === 0) break;
      const result = this.#output.send(wireOut, 0, n);
      if (result < 0) throw failed(errnoName(result), 'peer');
    }
    if (step === 'failed') throw failed(this.#ssl.reason(), 'local');
    return step === 'done';
  }

  /** Returns 0 when nothing more is there now. */
  #receive(at: number): number {
    const { wireIn } = this.#slabs;
    const n = recv(this.#fd, wireIn, at, wireIn.bytes.length - at);
    if (n > 0) return n;
    if (n === 0) throw failed('the peer closed the connection', 'peer');
    if (n === -EINTR) return this.#receive(at);
    if (n !== -EAGAIN) throw failed(errnoName(n), 'peer');
    return 0;
  }

  #secured(from: number, to: number): Secured {
    const { clientSecret, serverSecret } = this.#ssl;
    const suite = this.#ssl.suite();
    const certificate = this.#ssl.peerCertificate();
    if (suite === undefined || clientSecret === undefined || serverSecret === undefined) {
      throw failed('no keys came of it', 'local');
    }
    if (certificate === undefined) throw failed('the certificate is missing or too long', 'local');
    return { suite, clientSecret, serverSecret, certificate, from, to };
  }
}

function failed(reason: string, side: 'local' | 'peer'): MeshError {
  return new MeshError('TLS_FAILURE', `Cannot complete the TLS handshake: ${reason}`, {
    details: { reason, side },
  });
}
