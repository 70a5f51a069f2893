/**
 * IP addresses and CIDRs, as canonical text and as bytes.
 *
 * Canonical text is dotted for IPv4 (also for v4-mapped IPv6) and RFC 5952 for IPv6, so equal
 * addresses are equal strings. Bytes are always 16: IPv4 is carried v4-mapped (RFC 4291 2.5.5.2).
 * Parsing is strict: no leading zeros in IPv4, no zone, no surrounding space.
 */
import { MeshError } from './errors.ts';

export type Family = 4 | 6;

const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/** Returns the 16 bytes of an address, or undefined when the text is none. */
export function parseAddress(text: string): Uint8Array | undefined {
  return text.includes(':') ? parse6(text) : parse4(text);
}

/** Returns canonical text; throws `ADDRESS_INVALID` when the text is no address. */
export function canonicalAddress(text: string): string {
  const bytes = parseAddress(text);
  if (bytes === undefined) {
    throw new MeshError('ADDRESS_INVALID', `Cannot read the address "${text}": not IPv4 or IPv6`);
  }
  return formatAddress(bytes);
}

export function familyOf(canonical: string): Family {
  return canonical.includes(':') ? 6 : 4;
}

/** Spells 16 bytes at `at` as canonical text. */
export function formatAddress(bytes: Uint8Array, at = 0): string {
  if (isMapped(bytes, at)) return formatAddress4(bytes, at + 12);
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2)
    groups.push(((bytes[at + i] ?? 0) << 8) | (bytes[at + i + 1] ?? 0));
  const gap = longestZeroRun(groups);
  const text = (part: readonly number[]): string => part.map((g) => g.toString(16)).join(':');
  if (gap.length < 2) return text(groups);
  return `${text(groups.slice(0, gap.start))}::${text(groups.slice(gap.start + gap.length))}`;
}

/** Spells the 4 bytes of an IPv4 address at `at`. */
export function formatAddress4(bytes: Uint8Array, at: number): string {
  return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
}

/** Spells `address:port`, with brackets around IPv6. */
export function formatEndpoint(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

export interface Cidr {
  readonly bytes: Uint8Array;
  /** Out of 128; an IPv4 /24 is 120 here. */
  readonly bits: number;
}

/** Reads `10.0.0.0/8`, `fd00::/8` or a bare address; undefined when it is none of these. */
export function parseCidr(text: string): Cidr | undefined {
  const [address = '', length, ...rest] = text.split('/');
  if (rest.length > 0) return undefined;
  const bytes = parseAddress(address);
  if (bytes === undefined) return undefined;
  const width = address.includes(':') ? 128 : 32;
  if (length === undefined) return { bytes, bits: 128 };
  if (!/^(0|[1-9]\d{0,2})$/.test(length) || Number(length) > width) return undefined;
  return { bytes, bits: 128 - width + Number(length) };
}

/** An IPv6 CIDR never holds an IPv4 address, though mapped addresses lie inside `::/0`. */
export function cidrContains(cidr: Cidr, bytes: Uint8Array): boolean {
  if (cidr.bits < MAPPED.length * 8 && isMapped(bytes)) return false;
  const whole = cidr.bits >> 3;
  for (let i = 0; i < whole; i += 1) if (cidr.bytes[i] !== bytes[i]) return false;
  const rest = cidr.bits & 7;
  if (rest === 0) return true;
  const mask = 0xff00 >> rest;
  return (((cidr.bytes[whole] ?? 0) ^ (bytes[whole] ?? 0)) & mask & 0xff) === 0;
}

/** Says whether a canonical address is loopback: 127.0.0.0/8 or ::1. */
export function isLoopback(canonical: string): boolean {
  return canonical.startsWith('127.') || canonical === '::1';
}

export function isMapped(bytes: Uint8Array, at = 0): boolean {
  for (let i = 0; i < MAPPED.length; i += 1) if (bytes[at + i] !== MAPPED[i]) return false;
  return true;
}

function parse4(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(16);
  bytes.set(MAPPED);
  return writeAddress4(text, bytes, 12) ? bytes : undefined;
}

/**
 * Writes the 4 bytes of an IPv4 address at `start`; false when the text is none. Read digit by digit,
 * without anything made: this runs for every connection.
 */
export function writeAddress4(text: string, bytes: Uint8Array, start: number): boolean {
  let at = start;
  let value = -1;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code === DOT) {
      if (value < 0 || at === start + 3) return false;
      bytes[at] = value;
      at += 1;
      value = -1;
    } else if (code >= ZERO && code <= NINE && value !== 0) {
      value = (value < 0 ? 0 : value * 10) + code - ZERO;
      if (value > 255) return false;
    } else return false;
  }
  if (at !== start + 3 || value < 0) return false;
  bytes[at] = value;
  return true;
}

const DOT = 46;
const ZERO = 48;
const NINE = 57;

function parse6(text: string): Uint8Array | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head = '', tail] = halves;
  const front = groupsOf(head, tail === undefined);
  const back = tail === undefined ? [] : groupsOf(tail, true);
  if (front === undefined || back === undefined) return undefined;
  const missing = 8 - front.length - back.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...front, ...Array.from({ length: missing }, () => 0), ...back];
  const bytes = new Uint8Array(16);
  for (const [i, group] of groups.entries()) {
    bytes[2 * i] = group >> 8;
    bytes[2 * i + 1] = group & 0xff;
  }
  return bytes;
}

/** Dotted IPv4 may only stand at the very end of an address. */
function groupsOf(text: string, isEnd: boolean): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    if (part.includes('.')) {
      const four = isEnd && i === parts.length - 1 ? parse4(part) : undefined;
      if (four === undefined) return undefined;
      groups.push(
        ((four[12] ?? 0) << 8) | (four[13] ?? 0),
        ((four[14] ?? 0) << 8) | (four[15] ?? 0),
      );
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      groups.push(Number.parseInt(part, 16));
    }
  }
  return groups;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start += 1) {
    let length = 0;
    while (groups[start + length] === 0) length += 1;
    if (length > best.length) best = { start, length };
  }
  return best;
}
