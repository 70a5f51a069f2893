/** Which body follows the head of a response (RFC 9112 section 6.3). */
import type { BodyKind } from './body-reader.ts';
import type { ResponseHead } from './response-head.ts';

export interface ExpectedBody {
  readonly kind: BodyKind;
  readonly length: number;
}

const NONE: ExpectedBody = { kind: 'none', length: 0 };
const CHUNKED: ExpectedBody = { kind: 'chunked', length: 0 };
const TO_THE_END: ExpectedBody = { kind: 'close', length: 0 };
/** Given out and read at once: there is one response at a time. */
const sized: { kind: BodyKind; length: number } = { kind: 'length', length: 0 };

export function hasNoBody(status: number, method: string): boolean {
  return method === 'HEAD' || status < 200 || status === 204 || status === 304;
}

/** `method` is that of the request; the result is valid until the next call. */
export function responseBody({ status, framing }: ResponseHead, method: string): ExpectedBody {
  if (hasNoBody(status, method)) return NONE;
  if (framing.chunked) return CHUNKED;
  if (framing.length < 0) return TO_THE_END;
  sized.length = framing.length;
  return sized;
}
