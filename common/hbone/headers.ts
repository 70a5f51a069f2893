/**
 * What a CONNECT of HBONE says, and its answer: header lists to plain data and back.
 *
 * Everything but the authority and, where the session's owner chooses to believe it, `source` is a
 * hint for telemetry: absent or odd values are dropped and refuse nothing. The two that could be
 * used to deceive, `:authority` and `plumbline-source`, must be exact and stand once.
 */
import type { HpackEncoder } from '../http2/hpack-encoder.ts';
import { blockBytes, isSendable } from '../http2/hpack-encoder.ts';
import type { Message } from '../http2/message.ts';
import { formatAddress, parseAddress } from '../address.ts';

export interface ConnectRequest {
  /** `address:port`, `[address]:port` or `host:port`. */
  readonly authority: string;
  readonly baggage?: string;
  readonly forwarded?: string;
  readonly traceparent?: string;
  /** `plumbline-source`: the original caller, as a waypoint's agent tells it. */
  readonly source?: string;
  /** `x-forwarded-network`: the network of the caller, inside double HBONE. */
  readonly network?: string;
}

/** A well-formed request that is no CONNECT of ours; answer it with 400. */
export interface InvalidRequest {
  readonly invalid: string;
}

export interface ConnectResponse {
  readonly baggage?: string;
  /** `plumbline-reason`: an error code of ours. */
  readonly reason?: string;
}

const LONGEST_HINT = 4096;
const REASON = /^[A-Z][A-Z_]{0,63}$/;
/** A host name has at most 253 characters; brackets, colon and port come on top. */
const LONGEST_AUTHORITY = 262;
const HOST =
  /^(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.?$/i;

export interface Authority {
  /** A canonical address, or a host name in lower case. */
  readonly host: string;
  readonly isAddress: boolean;
  readonly port: number;
}

/** Reads `host:port`; undefined when host or port is missing or is not spelled as it must be. */
export function parseAuthority(text: string): Authority | undefined {
  if (text.length > LONGEST_AUTHORITY) return undefined;
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (!(port >= 1 && port <= 65_535)) return undefined;
  const bytes = parseAddress(bracketed ?? plain ?? '');
  if (bytes !== undefined) return { host: formatAddress(bytes), isAddress: true, port };
  if (plain === undefined || /^[\d.]+$/.test(plain) || plain.length > 253 || !HOST.test(plain)) {
    return undefined;
  }
  return { host: plain.toLowerCase(), isAddress: false, port };
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** The last authority that was found good: most requests of a tunnel have the same. */
let lastGood = '';

/** Reads a well-formed request message. */
export function readRequest(message: Message): ConnectRequest | InvalidRequest {
  const method = message.pseudo.get('method');
  if (method !== 'CONNECT') return { invalid: 'the method is not CONNECT' };
  const authority = message.pseudo.get('authority') ?? '';
  if (authority !== lastGood) {
    if (parseAuthority(authority) === undefined)
      return { invalid: 'the authority is no host:port' };
    lastGood = authority;
  }
  const request: Writable<ConnectRequest> = { authority };
  let baggage: string | undefined;
  let forwarded: string | undefined;
  let traceparent: string | undefined;
  let network: string | undefined;
  for (const { name, value } of message.fields) {
    switch (name) {
      case 'baggage':
        baggage = appended(baggage, value);
        break;
      case 'forwarded':
        forwarded = appended(forwarded, value);
        break;
      case 'traceparent':
        traceparent ??= value;
        break;
      case 'x-forwarded-network':
        network ??= value;
        break;
      case 'plumbline-source':
        if (request.source !== undefined) {
          return { invalid: 'plumbline-source stands more than once' };
        }
        request.source = value;
        break;
    }
  }
  if (isHint(baggage)) request.baggage = baggage;
  if (isHint(forwarded)) request.forwarded = forwarded;
  if (isHint(traceparent)) request.traceparent = traceparent;
  if (isHint(network)) request.network = network;
  return request;
}

export function readResponse(message: Message): ConnectResponse {
  const response: Writable<ConnectResponse> = {};
  let baggage: string | undefined;
  let reason: string | undefined;
  for (const { name, value } of message.fields) {
    if (name === 'baggage') baggage = appended(baggage, value);
    else if (name === 'plumbline-reason') reason ??= value;
  }
  if (isHint(baggage)) response.baggage = baggage;
  // It goes into our log, so it is a code or nothing: no text of the peer's choice.
  if (reason !== undefined && REASON.test(reason)) response.reason = reason;
  return response;
}

/** An upper bound for the block that `encodeRequest` writes. */
export function requestBytes(request: ConnectRequest): number {
  const { authority, baggage, forwarded, traceparent, source, network } = request;
  return 128 + blockBytes(authority, baggage, forwarded, traceparent, source, network);
}

export function encodeRequest(encoder: HpackEncoder, request: ConnectRequest): void {
  encoder.method('CONNECT');
  encoder.authority(request.authority);
  field(encoder, 'baggage', request.baggage);
  field(encoder, 'forwarded', request.forwarded);
  field(encoder, 'traceparent', request.traceparent);
  field(encoder, 'plumbline-source', request.source);
  field(encoder, 'x-forwarded-network', request.network);
}

/** An upper bound for the block that `encodeResponse` writes. */
export function responseBytes(response: ConnectResponse): number {
  return 64 + blockBytes(response.baggage, response.reason);
}

export function encodeResponse(
  encoder: HpackEncoder,
  status: number,
  response: ConnectResponse,
): void {
  encoder.status(status);
  field(encoder, 'baggage', response.baggage);
  field(encoder, 'plumbline-reason', response.reason);
}

/** A value that no receiver would take is left out rather than sent. */
function field(encoder: HpackEncoder, name: string, value: string | undefined): void {
  if (value !== undefined && isSendable(value)) encoder.field(name, value);
}

function isHint(value: string | undefined): value is string {
  return value !== undefined && value.length <= LONGEST_HINT;
}

/** Several lines of a list header are one list (RFC 9110 section 5.3). */
function appended(list: string | undefined, value: string): string {
  return list === undefined ? value : `${list},${value}`;
}
