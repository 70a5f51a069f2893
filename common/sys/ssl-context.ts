/**
 * What OpenSSL needs to speak for one identity: certificate, key, roots and settings.
 *
 * TLS 1.3 only, AES-GCM only, `h2` by ALPN, no tickets, no session cache, no certificate
 * compression (which cost two thirds of a handshake), and a peer without a certificate that
 * chains to one of the roots fails. A context belongs to the thread that made it: its callbacks
 * run on no other. Handshakes under way hold on to it, so `dispose` never cuts one.
 */
import { MeshError } from '../errors.ts';
import { ssl, calling, takeReason } from './openssl.ts';
import { hold, newSlab, slabOf, textSlab } from './slab.ts';
import { alpnCallback, keyLogCallback } from './ssl-callbacks.ts';

export interface ContextSettings {
  readonly role: 'client' | 'server';
  /** The leaf first, then intermediates. */
  readonly chainPem: string;
  readonly keyPem: string;
  readonly rootsPem: readonly string[];
}

const CTRL_EXTRA_CHAIN_CERT = 14;
const CTRL_MODE = 33;
const CTRL_SESS_CACHE_MODE = 44;
const CTRL_SET_GROUPS_LIST = 92;
const CTRL_MIN_PROTO_VERSION = 123;
const CTRL_MAX_PROTO_VERSION = 124;
const MODE_NO_AUTO_CHAIN = 8;
const TLS_1_3 = 0x304;
const VERIFY_PEER_OR_FAIL = 3;
const SECURITY_112_BITS = 2;
const MAX_CHAIN_DEPTH = 5;
const MAX_CERTIFICATES = 64;
const OP_CIPHER_SERVER_PREFERENCE = 2 ** 22;
const OP_NO_RENEGOTIATION = 2 ** 30;
const OP_NO_TX_CERTIFICATE_COMPRESSION = 2 ** 32;
const OP_NO_RX_CERTIFICATE_COMPRESSION = 2 ** 33;

const suites = textSlab('TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384');
const groups = textSlab('X25519:P-256:P-384');
const protocols = slabOf(Buffer.from('\x02h2', 'latin1'));

export class SslContext {
  readonly role: 'client' | 'server';
  #handle: number;

