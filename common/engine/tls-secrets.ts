/**
 * From a traffic secret to record keys, and to the next secret (RFC 8446 sections 7.1 to 7.3).
 *
 * A secret of 32 bytes goes with SHA-256 and a 16-byte key, one of 48 with SHA-384 and 32.
 */
import { createHmac } from 'node:crypto';
import type { Suite } from '../sys/ssl-handshake.ts';

export interface RecordKeys {
  readonly key: Buffer;
  readonly iv: Buffer;
}

const IV_BYTES = 12;

export function recordKeys(suite: Suite, secret: Buffer): RecordKeys {
  return {
    key: expandLabel(suite, secret, 'key', suite === 'aes-128-gcm' ? 16 : 32),
    iv: expandLabel(suite, secret, 'iv', IV_BYTES),
  };
}

/** The secret that follows a KeyUpdate. */
export function nextSecret(suite: Suite, secret: Buffer): Buffer {
  return expandLabel(suite, secret, 'traffic upd', secretBytes(suite));
}

export function secretBytes(suite: Suite): number {
  return suite === 'aes-128-gcm' ? 32 : 48;
}

/** HKDF-Expand-Label with an empty context, for lengths of at most one hash. */
function expandLabel(suite: Suite, secret: Buffer, label: string, length: number): Buffer {
  const full = `tls13 ${label}`;
  const info = Buffer.alloc(2 + 1 + full.length + 1 + 1);
  info.writeUInt16BE(length, 0);
  info[2] = full.length;
  info.write(full, 3, 'latin1');
  info[info.length - 1] = 1; // the first (and only) block of HKDF-Expand
  const hash = suite === 'aes-128-gcm' ? 'sha256' : 'sha384';
  return createHmac(hash, secret).update(info).digest().subarray(0, length);
}
