/**
 * Strict decoding: turns what JSON.parse gave into a known type, or throws `MESSAGE_INVALID` with
 * the path of the first bad field.
 *
 * A decoder accepts exactly its fields: an unknown one is an error, `__proto__` among them. Decoders
 * recurse along the type, never along the input, and each list, text and number has a bound. The
 * value is checked in place and returned as it is, so decoding a large update copies nothing.
 */
import { MeshError } from '../errors.ts';

export type Decoder<T> = (value: unknown) => T;

/** Thrown inside, and made a MeshError at the door; the path grows on the way out. */
class Mismatch extends Error {
  path = '';
  readonly found: string;

  constructor(expected: string, found: string) {
    super(expected);
    this.found = found;
  }

  at(step: string): this {
    this.path = `${step}${this.path}`;
    return this;
  }
}

/** Longest text that is quoted back in an error. */
const LONGEST_QUOTE = 60;
/** Deepest nesting in any message of ours is 8 (a match inside clause, rule, policy, list, part). */
const DEEPEST = 16;

function describe(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object') return 'an object';
  if (typeof value !== 'string') return JSON.stringify(value);
  return JSON.stringify(value.length > LONGEST_QUOTE ? `${value.slice(0, LONGEST_QUOTE)}…` : value);
}

function fail(expected: string, value: unknown): never {
  throw new Mismatch(expected, describe(value));
}

/** Reads one message: size, depth, JSON, then `decoder`. `what` names it in the error. */
export function decodeText<T>(
  message: string,
  { what, decoder, maxLength }: { what: string; decoder: Decoder<T>; maxLength: number },
): T {
  const refuse = (found: string, cause?: unknown): MeshError =>
    new MeshError('MESSAGE_INVALID', `Cannot read ${what}: ${found}`, { cause });
  if (message.length > maxLength)
    throw refuse(`${message.length} characters, more than ${maxLength}`);
  if (!isShallow(message)) throw refuse(`nested deeper than ${DEEPEST}`);
  let value: unknown;
  try {
    value = JSON.parse(message);
  } catch (cause) {
    throw refuse('not JSON', cause);
  }
  try {
    return decoder(value);
  } catch (error) {
    if (!(error instanceof Mismatch)) throw error;
    const where = error.path === '' ? 'the message' : error.path.replace(/^\./, '');
    throw refuse(`${where}: expected ${error.message}, found ${error.found}`);
  }
}

/** Looks only at brackets outside strings; a text that is no JSON at all may pass. */
function isShallow(message: string): boolean {
  let depth = 0;
  for (let i = 0; i < message.length; i += 1) {
    const c = message.charCodeAt(i);
    if (c === 0x22) {
      i = endOfString(message, i);
    } else if (c === 0x5b || c === 0x7b) {
      depth += 1;
      if (depth > DEEPEST) return false;
    } else if (c === 0x5d || c === 0x7d) depth -= 1;
  }
  return true;
}

/** Returns where the string that begins at `from` ends: its closing quote, or the end of the text. */
function endOfString(message: string, from: number): number {
  let end = message.indexOf('"', from + 1);
  while (end > 0) {
    let slashes = 0;
    while (message.charCodeAt(end - 1 - slashes) === 0x5c) slashes += 1;
    if (slashes % 2 === 0) return end;
    end = message.indexOf('"', end + 1);
  }
  return message.length;
}

/** Text of at most `most` UTF-16 units, without control characters. */
export function text(most: number): Decoder<string> {
  return (value) => {
    if (typeof value !== 'string') fail('text', value);
    if (value.length > most) fail(`at most ${most} characters`, value);
    if (/\p{Cc}/u.test(value)) fail('no control characters', value);
    return value;
  };
}

/** PEM or other text that may have line ends. */
export function lines(most: number): Decoder<string> {
  return (value) => {
    if (typeof value !== 'string') fail('text', value);
    if (value.length > most) fail(`at most ${most} characters`, value);
    return value;
  };
}

export function matching(shape: RegExp, expected: string): Decoder<string> {
  return (value) =>
    typeof value === 'string' && shape.test(value) ? value : fail(expected, value);
}

/** What `inner` takes, if `holds` says so too. */
export function suchThat<T>(
  inner: Decoder<T>,
  expected: string,
  holds: (value: T) => boolean,
): Decoder<T> {
  return (value) => {
    const found = inner(value);
    return holds(found) ? found : fail(expected, value);
  };
}

