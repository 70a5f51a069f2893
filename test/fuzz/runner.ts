/**
 * Runs a decoder on its corpus and on cases made from a seed, and watches time and memory.
 *
 * The corpus comes first: a directory of inputs that once failed, or that reached an outcome which
 * nothing before them had. Inputs that reach a new one join those from which cases are made. An
 * input that seems slow is run again, several times, and its best time counts: a fault of the input
 * stays, a pause of the machine does not.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { must, type Decoder } from './decoder.ts';
import { seeded } from './random.ts';

const BYTES_PER_BUDGET = 65_536;
const AGAIN = 7;
/** A machine that is busy may be so for all of them: then there is another round, later. */
const ROUNDS = 5;
const PAUSE = new Int32Array(new SharedArrayBuffer(4));
const PAUSE_MS = 50;
const MOST_POOLED = 512;
const MOST_OUTCOMES = 5000;
/** What may stay behind after a run: caches of regular expressions and compiled code. */
const MOST_LEFT_BYTES = 64 * 1024 * 1024;
/** Interesting inputs above this size are not worth keeping. */
const LONGEST_KEPT = 4096;

export interface Report {
  readonly name: string;
  readonly replayed: number;
  readonly cases: number;
  readonly read: number;
  readonly bytes: number;
  readonly outcomes: number;
  readonly seconds: number;
  /** Of one case. */
  readonly medianUs: number;
  readonly worstMs: number;
  readonly leftBytes: number;
  /** Inputs whose outcome nobody in the corpus has. */
  readonly found: readonly Buffer[];
  readonly failures: readonly Failure[];
}

export interface Failure {
  readonly what: string;
  readonly input: Buffer;
}

export interface RunOptions {
  readonly cases: number;
  readonly seed: number;
  readonly corpus: readonly Buffer[];
}

const MOST_FAILURES = 10;

export function runDecoder(decoder: Decoder, { cases, seed, corpus }: RunOptions): Report {
  const run = new Run(decoder);
  for (const input of decoder.seeds) {
    if (run.one(input) !== 'read') run.fail('a seed was refused', input);
  }
  for (const input of corpus) run.one(input);
  const known = run.outcomes.size;
  const pool = [...decoder.seeds, ...corpus];
  const found: Buffer[] = [];
  const before = liveBytes();
  const started = performance.now();
  let done = 0;
  for (let i = 0; i < cases && run.failures.length < MOST_FAILURES; i += 1) {
    done += 1;
    const random = seeded(seed + i);
    const from = pool[random(pool.length)] ?? Buffer.alloc(0);
    const other = pool[random(pool.length)] ?? from;
    const input = decoder.mutate(random, from, other);
    const size = run.outcomes.size;
    run.one(input);
    if (run.outcomes.size === size || input.length > LONGEST_KEPT) continue;
    if (pool.length >= MOST_POOLED) continue;
    found.push(Buffer.from(input));
    pool.push(Buffer.from(input));
  }
  const seconds = (performance.now() - started) / 1000;
  const leftBytes = liveBytes() - before;
  if (leftBytes > MOST_LEFT_BYTES) run.fail(`${leftBytes} bytes stay behind`, Buffer.alloc(0));
  return {
    name: decoder.name,
    replayed: corpus.length,
    cases: done,
    read: run.read,
    bytes: run.bytes,
    outcomes: run.outcomes.size,
    seconds,
    medianUs: run.times.median(),
    worstMs: run.worstMs,
    leftBytes,
    found: known === run.outcomes.size ? [] : found,
    failures: run.failures,
  };
}

class Run {
  readonly outcomes = new Set<string>();
  readonly failures: Failure[] = [];
  readonly times = new Histogram();
  readonly #decoder: Decoder;
  read = 0;
  bytes = 0;
  worstMs = 0;

  constructor(decoder: Decoder) {
    this.#decoder = decoder;
  }

  fail(what: string, input: Buffer): void {
    this.failures.push({ what, input: Buffer.from(input) });
  }

  /** One input; the outcome, or undefined when it failed. */
  one(input: Buffer): string | undefined {
    try {
      const started = performance.now();
      const outcome = this.#decoder.run(input);
      const ms = performance.now() - started;
      this.times.add(ms);
      this.bytes += input.length;
      if (outcome === 'read') this.read += 1;
      if (this.outcomes.size < MOST_OUTCOMES) this.outcomes.add(outcome);
      this.#judge(input, ms);
      return outcome;
    } catch (error) {
      this.fail(error instanceof Error ? (error.stack ?? error.message) : String(error), input);
      return undefined;
    }
  }

  #judge(input: Buffer, firstMs: number): void {
    const budget = (this.#decoder.budgetMs ?? 1) * Math.max(1, input.length / BYTES_PER_BUDGET);
    let ms = firstMs;
    for (let round = 0; ms > budget && round < ROUNDS; round += 1) {
      if (round > 0) Atomics.wait(PAUSE, 0, 0, PAUSE_MS);
      ms = Math.min(ms, costOf(this.#decoder, input));
    }
    this.worstMs = Math.max(this.worstMs, ms);
    if (ms > budget) this.fail(`slow: ${ms.toFixed(2)} ms for ${input.length} bytes`, input);
  }
}

/** Milliseconds for one input, the best of several. */
export function costOf(decoder: Decoder, input: Buffer, times = AGAIN): number {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < times; i += 1) {
    const started = performance.now();
    decoder.run(input);
    best = Math.min(best, performance.now() - started);
  }
  return best;
}

/** Times in steps of a tenth of their size, so that the median of millions takes no room. */
class Histogram {
  readonly #counts = new Uint32Array(400);
  #total = 0;

  add(ms: number): void {
    const step = Math.round(Math.log(Math.max(ms, 1e-5) / 1e-5) / Math.log(1.1));
    const at = Math.min(step, this.#counts.length - 1);
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#total += 1;
  }

  /** In microseconds. */
  median(): number {
    let seen = 0;
    for (const [step, count] of this.#counts.entries()) {
      seen += count;
      if (seen * 2 >= this.#total) return 1e-2 * 1.1 ** step;
    }
    return 0;
  }
}

let collect: (() => void) | undefined;

/** What is alive on the heap and outside of it, after a collection. */
function liveBytes(): number {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    const made: unknown = runInNewContext('gc');
    collect = () => {
      if (typeof made === 'function') made();
    };
  }
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const corpusOf = (name: string): URL => new URL(`corpus/${name}/`, import.meta.url);

/** The saved inputs of a decoder, those that once failed first. */
export function readCorpus(name: string): Buffer[] {
  const directory = corpusOf(name);
  let files: string[];
  try {
    files = readdirSync(directory);
  } catch {
    return [];
  }
  return files.toSorted().map((file) => readFileSync(new URL(file, directory)));
}

/** Keeps an input: `failed-…` sorts before `found-…`. */
export function saveInput(name: string, kind: 'failed' | 'found', input: Buffer): string {
  must(input.length > 0, 'there is nothing to keep');
  const hash = createHash('sha256').update(input).digest('hex').slice(0, 12);
  mkdirSync(corpusOf(name), { recursive: true });
  const file = `${kind}-${hash}.bin`;
  writeFileSync(new URL(file, corpusOf(name)), input);
  return `corpus/${name}/${file}`;
}
