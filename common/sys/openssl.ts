/**
 * OpenSSL, as it is linked into the Node binary: the declarations, and what its errors say.
 *
 * Only the files of common/sys that are named `ssl-*` or `record-cipher` use this. Macros have no
 * symbol and are spelled with their number. The error queue belongs to the thread, so every
 * failure empties it: the next connection must not inherit it.
 */
import { declare, declareText, openImage } from './native.ts';

const A = 'uintptr_t';

/** Calls that do not call back. */
export const ssl = {
  TLS_method: declare('TLS_method', A, []),
  SSL_CTX_new: declare('SSL_CTX_new', A, [A]),
  SSL_CTX_free: declare('SSL_CTX_free', 'void', [A]),
  SSL_CTX_ctrl: declare('SSL_CTX_ctrl', 'long', [A, 'int', 'long', A]),
  SSL_CTX_set_options: declare('SSL_CTX_set_options', 'uint64_t', [A, 'uint64_t']),
  SSL_CTX_set_verify: declare('SSL_CTX_set_verify', 'void', [A, 'int', A]),
  SSL_CTX_set_verify_depth: declare('SSL_CTX_set_verify_depth', 'void', [A, 'int']),
  SSL_CTX_set_security_level: declare('SSL_CTX_set_security_level', 'void', [A, 'int']),
  SSL_CTX_set_ciphersuites: declare('SSL_CTX_set_ciphersuites', 'int', [A, A]),
  SSL_CTX_set_alpn_protos: declare('SSL_CTX_set_alpn_protos', 'int', [A, A, 'uint']),
  SSL_CTX_set_num_tickets: declare('SSL_CTX_set_num_tickets', 'int', [A, 'size_t']),
  SSL_CTX_use_certificate: declare('SSL_CTX_use_certificate', 'int', [A, A]),
  SSL_CTX_use_PrivateKey: declare('SSL_CTX_use_PrivateKey', 'int', [A, A]),
  SSL_CTX_check_private_key: declare('SSL_CTX_check_private_key', 'int', [A]),
  SSL_CTX_set_cert_store: declare('SSL_CTX_set_cert_store', 'void', [A, A]),
  SSL_new: declare('SSL_new', A, [A]),
  SSL_free: declare('SSL_free', 'void', [A]),
  SSL_set_bio: declare('SSL_set_bio', 'void', [A, A, A]),
  SSL_set_connect_state: declare('SSL_set_connect_state', 'void', [A]),
  SSL_set_accept_state: declare('SSL_set_accept_state', 'void', [A]),
  SSL_get_error: declare('SSL_get_error', 'int', [A, 'int']),
  SSL_get_current_cipher: declare('SSL_get_current_cipher', A, [A]),
  SSL_CIPHER_get_protocol_id: declare('SSL_CIPHER_get_protocol_id', 'uint', [A]),
  SSL_get0_peer_certificate: declare('SSL_get0_peer_certificate', A, [A]),
  SSL_get_verify_result: declare('SSL_get_verify_result', 'long', [A]),
  X509_STORE_new: declare('X509_STORE_new', A, []),
  X509_STORE_free: declare('X509_STORE_free', 'void', [A]),
  X509_STORE_add_cert: declare('X509_STORE_add_cert', 'int', [A, A]),
  X509_free: declare('X509_free', 'void', [A]),
  i2d_X509: declare('i2d_X509', 'int', [A, A]),
  EVP_PKEY_free: declare('EVP_PKEY_free', 'void', [A]),
  PEM_read_bio_X509: declare('PEM_read_bio_X509', A, [A, A, A, A]),
  PEM_read_bio_PrivateKey: declare('PEM_read_bio_PrivateKey', A, [A, A, A, A]),
  BIO_new_mem_buf: declare('BIO_new_mem_buf', A, [A, 'int']),
  BIO_s_mem: declare('BIO_s_mem', A, []),
  BIO_new: declare('BIO_new', A, [A]),
  BIO_free: declare('BIO_free', 'int', [A]),
  BIO_read: declare('BIO_read', 'int', [A, A, 'int']),
  BIO_write: declare('BIO_write', 'int', [A, A, 'int']),
  ERR_get_error: declare('ERR_get_error', 'ulong', []),
  ERR_clear_error: declare('ERR_clear_error', 'void', []),
};

const text = {
  ERR_reason_error_string: declareText('ERR_reason_error_string', ['ulong']),
  X509_verify_cert_error_string: declareText('X509_verify_cert_error_string', ['long']),
};

/** Calls that call back, and the registration of callbacks: through `node:ffi`. */
export const calling = openImage(null, {
  SSL_do_handshake: { arguments: ['pointer'], return: 'int32' },
  SSL_CTX_set_keylog_callback: { arguments: ['pointer', 'pointer'], return: 'void' },
  SSL_CTX_set_alpn_select_cb: { arguments: ['pointer', 'pointer', 'pointer'], return: 'void' },
});

/** Says what OpenSSL complained of first, and empties its error queue. */
export function takeReason(): string {
  const code = ssl.ERR_get_error();
  ssl.ERR_clear_error();
  if (code === 0) return 'no reason given';
  return text.ERR_reason_error_string(code) ?? `error ${code.toString(16)}`;
}

/** Says why a peer's certificate was not accepted; undefined when it was, or there was none. */
export function verifyReason(handle: number): string | undefined {
  const code = ssl.SSL_get_verify_result(handle);
  if (code === 0) return undefined;
  return text.X509_verify_cert_error_string(code) ?? `verify error ${code}`;
}