export function integer(least: number, most: number): Decoder<number> {
  return (value) => {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
      fail(`an integer from ${least} to ${most}`, value);
    }
    return value;
  };
}

export function number(value: unknown): number {
  return typeof value === 'number' ? value : fail('a number', value);
}

export function boolean(value: unknown): boolean {
  return typeof value === 'boolean' ? value : fail('true or false', value);
}

export function oneOf<const T extends string | number>(...allowed: readonly T[]): Decoder<T> {
  return (value) =>
    allowed.find((one) => one === value) ?? fail(`one of ${allowed.join(', ')}`, value);
}

export function nullOr<T>(inner: Decoder<T>): Decoder<T | null> {
  return (value) => (value === null ? null : inner(value));
}

export function list<T>(item: Decoder<T>, most: number): Decoder<readonly T[]> {
  return (value) => {
    if (!Array.isArray(value)) fail('a list', value);
    if (value.length > most) fail(`at most ${most} entries`, value);
    for (let i = 0; i < value.length; i += 1) {
      try {
        item(value[i]);
      } catch (error) {
        throw error instanceof Mismatch ? error.at(`[${i}]`) : error;
      }
    }
    return value;
  };
}

type Fields<T> = { readonly [K in keyof T]-?: Decoder<Exclude<T[K], undefined>> };

/** An object with exactly these fields, of which those in `mayLack` may be undefined: not there. */
export function object<T extends object>(
  fields: Fields<T>,
  mayLack: readonly UndefinedKeys<T>[] = [],
): Decoder<T> {
  const needed = Object.keys(fields).filter((name) => !mayLack.some((one) => one === name));
  return shaped(fields, needed);
}

type UndefinedKeys<T> = { [K in keyof T]-?: undefined extends T[K] ? K : never }[keyof T];

/** An object with any of these fields, and no other. */
export function partial<T extends object>(fields: Fields<T>): Decoder<T> {
  return shaped(fields, []);
}

function shaped<T extends object>(fields: Fields<T>, needed: readonly string[]): Decoder<T> {
  const decoders = new Map<string, Decoder<unknown>>(Object.entries(fields));
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      fail('an object', value);
    }
    let known = 0;
    for (const [key, field] of Object.entries(value)) {
      const decoder = decoders.get(key);
      try {
        if (decoder === undefined) throw new Mismatch('no such field', describe(field));
        decoder(field);
      } catch (error) {
        throw error instanceof Mismatch ? error.at(`.${spellKey(key)}`) : error;
      }
      known += 1;
    }
    if (known < decoders.size) {
      const missing = needed.find((key) => !Object.hasOwn(value, key));
      if (missing !== undefined) throw new Mismatch('a value', 'nothing').at(`.${missing}`);
    }
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a boundary: just checked
    return value as T;
  };
}

/** Chooses the decoder by the field `type`. */
export function union<T extends { readonly type: string }>(decoders: {
  readonly [K in T['type']]: Decoder<Extract<T, { readonly type: K }>>;
}): Decoder<T> {
  const byType = new Map<string, Decoder<T>>(Object.entries<Decoder<T>>(decoders));
  return (value) => {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, 'type')) {
      fail('an object with a type', value);
    }
    const type = 'type' in value ? value.type : undefined;
    const decoder = typeof type === 'string' ? byType.get(type) : undefined;
    if (decoder === undefined) throw new Mismatch('a known type', describe(type)).at('.type');
    return decoder(value);
  };
}

/** Chooses the decoder by the field `kind`. */
export function kinds<T extends { readonly kind: string }>(
  decoders: Readonly<Record<T['kind'], Decoder<T>>>,
): Decoder<T> {
  const byKind = new Map<string, Decoder<T>>(Object.entries<Decoder<T>>(decoders));
  return (value) => {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, 'kind')) {
      fail('an object with a kind', value);
    }
    const kind = 'kind' in value ? value.kind : undefined;
    const decoder = typeof kind === 'string' ? byKind.get(kind) : undefined;
    if (decoder === undefined) throw new Mismatch('a known kind', describe(kind)).at('.kind');
    return decoder(value);
  };
}

/** What `inner` takes; nothing of what it does not is quoted, since it may be a secret. */
export function concealed<T>(inner: Decoder<T>): Decoder<T> {
  return (value) => {
    try {
      return inner(value);
    } catch (error) {
      if (!(error instanceof Mismatch)) throw error;
      throw new Mismatch(error.message, 'something else').at(error.path);
    }
  };
}

function spellKey(key: string): string {
  return /^\w{1,60}$/.test(key) ? key : describe(key);
}
