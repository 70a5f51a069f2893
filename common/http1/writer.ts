/**
 * Writes the parts of HTTP/1.1 messages at a place in a buffer; each returns where its part ends.
 *
 * Room is the caller's business, and so is what stands in names and values: `isFieldText` tells
 * whether text from elsewhere may.
 */
import { TEXT, TOKEN } from './characters.ts';

const REASONS: Readonly<Record<number, string>> = {
  100: 'Continue',
  101: 'Switching Protocols',
  103: 'Early Hints',
  200: 'OK',
  201: 'Created',
  202: 'Accepted',
  204: 'No Content',
  206: 'Partial Content',
  301: 'Moved Permanently',
  302: 'Found',
  303: 'See Other',
  304: 'Not Modified',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  408: 'Request Timeout',
  413: 'Content Too Large',
  414: 'URI Too Long',
  417: 'Expectation Failed',
  421: 'Misdirected Request',
  426: 'Upgrade Required',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
};

const statusLines: (Buffer | undefined)[] = [];

/** `HTTP/1.1 404 Not Found` and its line end. */
export function writeStatusLine(into: Buffer, at: number, status: number): number {
  const line = (statusLines[status] ??= Buffer.from(
    `HTTP/1.1 ${status} ${REASONS[status] ?? ''}\r\n`,
    'latin1',
  ));
  return at + line.copy(into, at);
}

/** Up to here a loop is cheaper than a call of Node's. */
const SHORT_TEXT = 40;

export function writeText(into: Buffer, at: number, text: string): number {
  const { length } = text;
  if (length > SHORT_TEXT) return at + into.write(text, at, 'latin1');
  for (let i = 0; i < length; i += 1) into[at + i] = text.charCodeAt(i);
  return at + length;
}

export function writeField(into: Buffer, at: number, name: string, value: string): number {
  const end = writeText(into, at, name);
  into[end] = 0x3a;
  into[end + 1] = 0x20;
  return writeLineEnd(into, writeText(into, end + 2, value));
}

export function writeLineEnd(into: Buffer, at: number): number {
  into[at] = 13;
  into[at + 1] = 10;
  return at + 2;
}

/** Room that a chunk needs beside its content: before it, and behind it. */
export const CHUNK_HEAD_BYTES = 16;
export const CHUNK_END_BYTES = 2;

/** The line before a chunk of this length. */
export function writeChunkHead(into: Buffer, at: number, length: number): number {
  let digits = 1;
  for (let rest = length >>> 4; rest > 0; rest >>>= 4) digits += 1;
  for (let i = digits - 1, rest = length; i >= 0; i -= 1, rest >>>= 4) {
    const digit = rest & 15;
    into[at + i] = digit < 10 ? 0x30 + digit : 0x57 + digit;
  }
  return writeLineEnd(into, at + digits);
}

/** The last chunk, without trailers and the line end behind them. */
export function writeLastChunk(into: Buffer, at: number): number {
  into[at] = 0x30;
  return writeLineEnd(into, at + 1);
}

/** Whether a text may be the value of a field: no control characters, no spaces around it. */
export function isFieldText(text: string): boolean {
  for (let i = 0; i < text.length; i += 1) {
    const octet = text.charCodeAt(i);
    if (octet > 255 || TEXT[octet] === 0) return false;
  }
  return !/^[ \t]|[ \t]$/.test(text);
}

/** Whether a text may be the name of a field. */
export function isFieldName(text: string): boolean {
  for (let i = 0; i < text.length; i += 1) {
    const octet = text.charCodeAt(i);
    if (octet > 255 || TOKEN[octet] === 0) return false;
  }
  return text.length > 0;
}
