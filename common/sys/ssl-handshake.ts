/**
 * One TLS 1.3 handshake by OpenSSL over memory: records in, records out.
 *
 * It is fed record by record, so that nothing behind the last handshake record is swallowed. When
 * it is done it gives the two traffic secrets and the peer's certificate, and is freed; records
 * from there on are ours (common/engine).
 */
import { calling, ssl, takeReason, verifyReason } from './openssl.ts';
import { newSlab } from './slab.ts';
import type { Slab } from './slab.ts';
import { during } from './ssl-callbacks.ts';
import type { SecretSink } from './ssl-callbacks.ts';
import type { SslContext } from './ssl-context.ts';

export type HandshakeStep = 'done' | 'more' | 'failed';

/** The hash and key length of a suite, by its number in the registry. */
export type Suite = 'aes-128-gcm' | 'aes-256-gcm';

const ERROR_WANT_READ = 2;
const SUITES: Readonly<Record<number, Suite>> = { 0x1301: 'aes-128-gcm', 0x1302: 'aes-256-gcm' };
/** A longer certificate is refused: ours have less than 1 KB. */
export const MAX_CERTIFICATE_BYTES = 16_384;

const certificate = newSlab(MAX_CERTIFICATE_BYTES);
const certificateAt = newSlab(8);

export class SslHandshake implements SecretSink {
  readonly #ssl: number;
  readonly #sslPointer: bigint;
  readonly #incoming: number;
  readonly #outgoing: number;
  #freed = false;
  clientSecret: Buffer | undefined;
  serverSecret: Buffer | undefined;

  constructor(context: SslContext) {
    this.#ssl = ssl.SSL_new(context.handle);
    this.#sslPointer = BigInt(this.#ssl);
    this.#incoming = ssl.BIO_new(ssl.BIO_s_mem());
    this.#outgoing = ssl.BIO_new(ssl.BIO_s_mem());
    // From here on the two belong to the session and are freed with it.
    ssl.SSL_set_bio(this.#ssl, this.#incoming, this.#outgoing);
    if (context.role === 'client') ssl.SSL_set_connect_state(this.#ssl);
    else ssl.SSL_set_accept_state(this.#ssl);
  }

  onSecret(from: 'client' | 'server', secret: Buffer): void {
    if (from === 'client') this.clientSecret = secret;
    else this.serverSecret = secret;
  }

  /** Goes as far as the records fed so far allow. */
  step(): HandshakeStep {
    // What another connection left in this thread's error queue would read as a failure of ours.
    ssl.ERR_clear_error();
    const result = during(this, () => calling.functions.SSL_do_handshake(this.#sslPointer));
    if (result === 1) return 'done';
    return ssl.SSL_get_error(this.#ssl, result) === ERROR_WANT_READ ? 'more' : 'failed';
  }

  /** Gives OpenSSL what the peer sent. */
  feed(from: Slab, at: number, length: number): void {
    ssl.BIO_write(this.#incoming, from.address + at, length);
  }

  /** Takes what OpenSSL wants to send, and returns its length, 0 when there is nothing (more). */
  take(to: Slab, at: number, max: number): number {
    return Math.max(0, ssl.BIO_read(this.#outgoing, to.address + at, max));
  }

  /** Why it failed; empties the error queue. */
  reason(): string {
    const reason = takeReason();
    const verify = verifyReason(this.#ssl);
    return verify === undefined ? reason : `${reason} (${verify})`;
  }

  suite(): Suite | undefined {
    return SUITES[ssl.SSL_CIPHER_get_protocol_id(ssl.SSL_get_current_cipher(this.#ssl)) & 0xffff];
  }

  /** The peer's leaf in DER, copied; undefined when there is none or it is too long. */
  peerCertificate(): Buffer | undefined {
    const x509 = ssl.SSL_get0_peer_certificate(this.#ssl);
    if (x509 === 0) return undefined;
    const length = ssl.i2d_X509(x509, 0);
    if (length <= 0 || length > MAX_CERTIFICATE_BYTES) return undefined;
    certificateAt.bytes.writeBigUInt64LE(BigInt(certificate.address));
    ssl.i2d_X509(x509, certificateAt.address);
    return Buffer.from(certificate.bytes.subarray(0, length));
  }

  free(): void {
    if (this.#freed) return;
    this.#freed = true;
    ssl.SSL_free(this.#ssl);
    ssl.ERR_clear_error();
  }
}
