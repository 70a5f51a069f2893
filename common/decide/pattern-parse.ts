/**
 * Regular expressions that can be matched in linear time, read into a tree.
 *
 * The common part of RE2 and of what people know from JavaScript: literals, `.`, classes, groups,
 * `|`, `*`, `+`, `?`, `{n,m}`, `^`, `$`, and `(?i)` at the front. What would need to go back
 * (references, looking ahead or behind) is refused by name, and so is everything unknown.
 */

/** Pairs of code units, both ends included, in order and apart. */
export type Ranges = readonly (readonly [number, number])[];

export type PatternNode =
  | { readonly kind: 'set'; readonly ranges: Ranges }
  | { readonly kind: 'sequence' | 'choice'; readonly parts: readonly PatternNode[] }
  | {
      readonly kind: 'repeat';
      readonly part: PatternNode;
      readonly min: number;
      readonly max: number;
    }
  | { readonly kind: 'start' | 'end' };

/** Why a pattern is refused; `at` is a place in it. */
export class PatternError extends Error {
  constructor(what: string, at: number) {
    super(`${what} near character ${Math.max(1, at)}`);
  }
}

const LAST = 0xffff;
const PATTERN_MAX = 1024;
const DEPTH_MAX = 50;
const REPEAT_MAX = 1000;

const DIGIT: Ranges = [[48, 57]];
const WORD: Ranges = [
  [48, 57],
  [65, 90],
  [95, 95],
  [97, 122],
];
const SPACE: Ranges = [
  [9, 10],
  [12, 13],
  [32, 32],
];
const NOT_NEWLINE: Ranges = negate([[10, 10]]);
const CLASSES: Readonly<Record<string, Ranges>> = {
  d: DIGIT,
  D: negate(DIGIT),
  w: WORD,
  W: negate(WORD),
  s: SPACE,
  S: negate(SPACE),
};
const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13 };

/** Reads `pattern`; throws a `PatternError` that says what is wrong and where. */
export function parsePatternText(pattern: string): PatternNode {
  if (pattern.length > PATTERN_MAX) throw new PatternError('the pattern is too long', PATTERN_MAX);
  const parser = new Parser(pattern);
  const node = parser.choice(0);
  parser.end();
  return node;
}

class Parser {
  readonly #text: string;
  readonly #foldsCase: boolean;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
    this.#foldsCase = text.startsWith('(?i)');
    if (this.#foldsCase) this.#at = 4;
  }

