/**
 * AES-GCM for TLS records: one direction of one connection (RFC 8446 section 5.2 and 5.3).
 *
 * The nonce is the IV with the sequence number laid over it, and the five bytes of the record's
 * head are authenticated. A number is never used twice under one key: `sequence` only rises, and
 * new keys mean a new cipher. Nothing here allocates, and input and output must not overlap.
 */
import { declare } from './native.ts';
import { newSlab } from './slab.ts';
import type { Slab } from './slab.ts';

export const TAG_BYTES = 16;
export const RECORD_HEAD_BYTES = 5;

const A = 'uintptr_t';
const evp = {
  EVP_CIPHER_CTX_new: declare('EVP_CIPHER_CTX_new', A, []),
  EVP_CIPHER_CTX_free: declare('EVP_CIPHER_CTX_free', 'void', [A]),
  EVP_aes_128_gcm: declare('EVP_aes_128_gcm', A, []),
  EVP_aes_256_gcm: declare('EVP_aes_256_gcm', A, []),
  EVP_CipherInit_ex: declare('EVP_CipherInit_ex', 'int', [A, A, A, A, A, 'int']),
  EVP_CIPHER_CTX_ctrl: declare('EVP_CIPHER_CTX_ctrl', 'int', [A, 'int', 'int', A]),
  EVP_CipherUpdate: declare('EVP_CipherUpdate', 'int', [A, A, A, A, 'int']),
  EVP_CipherFinal_ex: declare('EVP_CipherFinal_ex', 'int', [A, A, A]),
};
const CTRL_GET_TAG = 0x10;
const CTRL_SET_TAG = 0x11;
const IV_BYTES = 12;
const UINT32 = 0x1_0000_0000;

const nonce = newSlab(IV_BYTES);
const keyCopy = newSlab(32);
const written = newSlab(4);
const nonceView = new DataView(nonce.bytes.buffer, nonce.bytes.byteOffset, IV_BYTES);

export class RecordCipher {
  #context: number;
  readonly #first: number;
  readonly #high: number;
  readonly #low: number;
  sequence: number;

  constructor(direction: 'seal' | 'open', key: Buffer, iv: Buffer, sequence = 0) {
    this.#first = iv.readUInt32BE(0);
    this.#high = iv.readUInt32BE(4);
    this.#low = iv.readUInt32BE(8);
    this.sequence = sequence;
    this.#context = evp.EVP_CIPHER_CTX_new();
    const cipher = key.length === 16 ? evp.EVP_aes_128_gcm() : evp.EVP_aes_256_gcm();
    key.copy(keyCopy.bytes);
    const encrypt = direction === 'seal' ? 1 : 0;
    const made = evp.EVP_CipherInit_ex(
      this.#context,
      cipher,
      0,
      keyCopy.address,
      nonce.address,
      encrypt,
    );
    keyCopy.bytes.fill(0);
    if (made !== 1) throw new RangeError(`Cannot use an AES key of ${key.length} bytes`);
  }

  /**
   * Seals `length` bytes (content and its type) to behind the head that stands at `to`; returns
   * the length of head, ciphertext and tag.
   */
  seal(from: Slab, at: number, length: number, to: Slab, headAt: number): number {
    const context = this.#context;
    const head = to.address + headAt;
    this.#begin();
    evp.EVP_CipherUpdate(context, 0, written.address, head, RECORD_HEAD_BYTES);
    evp.EVP_CipherUpdate(
      context,
      head + RECORD_HEAD_BYTES,
      written.address,
      from.address + at,
      length,
    );
    const tag = head + RECORD_HEAD_BYTES + length;
    evp.EVP_CipherFinal_ex(context, tag, written.address);
    evp.EVP_CIPHER_CTX_ctrl(context, CTRL_GET_TAG, TAG_BYTES, tag);
    return RECORD_HEAD_BYTES + length + TAG_BYTES;
  }

  /** Opens `length` bytes (ciphertext and tag) behind the head at `headAt`; false if forged. */
  open(from: Slab, headAt: number, length: number, to: Slab, at: number): boolean {
    const context = this.#context;
    const head = from.address + headAt;
    const body = length - TAG_BYTES;
    const out = to.address + at;
    this.#begin();
    evp.EVP_CipherUpdate(context, 0, written.address, head, RECORD_HEAD_BYTES);
    evp.EVP_CipherUpdate(context, out, written.address, head + RECORD_HEAD_BYTES, body);
    const tag = head + RECORD_HEAD_BYTES + body;
    evp.EVP_CIPHER_CTX_ctrl(context, CTRL_SET_TAG, TAG_BYTES, tag);
    return evp.EVP_CipherFinal_ex(context, out + body, written.address) === 1;
  }

  free(): void {
    if (this.#context !== 0) evp.EVP_CIPHER_CTX_free(this.#context);
    this.#context = 0;
  }

  /** Lays the sequence number over the IV and counts it up. */
  #begin(): void {
    const sequence = this.sequence;
    const high = sequence < UINT32 ? 0 : Math.trunc(sequence / UINT32);
    nonceView.setUint32(0, this.#first);
    nonceView.setUint32(4, this.#high ^ high);
    nonceView.setUint32(8, this.#low ^ (sequence >>> 0));
    this.sequence = sequence + 1;
    evp.EVP_CipherInit_ex(this.#context, 0, 0, 0, nonce.address, -1);
  }
}
