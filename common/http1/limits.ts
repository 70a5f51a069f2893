/**
 * Every bound that protects an HTTP/1.1 endpoint of ours from its peer.
 *
 * A head is collected whole before anything of it is believed, so these are also the memory that a
 * peer which never ends one can cost.
 */

/** A start line and all fields, or all trailers, with their line ends. */
export const MAX_HEAD_BYTES = 64 * 1024;

/** The target of a request. */
export const MAX_TARGET_BYTES = 16 * 1024;

/** One field line, name and value. */
export const MAX_LINE_BYTES = 32 * 1024;

export const MAX_FIELDS = 128;

export const MAX_METHOD_BYTES = 32;

/** The line before a chunk: up to 15 digits and extensions, which are dropped. */
export const MAX_CHUNK_LINE_BYTES = 1024;

/** Digits of a length: as many as a number of JavaScript holds exactly. */
export const MAX_LENGTH_DIGITS = 15;
export const MAX_CHUNK_DIGITS = 13;