  end(): void {
    if (this.#at < this.#text.length) throw this.#wrong('a ")" that closes nothing');
  }

  choice(depth: number): PatternNode {
    if (depth > DEPTH_MAX) throw this.#wrong('groups are nested too deep');
    const parts = [this.#sequence(depth)];
    while (this.#take('|')) parts.push(this.#sequence(depth));
    const [only] = parts;
    return parts.length === 1 && only !== undefined ? only : { kind: 'choice', parts };
  }

  #sequence(depth: number): PatternNode {
    const parts: PatternNode[] = [];
    for (;;) {
      const next = this.#text[this.#at];
      if (next === undefined || next === '|' || next === ')') break;
      parts.push(this.#repeated(this.#atom(depth)));
    }
    return { kind: 'sequence', parts };
  }

  #atom(depth: number): PatternNode {
    const sign = this.#next();
    switch (sign) {
      case '(':
        return this.#group(depth);
      case '[':
        return this.#set(this.#bracket());
      case '.':
        return { kind: 'set', ranges: NOT_NEWLINE };
      case '^':
        return { kind: 'start' };
      case '$':
        return { kind: 'end' };
      case '\\':
        return this.#set(this.#escape());
      case '*':
      case '+':
      case '?':
        this.#at -= 1;
        throw this.#wrong(`"${sign}" repeats nothing`);
      default:
        return this.#set([[sign.charCodeAt(0), sign.charCodeAt(0)]]);
    }
  }

  #group(depth: number): PatternNode {
    if (this.#take('?')) {
      const isNamed = /^P?<[A-Za-z_]\w*>/.exec(this.#text.slice(this.#at, this.#at + 64));
      if (isNamed !== null) this.#at += isNamed[0].length;
      else if (!this.#take(':')) {
        throw this.#wrong(
          'looking ahead or behind, or a flag; only "(?:", named groups, and "(?i)" at the front are known',
        );
      }
    }
    const inner = this.choice(depth + 1);
    if (!this.#take(')')) throw this.#wrong('a "(" that is not closed');
    return inner;
  }

  #repeated(part: PatternNode): PatternNode {
    const bounds = this.#quantifier();
    if (bounds === undefined) return part;
    // Lazy and greedy match the same texts; only where they end differs, and we match all of it.
    this.#take('?');
    const [min, max] = bounds;
    if (this.#quantifier() !== undefined) throw this.#wrong('a repetition of a repetition');
    return { kind: 'repeat', part, min, max };
  }

  #quantifier(): readonly [number, number] | undefined {
    if (this.#take('*')) return [0, Infinity];
    if (this.#take('+')) return [1, Infinity];
    if (this.#take('?')) return [0, 1];
    const counted = /^\{(\d{1,4})(,(\d{0,4}))?\}/.exec(this.#text.slice(this.#at, this.#at + 12));
    if (counted === null) return undefined;
    const min = Number(counted[1]);
    const max = counted[2] === undefined ? min : counted[3] === '' ? Infinity : Number(counted[3]);
    if (min > REPEAT_MAX || (max > REPEAT_MAX && max !== Infinity) || min > max) {
      throw this.#wrong(`a repetition of ${counted[0]}; at most ${REPEAT_MAX}`);
    }
    this.#at += counted[0].length;
    return [min, max];
  }

  #bracket(): Ranges {
    const isNegated = this.#take('^');
    const ranges: (readonly [number, number])[] = [];
    for (let isFirst = true; ; isFirst = false) {
      if (this.#at >= this.#text.length) throw this.#wrong('a "[" that is not closed');
      if (!isFirst && this.#take(']')) break;
      if (this.#text.startsWith('[:', this.#at)) throw this.#wrong('a class such as [:alpha:]');
      const from = this.#member();
      const [single] = from;
      const isRange = this.#text[this.#at] === '-' && this.#text[this.#at + 1] !== ']';
      if (!isRange || from.length !== 1 || single === undefined || single[0] !== single[1]) {
        ranges.push(...from);
        continue;
      }
      this.#at += 1;
      const to = this.#member();
      const [last] = to;
      if (to.length !== 1 || last === undefined || last[0] !== last[1] || last[0] < single[0]) {
        throw this.#wrong('a range that goes nowhere');
      }
      ranges.push([single[0], last[0]]);
    }
    const all = normalize(this.#foldsCase ? bothCases(ranges) : ranges);
    return isNegated ? negate(all) : all;
  }

  #member(): Ranges {
    const sign = this.#next();
    return sign === '\\' ? this.#escape() : [[sign.charCodeAt(0), sign.charCodeAt(0)]];
  }

  #escape(): Ranges {
    if (this.#at >= this.#text.length) throw this.#wrong('a "\\" with nothing behind it');
    const sign = this.#next();
    const known = CLASSES[sign];
    if (known !== undefined) return known;
    if (sign === 'x') {
      const hex = /^[0-9A-Fa-f]{2}/.exec(this.#text.slice(this.#at, this.#at + 2))?.[0];
      if (hex === undefined) throw this.#wrong('"\\x" without two digits');
      this.#at += 2;
      return [[Number.parseInt(hex, 16), Number.parseInt(hex, 16)]];
    }
    const control = CONTROLS[sign];
    if (control !== undefined) return [[control, control]];
    if (/[A-Za-z0-9]/.test(sign)) throw this.#wrong(`"\\${sign}", which is not known`);
    return [[sign.charCodeAt(0), sign.charCodeAt(0)]];
  }

  #set(ranges: Ranges): PatternNode {
    return { kind: 'set', ranges: this.#foldsCase ? normalize(bothCases(ranges)) : ranges };
  }

  #next(): string {
    const sign = this.#text[this.#at] ?? '';
    this.#at += 1;
    return sign;
  }

  #take(sign: string): boolean {
    if (this.#text[this.#at] !== sign) return false;
    this.#at += 1;
    return true;
  }

  #wrong(what: string): PatternError {
    return new PatternError(what, Math.min(this.#at, this.#text.length));
  }
}

/** Letters of ASCII alone: paths and header values have no others that matter. */
function bothCases(ranges: Ranges): (readonly [number, number])[] {
  return ranges.flatMap(([from, to]) => {
    const all: (readonly [number, number])[] = [[from, to]];
    const [upperFrom, upperTo] = [Math.max(from, 65), Math.min(to, 90)];
    if (upperFrom <= upperTo) all.push([upperFrom + 32, upperTo + 32]);
    const [lowerFrom, lowerTo] = [Math.max(from, 97), Math.min(to, 122)];
    if (lowerFrom <= lowerTo) all.push([lowerFrom - 32, lowerTo - 32]);
    return all;
  });
}

function normalize(ranges: Ranges): Ranges {
  const merged: [number, number][] = [];
  for (const [from, to] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const last = merged.at(-1);
    if (last !== undefined && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else merged.push([from, to]);
  }
  return merged;
}

function negate(ranges: Ranges): Ranges {
  const gaps: (readonly [number, number])[] = [];
  let next = 0;
  for (const [from, to] of ranges) {
    if (from > next) gaps.push([next, from - 1]);
    next = to + 1;
  }
  if (next <= LAST) gaps.push([next, LAST]);
  return gaps;
}