  /** Throws `CERTIFICATE_INVALID` when certificate, key or roots cannot be used. */
  constructor(settings: ContextSettings) {
    this.role = settings.role;
    this.#handle = ssl.SSL_CTX_new(ssl.TLS_method());
    if (this.#handle === 0) throw refused('make a TLS context');
    try {
      configure(this.#handle, settings.role);
      useCertificate(this.#handle, settings);
      useRoots(this.#handle, settings.rootsPem);
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** For common/sys alone. */
  get handle(): number {
    if (this.#handle === 0) throw new TypeError('Cannot use a TLS context that was disposed of');
    return this.#handle;
  }

  /** May be called twice; handshakes under way go on. */
  dispose(): void {
    if (this.#handle !== 0) ssl.SSL_CTX_free(this.#handle);
    this.#handle = 0;
  }
}

function configure(handle: number, role: 'client' | 'server'): void {
  ssl.SSL_CTX_ctrl(handle, CTRL_MIN_PROTO_VERSION, TLS_1_3, 0);
  ssl.SSL_CTX_ctrl(handle, CTRL_MAX_PROTO_VERSION, TLS_1_3, 0);
  ssl.SSL_CTX_ctrl(handle, CTRL_MODE, MODE_NO_AUTO_CHAIN, 0);
  ssl.SSL_CTX_ctrl(handle, CTRL_SESS_CACHE_MODE, 0, 0);
  ssl.SSL_CTX_set_num_tickets(handle, 0);
  ssl.SSL_CTX_set_options(
    handle,
    OP_CIPHER_SERVER_PREFERENCE +
      OP_NO_RENEGOTIATION +
      OP_NO_TX_CERTIFICATE_COMPRESSION +
      OP_NO_RX_CERTIFICATE_COMPRESSION,
  );
  ssl.SSL_CTX_set_security_level(handle, SECURITY_112_BITS);
  ssl.SSL_CTX_set_verify(handle, VERIFY_PEER_OR_FAIL, 0);
  ssl.SSL_CTX_set_verify_depth(handle, MAX_CHAIN_DEPTH);
  if (ssl.SSL_CTX_set_ciphersuites(handle, suites.address) !== 1) throw refused('set the suites');
  if (ssl.SSL_CTX_ctrl(handle, CTRL_SET_GROUPS_LIST, 0, groups.address) !== 1) {
    throw refused('set the groups');
  }
  calling.functions.SSL_CTX_set_keylog_callback(BigInt(handle), keyLogCallback());
  if (role === 'server') {
    calling.functions.SSL_CTX_set_alpn_select_cb(BigInt(handle), alpnCallback(), 0n);
  } else if (ssl.SSL_CTX_set_alpn_protos(handle, protocols.address, 3) !== 0) {
    throw refused('set ALPN');
  }
}

function useCertificate(handle: number, { chainPem, keyPem }: ContextSettings): void {
  const [leaf, ...intermediates] = readCertificates(chainPem, 'the certificate chain');
  if (leaf === undefined) throw refused('read the certificate chain');
  // OpenSSL takes a reference of its own to the leaf, but ownership of the others.
  const used = ssl.SSL_CTX_use_certificate(handle, leaf);
  ssl.X509_free(leaf);
  for (const intermediate of intermediates) {
    if (ssl.SSL_CTX_ctrl(handle, CTRL_EXTRA_CHAIN_CERT, 0, intermediate) !== 1) {
      ssl.X509_free(intermediate);
      throw refused('use an intermediate certificate');
    }
  }
  if (used !== 1) throw refused('use the certificate');
  const key = fromPem(keyPem, (bio) => ssl.PEM_read_bio_PrivateKey(bio, 0, 0, 0));
  if (key === 0) throw refused('read the private key');
  const keyUsed = ssl.SSL_CTX_use_PrivateKey(handle, key);
  ssl.EVP_PKEY_free(key);
  if (keyUsed !== 1 || ssl.SSL_CTX_check_private_key(handle) !== 1) {
    throw refused('use the private key');
  }
}

function useRoots(handle: number, rootsPem: readonly string[]): void {
  const store = ssl.X509_STORE_new();
  let count = 0;
  try {
    for (const pem of rootsPem) {
      for (const root of readCertificates(pem, 'the roots')) {
        const added = ssl.X509_STORE_add_cert(store, root);
        ssl.X509_free(root);
        if (added !== 1) throw refused('use a root certificate');
        count += 1;
      }
    }
    if (count === 0) throw refused('use the roots: there are none');
  } catch (error) {
    ssl.X509_STORE_free(store);
    throw error;
  }
  ssl.SSL_CTX_set_cert_store(handle, store);
}

/** Reads every certificate of a PEM text; the caller frees them. */
function readCertificates(pem: string, what: string): number[] {
  return fromPem(pem, (bio) => {
    const found: number[] = [];
    for (;;) {
      const certificate = ssl.PEM_read_bio_X509(bio, 0, 0, 0);
      // At its end a PEM text leaves "no start line" in the error queue.
      if (certificate === 0) break;
      found.push(certificate);
      if (found.length > MAX_CERTIFICATES) break;
    }
    const complete = pem.split('-----BEGIN CERTIFICATE-----').length - 1 === found.length;
    if (!complete || found.length > MAX_CERTIFICATES) {
      for (const certificate of found) ssl.X509_free(certificate);
      throw refused(`read ${what}`);
    }
    ssl.ERR_clear_error();
    return found;
  });
}

function fromPem<T>(pem: string, read: (bio: number) => T): T {
  const text = Buffer.from(pem);
  const slab = newSlab(Math.max(1, text.length));
  slab.bytes.set(text);
  const bio = ssl.BIO_new_mem_buf(slab.address, text.length);
  try {
    return read(bio);
  } finally {
    ssl.BIO_free(bio);
    // It may have held a private key.
    slab.bytes.fill(0);
    text.fill(0);
    hold(slab);
  }
}

function refused(attempt: string): MeshError {
  return new MeshError('CERTIFICATE_INVALID', `Cannot ${attempt}: ${takeReason()}`);
}
