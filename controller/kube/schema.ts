/**
 * Strict schemas as data: what a document may hold, and the sentence for everything else.
 *
 * Reading never throws and never stops at the first mistake: every one is reported with its path,
 * and the value is undefined if there was any. Nothing unknown passes, nothing is guessed; `null`
 * is absent, as for Kubernetes.
 */
export type Path = readonly (string | number)[];

export type Report = (path: Path, message: string) => void;

export interface Schema<T> {
  /** For people, after "expected": `a port from 1 to 65535`. */
  readonly expected: string;
  read(value: unknown, path: Path, report: Report): T | undefined;
}

export type Infer<S> = S extends Schema<infer T> ? T : never;

/** A field of a record: what it holds, and what its absence means. */
export interface Field<T> {
  readonly schema: Schema<T>;
  readonly fallback: { readonly value: T } | undefined;
}

type Fields<T> = { readonly [K in keyof T]: Field<T[K]> };

const MAX_STRING = 65_536;
const MAX_ITEMS = 10_000;

export function required<T>(schema: Schema<T>): Field<T> {
  return { schema, fallback: undefined };
}

export function optional<T>(schema: Schema<T>): Field<T | undefined> {
  return { schema, fallback: { value: undefined } };
}

export function withDefault<T>(schema: Schema<T>, value: NoInfer<T>): Field<T> {
  return { schema, fallback: { value } };
}

/** Reads a mapping with these fields; those in `ignored` may stand there and have no effect. */
export function record<T extends object>(
  fields: Fields<T>,
  ignored: readonly string[] = [],
): Schema<T> {
  const known = Object.keys(fields);
  return mapping(fields, (value, path, report) => {
    let isGood = true;
    for (const key of Object.keys(value)) {
      if (known.includes(key) || ignored.includes(key)) continue;
      report([...path, key], unknownName('field', key, known));
      isGood = false;
    }
    return isGood;
  });
}

/**
 * Reads a mapping with these fields, whatever else it holds: for objects that somebody else has
 * checked and of which we need a part.
 */
export function openRecord<T extends object>(fields: Fields<T>): Schema<T> {
  return mapping(fields, () => true);
}

function mapping<T extends object>(
  fields: Fields<T>,
  checkNames: (value: Record<string, unknown>, path: Path, report: Report) => boolean,
): Schema<T> {
  const expected = 'a mapping';
  const entries = Object.entries<Field<unknown>>(fields);
  return {
    expected,
    read(value, path, report) {
      if (!isMapping(value)) return wrong(value, path, report, expected);
      let isGood = checkNames(value, path, report);
      const result: Record<string, unknown> = {};
      for (const [name, field] of entries) {
        const raw = Object.hasOwn(value, name) ? value[name] : undefined;
        const got = readField(field, raw, [...path, name], report);
        if (got === undefined) isGood = false;
        else result[name] = got.value;
      }
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- each field was read by its own schema
      return isGood ? (result as T) : undefined;
    },
  };
}

function readField(
  field: Field<unknown>,
  raw: unknown,
  at: Path,
  report: Report,
): { value: unknown } | undefined {
  if (raw === undefined || raw === null) {
    if (field.fallback !== undefined) return field.fallback;
    report(at, `missing; expected ${field.schema.expected}`);
    return undefined;
  }
  const read = field.schema.read(raw, at, report);
  return read === undefined ? undefined : { value: read };
}

export function list<T>(
  item: Schema<T>,
  options: { min?: number; max?: number } = {},
): Schema<T[]> {
  const { min = 0, max = MAX_ITEMS } = options;
  const expected = min > 0 ? `a list of at least ${min}` : 'a list';
  return {
    expected,
    read(value, path, report) {
      if (!Array.isArray(value)) return wrong(value, path, report, expected);
      if (value.length < min || value.length > max) {
        report(path, `${value.length} items; expected ${expected}, at most ${max}`);
        return undefined;
      }
      const items = value.map((one: unknown, i) => item.read(one, [...path, i], report));
      return items.every((one) => one !== undefined) ? items : undefined;
    },
  };
}

/** Reads a mapping from any key that `key` takes to values of one kind. */
export function dictionary<T>(key: Schema<string>, item: Schema<T>): Schema<Record<string, T>> {
  const expected = 'a mapping';
  return {
    expected,
    read(value, path, report) {
      if (!isMapping(value)) return wrong(value, path, report, expected);
      const entries = Object.entries(value).map(([name, one]) => {
        const at = [...path, name];
        const read = item.read(one, at, report);
        return key.read(name, at, report) === undefined || read === undefined
          ? undefined
          : ([name, read] as const);
      });
      const good = entries.filter((entry) => entry !== undefined);
      return good.length === entries.length ? Object.fromEntries(good) : undefined;
    },
  };
}

