/**
 * Socket addresses as the kernel lays them out: struct sockaddr_in, sockaddr_in6 and sockaddr_un.
 *
 * Text is canonical (common/address.ts): a v4-mapped IPv6 address reads as IPv4, and an IPv4
 * address is written v4-mapped when the socket is an IPv6 one.
 */
import { formatAddress, formatAddress4, parseAddress, writeAddress4 } from '../address.ts';
import { MeshError } from '../errors.ts';
import { AF_INET, AF_INET6, AF_UNIX } from './constants.ts';

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** Enough for every family that we use. */
export const SOCKADDR_BYTES = 128;
const UNIX_PATH_MAX = 107;

/** Writes an address for a socket of this family and returns its length. */
export function writeEndpoint(to: Buffer, family: number, address: string, port: number): number {
  to.writeUInt16LE(family, 0);
  to.writeUInt16BE(port, 2);
  if (family === AF_INET && writeAddress4(address, to, 4)) {
    for (let i = 8; i < 16; i += 1) to[i] = 0;
    return 16;
  }
  const ip = parseAddress(address);
  if (ip === undefined) {
    throw new MeshError(
      'ADDRESS_INVALID',
      `Cannot use the address "${address}": not an IP address`,
    );
  }
  if (family !== AF_INET6) {
    throw new MeshError(
      'ADDRESS_INVALID',
      `Cannot use the address "${address}": the socket is not of its family`,
    );
  }
  to.fill(0, 4, 28);
  to.set(ip, 8);
  return 28;
}

/** Reads an IPv4 or IPv6 socket address; undefined when it is of another family. */
export function readEndpoint(from: Buffer): Endpoint | undefined {
  const family = from.readUInt16LE(0);
  const port = from.readUInt16BE(2);
  if (family === AF_INET) return { address: formatAddress4(from, 4), port };
  if (family === AF_INET6) return { address: formatAddress(from, 8), port };
  return undefined;
}

/** Writes the address of a Unix socket, in the file system or (leading NUL) abstract. */
export function writeUnixPath(to: Buffer, path: string): number {
  const length = Buffer.byteLength(path);
  if (length === 0 || length > UNIX_PATH_MAX) {
    throw new MeshError(
      'ADDRESS_INVALID',
      `Cannot use the socket path "${path}": it must have 1 to ${UNIX_PATH_MAX} bytes`,
    );
  }
  to.fill(0, 0, 110);
  to.writeUInt16LE(AF_UNIX, 0);
  to.write(path, 2);
  return path.startsWith('\0') ? 2 + length : 3 + length;
}
