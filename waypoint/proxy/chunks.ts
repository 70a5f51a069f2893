/** Writes content of unknown length to a wire of HTTP/1.1. */
import {
  CHUNK_END_BYTES,
  CHUNK_HEAD_BYTES,
  writeChunkHead,
  writeLastChunk,
  writeLineEnd,
} from '#common/http1/writer.ts';
import type { Fields } from './fields.ts';
import { COPIED_BODY_BYTES } from './limits.ts';
import type { Wire } from './wire.ts';

export function writeChunk(wire: Wire, bytes: Buffer, from: number, to: number): void {
  const length = to - from;
  if (length === 0) return; // It would say that this was all.
  if (length > COPIED_BODY_BYTES) {
    const head = wire.reserve(CHUNK_HEAD_BYTES);
    wire.commit(writeChunkHead(wire.bytes, head, length) - head);
    wire.write(bytes, from, to);
    const end = wire.reserve(CHUNK_END_BYTES);
    wire.commit(writeLineEnd(wire.bytes, end) - end);
    return;
  }
  const at = wire.reserve(CHUNK_HEAD_BYTES + length + CHUNK_END_BYTES);
  const start = writeChunkHead(wire.bytes, at, length);
  bytes.copy(wire.bytes, start, from, to);
  wire.commit(writeLineEnd(wire.bytes, start + length) - at);
}

/** The last chunk, trailers if there are any, and the end. */
export function writeChunksEnd(wire: Wire, trailers: Fields | undefined): void {
  const at = wire.reserve(CHUNK_HEAD_BYTES + (trailers?.lineBytes ?? 0));
  let end = writeLastChunk(wire.bytes, at);
  if (trailers !== undefined) end = trailers.write(wire.bytes, end);
  wire.commit(writeLineEnd(wire.bytes, end) - at);
}