/** Reads text that `isValid` takes; `expected` says what that is. */
export function text(
  expected = 'a string',
  isValid: (value: string) => boolean = () => true,
): Schema<string> {
  return {
    expected,
    read(value, path, report) {
      if (typeof value === 'string' && value.length <= MAX_STRING && isValid(value)) return value;
      return wrong(value, path, report, expected);
    },
  };
}

export function oneOf<const T extends string>(...values: readonly T[]): Schema<T> {
  const expected = `one of ${values.join(', ')}`;
  return {
    expected,
    read(value, path, report) {
      const found = values.find((one) => one === value);
      if (found !== undefined) return found;
      const near = typeof value === 'string' ? nearest(value, values) : undefined;
      return wrong(value, path, report, expected, near);
    },
  };
}

export function integer(min: number, max: number): Schema<number> {
  const expected = `a whole number from ${min} to ${max}`;
  return {
    expected,
    read(value, path, report) {
      if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) {
        return value;
      }
      return wrong(value, path, report, expected);
    },
  };
}

export const flag: Schema<boolean> = {
  expected: 'true or false',
  read: (value, path, report) =>
    typeof value === 'boolean' ? value : wrong(value, path, report, 'true or false'),
};

/** Reads what either takes; both must be told apart by their JSON type. */
export function either<A, B>(a: Schema<A>, b: Schema<B>): Schema<A | B> {
  const expected = `${a.expected} or ${b.expected}`;
  return {
    expected,
    read(value, path, report) {
      const quiet: Report = () => undefined;
      const read = a.read(value, path, quiet) ?? b.read(value, path, quiet);
      return read === undefined ? wrong(value, path, report, expected) : read;
    },
  };
}

/** Turns what was read into something else; `change` reports and returns undefined on a mistake. */
export function convert<A, B>(
  schema: Schema<A>,
  change: (value: A, path: Path, report: Report) => B | undefined,
): Schema<B> {
  return {
    expected: schema.expected,
    read(value, path, report) {
      const read = schema.read(value, path, report);
      return read === undefined ? undefined : change(read, path, report);
    },
  };
}

/** Spells a path as people do: `spec.ports[0].port`, `metadata.labels["a.b/c"]`. */
export function formatPath(path: Path): string {
  return path
    .map((part, i) => {
      if (typeof part === 'number') return `[${part}]`;
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(part)) return `["${part}"]`;
      return i === 0 ? part : `.${part}`;
    })
    .join('');
}

/** The way back from a path that needs no quotes: `spec.rules[0].to`. */
export function parsePath(spelled: string): (string | number)[] {
  return Array.from(spelled.matchAll(/\[(\d+)\]|[^.[\]]+/g), (m) =>
    m[1] === undefined ? m[0] : Number(m[1]),
  );
}

/** `unknown field "prot"; expected one of …; did you mean "port"?` */
export function unknownName(what: string, name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  const hint = near === undefined ? '' : `; did you mean "${near}"?`;
  return `unknown ${what} "${clip(name)}"; expected ${known.length === 0 ? 'none' : `one of ${known.join(', ')}`}${hint}`;
}

function wrong(
  value: unknown,
  path: Path,
  report: Report,
  expected: string,
  near?: string,
): undefined {
  const hint = near === undefined ? '' : `; did you mean "${near}"?`;
  report(path, `${describe(value)}; expected ${expected}${hint}`);
  return undefined;
}

/** Says what stands there; a number where text should be is the commonest slip, so it is named. */
function describe(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  if (typeof value === 'string') return `"${clip(value)}"`;
  return `the ${typeof value} ${JSON.stringify(value)}`;
}

function clip(value: string): string {
  return value.length > 80 ? `${value.slice(0, 77)}...` : value;
}

export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The known name that a typo most likely meant: at most a quarter of its letters are wrong. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  let best: { name: string; distance: number } | undefined;
  for (const one of known) {
    const distance = editDistance(name.toLowerCase().slice(0, 64), one.toLowerCase());
    if (distance <= Math.max(1, Math.floor(one.length / 4)) && distance < (best?.distance ?? 99)) {
      best = { name: one, distance };
    }
  }
  return best?.name;
}

/** Letters to add, drop, replace, or swap with their neighbour. */
function editDistance(a: string, b: string): number {
  const first = Array.from({ length: b.length + 1 }, (_, i) => i);
  let [before, row] = [first, first];
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replace = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swap = isSwap ? (before[j - 2] ?? 0) + 1 : replace;
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, replace, swap));
    }
    [before, row] = [row, next];
  }
  return row[b.length] ?? 0;
}
