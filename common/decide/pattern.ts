/**
 * Regular expressions that cost linear time whatever the text is: no text of a client can make a
 * pattern of the operator slow.
 *
 * A pattern matches a text as a whole. It is run as a deterministic automaton that is built while
 * texts come by, from at most `STATES_MAX` states; when it is full it starts anew, so memory is
 * bounded as well. A step that was seen before is one look into a table.
 */
import { parsePatternText, PatternError } from './pattern-parse.ts';
import type { PatternNode, Ranges } from './pattern-parse.ts';

export { PatternError } from './pattern-parse.ts';

const PROGRAM_MAX = 1000;
const STATES_MAX = 512;
const UNKNOWN = -1;
const DEAD = 0;

type Instruction =
  | { readonly op: 'set'; readonly ranges: Ranges; next: number }
  | { readonly op: 'split'; next: number; other: number }
  | { readonly op: 'start' | 'end'; next: number }
  | { readonly op: 'match' };

/** A state of the automaton: the instructions at which the pattern may stand. */
interface State {
  readonly at: readonly number[];
  readonly steps: Int32Array;
  /** The text may end here. */
  readonly accepts: boolean;
}

/** Compiles a pattern; throws a `PatternError` for one that is none, or not of the linear kind. */
export function compilePattern(pattern: string): Pattern {
  return new Pattern(programOf(parsePatternText(pattern)));
}

/** Says what is wrong with a pattern, or '' when it is right. */
export function patternFault(pattern: string): string {
  try {
    compilePattern(pattern);
    return '';
  } catch (error) {
    if (error instanceof PatternError) return error.message;
    throw error;
  }
}

export class Pattern {
  readonly #program: readonly Instruction[];
  /** First code unit of each class of characters that no instruction tells apart. */
  readonly #classStarts: readonly number[];
  readonly #asciiClass: Uint16Array;
  #states: State[] = [];
  #byKey = new Map<string, number>();
  #first = DEAD;

  constructor(program: readonly Instruction[]) {
    this.#program = program;
    this.#classStarts = classStartsOf(program);
    this.#asciiClass = Uint16Array.from({ length: 128 }, (_, code) => this.#searchClass(code));
    this.#restart();
  }

  test(text: string): boolean {
    let state = this.#first;
    for (let i = 0; i < text.length; i += 1) {
      const code = text.charCodeAt(i);
      const kind = code < 128 ? (this.#asciiClass[code] ?? 0) : this.#searchClass(code);
      let next = this.#states[state]?.steps[kind] ?? DEAD;
      if (next === UNKNOWN) next = this.#step(state, kind);
      if (next === DEAD) return false;
      state = next;
    }
    return this.#states[state]?.accepts ?? false;
  }

  #step(from: number, kind: number): number {
    const state = this.#states[from];
    if (state === undefined) return DEAD;
    const code = this.#classStarts[kind] ?? 0;
    const targets: number[] = [];
    for (const at of state.at) {
      const one = this.#program[at];
      if (one?.op === 'set' && holds(one.ranges, code)) targets.push(one.next);
    }
    const [reached, accepts] = this.#closure(targets, false);
    if (this.#states.length >= STATES_MAX && !this.#byKey.has(keyOf(reached, accepts))) {
      this.#restart();
      return this.#stateOf(reached, accepts);
    }
    const next = this.#stateOf(reached, accepts);
    state.steps[kind] = next;
    return next;
  }

