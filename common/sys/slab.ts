/**
 * Memory that C may read and write: a buffer together with its address.
 *
 * A slab's bytes never move and are not part of Node's shared pool, so the address stays true for
 * as long as the slab is referenced. Slabs are made once and used for years, not per message.
 */
import { rawAddress } from './native.ts';

export interface Slab {
  readonly bytes: Buffer;
  readonly address: number;
}

const addresses = new WeakMap<Buffer, number>();
let lastBytes: Buffer | undefined;
let lastAddress = 0;

export function newSlab(size: number): Slab {
  const bytes = Buffer.allocUnsafeSlow(size);
  const address = rawAddress(bytes);
  addresses.set(bytes, address);
  return { bytes, address };
}

/** Makes a slab that holds `text` and the NUL behind it. */
export function textSlab(text: string): Slab {
  const slab = newSlab(Buffer.byteLength(text) + 1);
  slab.bytes.write(text);
  slab.bytes[slab.bytes.length - 1] = 0;
  return slab;
}

/** Makes a slab with a copy of `bytes`. */
export function slabOf(bytes: Uint8Array): Slab {
  const slab = newSlab(Math.max(1, bytes.length));
  slab.bytes.set(bytes);
  return slab;
}

/**
 * Where `bytes` begins. Cheap for the buffer of a slab, dearer for any other; either way the
 * caller holds `bytes` until the call that uses the address has returned.
 */
export function addressOf(bytes: Buffer): number {
  if (bytes === lastBytes) return lastAddress;
  const known = addresses.get(bytes);
  if (known === undefined) return rawAddress(bytes);
  // Only buffers of slabs are remembered here, so that this keeps no short-lived buffer alive.
  lastBytes = bytes;
  lastAddress = known;
  return known;
}

let held: readonly Slab[] = [];

/**
 * Keeps slabs alive up to here. To be called after a C call that was given the address of a slab
 * which nothing refers to afterwards: an address alone does not keep the collector away.
 */
export function hold(...slabs: readonly Slab[]): void {
  held = slabs;
  if (held.length === 0) throw new TypeError('Cannot hold nothing');
}
