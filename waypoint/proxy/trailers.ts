/** Trailers that must outlive the message that they came with. */
import type { HeaderSource, HpackEncoder } from '#common/http2/hpack-encoder.ts';
import { Fields } from './fields.ts';

/** A copy that nothing else changes. */
export function copyOf(trailers: Fields): HeaderSource {
  const headers: { name: string; value: string }[] = [];
  const { mostBytes } = trailers;
  trailers.each((name, value) => headers.push({ name, value }));
  const copy = new Fields().ofHeaders(headers, 0);
  return { mostBytes, encode: (encoder: HpackEncoder) => copy.encode(encoder) };
}