  #restart(): void {
    this.#byKey = new Map();
    this.#states = [];
    this.#stateOf([], false);
    const [start, accepts] = this.#closure([0], true);
    this.#first = this.#stateOf(start, accepts);
  }

  #stateOf(at: readonly number[], accepts: boolean): number {
    const key = keyOf(at, accepts);
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    const steps = new Int32Array(this.#classStarts.length).fill(at.length === 0 ? DEAD : UNKNOWN);
    const id = this.#states.push({ at, steps, accepts }) - 1;
    this.#byKey.set(key, id);
    return id;
  }

  /** Follows whatever takes no character; says whether the text could end there. */
  #closure(from: readonly number[], isStart: boolean): [number[], boolean] {
    const reached = this.#reach(from, isStart, false);
    const sets = [...reached].filter((at) => this.#program[at]?.op === 'set').toSorted(byNumber);
    const ends = this.#reach(from, isStart, true);
    return [sets, [...ends].some((at) => this.#program[at]?.op === 'match')];
  }

  #reach(from: readonly number[], isStart: boolean, isEnd: boolean): Set<number> {
    const reached = new Set(from);
    for (const at of reached) {
      const one = this.#program[at];
      if (one?.op === 'split') reached.add(one.next).add(one.other);
      else if (one?.op === 'start' && isStart) reached.add(one.next);
      else if (one?.op === 'end' && isEnd) reached.add(one.next);
    }
    return reached;
  }

  #searchClass(code: number): number {
    let [low, high] = [0, this.#classStarts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#classStarts[middle] ?? 0) <= code) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

function keyOf(at: readonly number[], accepts: boolean): string {
  return `${at.join()}${accepts ? '!' : ''}`;
}

function byNumber(a: number, b: number): number {
  return a - b;
}

function holds(ranges: Ranges, code: number): boolean {
  return ranges.some(([from, to]) => from <= code && code <= to);
}

function classStartsOf(program: readonly Instruction[]): number[] {
  const starts = new Set([0]);
  for (const one of program) {
    if (one.op !== 'set') continue;
    for (const [from, to] of one.ranges) starts.add(from).add(to + 1);
  }
  return [...starts].toSorted(byNumber);
}

function programOf(root: PatternNode): Instruction[] {
  const program: Instruction[] = [];
  const add = (one: Instruction): number => {
    if (program.length >= PROGRAM_MAX) throw new PatternError('the pattern becomes too large', 0);
    return program.push(one) - 1;
  };
  emit(root);
  add({ op: 'match' });
  return program;

  /** Emits a node; what follows it is the next instruction. */
  function emit(node: PatternNode): void {
    switch (node.kind) {
      case 'set':
        add({ op: 'set', ranges: node.ranges, next: program.length + 1 });
        break;
      case 'start':
      case 'end':
        add({ op: node.kind, next: program.length + 1 });
        break;
      case 'sequence':
        node.parts.forEach(emit);
        break;
      case 'choice':
        emitChoice(node.parts);
        break;
      case 'repeat':
        emitRepeat(node.part, node.min, node.max);
        break;
    }
  }

  function emitChoice(parts: readonly PatternNode[]): void {
    const jumps: { next: number }[] = [];
    parts.forEach((part, i) => {
      if (i === parts.length - 1) {
        emit(part);
        return;
      }
      const split = { op: 'split' as const, next: program.length + 1, other: 0 };
      add(split);
      emit(part);
      const jump = { op: 'split' as const, next: 0, other: 0 };
      add(jump);
      jumps.push(jump);
      split.other = program.length;
    });
    for (const jump of jumps) Object.assign(jump, { next: program.length, other: program.length });
  }

  function emitRepeat(part: PatternNode, min: number, max: number): void {
    for (let i = 0; i < min; i += 1) emit(part);
    if (max === Infinity) {
      const loop = { op: 'split' as const, next: program.length + 1, other: 0 };
      const at = add(loop);
      emit(part);
      add({ op: 'split', next: at, other: at });
      loop.other = program.length;
      return;
    }
    const exits: { other: number }[] = [];
    for (let i = min; i < max; i += 1) {
      const exit = { op: 'split' as const, next: program.length + 1, other: 0 };
      add(exit);
      exits.push(exit);
      emit(part);
    }
    for (const exit of exits) exit.other = program.length;
  }
}
