/**
 * Reads TAP from standard input and says what somebody who waits wants to see: a line for each test
 * file as it ends, and every failure with its path and the first lines of its diagnosis.
 *
 * Each failure is said once, where it happened; the tests around it only fail with it.
 */
import { createInterface } from 'node:readline';

const INDENT = 4;
const LONGEST_DIAGNOSIS = 30;

/** Turns TAP, line by line, into the lines to print. */
export class TapLines {
  /** The open subtests, outermost (the file) first. */
  #path: string[] = [];
  /** How deep the last failure was that has been said; those that contain it are not said again. */
  #failedAt = -1;
  /** Lines of a diagnosis still to be passed on, while one is being read. */
  #left = 0;

  /** What to print for one line of TAP. */
  take(line: string): string[] {
    const text = line.trimStart();
    const depth = Math.floor((line.length - text.length) / INDENT);
    const subtest = /^# Subtest: (.*)$/.exec(text);
    if (subtest !== null) {
      this.#path = [...this.#path.slice(0, depth), subtest[1] ?? ''];
      return [];
    }
    const result = /^(not )?ok \d+(?: - )?(.*?)(?: # time=([\d.]+)ms)?(?: \{)?$/.exec(text);
    if (result !== null) return this.#result(depth, result);
    if (this.#left === 0) return [];
    if (text === '...') this.#left = 0;
    else if (text !== '---') return this.#diagnosis(line);
    return [];
  }

  #result(depth: number, [, not, name = '', ms]: RegExpExecArray): string[] {
    this.#left = 0;
    const isLeaf = this.#failedAt <= depth;
    if (not !== undefined) {
      this.#failedAt = depth;
      if (isLeaf) this.#left = LONGEST_DIAGNOSIS;
    }
    if (depth > 0) {
      if (not === undefined || !isLeaf) return [];
      return [`not ok  ${[...this.#path.slice(0, depth), name].join(' > ')}`];
    }
    this.#failedAt = -1;
    const seconds = ms === undefined ? '' : `${(Number(ms) / 1000).toFixed(1)} s`;
    return [`${not === undefined ? 'ok' : 'FAILED'}  ${name}  ${seconds}`];
  }

  #diagnosis(line: string): string[] {
    this.#left -= 1;
    return [`        ${line.trimStart()}`];
  }
}

if (import.meta.main) {
  const lines = new TapLines();
  for await (const line of createInterface({ input: process.stdin })) {
    for (const one of lines.take(line)) console.log(one);
  }
}
