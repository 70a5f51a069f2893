/**
 * A stream of bytes as JSON values, one a line: the body of a watch.
 *
 * A value that is cut anywhere, inside a character too, is put together again; a line that is too
 * long or no JSON throws, and then the stream is of no more use. Pure.
 */
const LONGEST_LINE_BYTES = 32 * 1024 * 1024;
const NEWLINE = 0x0a;

export class JsonLines {
  /** The beginning of a line whose end has not come yet. */
  #parts: Buffer[] = [];
  #held = 0;

  /** Returns the values whose lines end in this chunk. */
  take(chunk: Buffer): unknown[] {
    const values: unknown[] = [];
    let from = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, from);
      if (end < 0) break;
      const tail = chunk.subarray(from, end);
      const line = this.#held === 0 ? tail : Buffer.concat([...this.#parts, tail]);
      this.#parts = [];
      this.#held = 0;
      from = end + 1;
      if (line.length > 0) values.push(JSON.parse(line.toString('utf8')));
    }
    if (from < chunk.length) this.#hold(chunk.subarray(from));
    return values;
  }

  #hold(rest: Buffer): void {
    this.#held += rest.length;
    if (this.#held > LONGEST_LINE_BYTES) {
      throw new RangeError(`a line of more than ${LONGEST_LINE_BYTES} bytes`);
    }
    this.#parts.push(rest);
  }
}
