/**
 * YAML text as plain values that still know their lines.
 *
 * The one reader of YAML in the controller. A file with any mistake of syntax yields its problems and
 * no document at all, so half a file is never taken for a whole one.
 */
import {
  LineCounter,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  parseAllDocuments,
  visit,
  type Document,
  type Node,
} from 'yaml';
import { formatPath, isMapping, type Path } from './schema.ts';
import type { Problem } from '#common/control/desired.ts';

export interface YamlDocument {
  readonly file: string;
  readonly value: unknown;
  /** Line of the value at a path, or of the nearest thing above it that is there. */
  lineOf(path: Path): number;
}

/** How often an anchor may be repeated: enough for people, too few to blow up memory. */
const MAX_ALIASES = 100;

/** One slip of syntax makes many that follow from it. */
const MAX_SYNTAX_PROBLEMS = 10;

/** The parser may quote all that follows: too much for a line, and nobody knows what is in it. */
const LONGEST_MESSAGE = 200;

export interface ParsedYaml {
  readonly documents: YamlDocument[];
  readonly problems: Problem[];
}

export function parseYaml(file: string, text: string): ParsedYaml {
  try {
    return parse(file, text);
  } catch (error) {
    // Reading recurses, so nesting without end exhausts the stack; whatever else it threw, say it.
    const found = error instanceof RangeError ? 'nested too deep' : String(error);
    const message = `not YAML: ${found}`;
    return { documents: [], problems: [{ file, line: 1, object: '', field: '', message }] };
  }
}

function parse(file: string, text: string): ParsedYaml {
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: false,
    stringKeys: true,
    // Or it writes warnings of its own to stderr, beside the problems that are reported.
    logLevel: 'error',
  });
  const documents: YamlDocument[] = [];
  const problems: Problem[] = [];
  // An empty text is one value that is no list: nothing is in it.
  for (const document of Array.isArray(parsed) ? parsed : []) {
    const found = problemsOf(document, file, lines);
    problems.push(...found);
    if (found.length > 0 || document.contents === null) continue;
    const value = toPlain(document, file, lines, problems);
    if (value === undefined || value === null) continue;
    documents.push({ file, value, lineOf: (path) => lineAt(document.contents, path, lines) });
  }
  return { documents: problems.length > 0 ? [] : documents, problems };
}

/** Names an object from what can be read of it: `Service shop/cart`, or as much as there is. */
export function titleOf(value: unknown): string {
  if (!isMapping(value)) return '';
  const kind = typeof value['kind'] === 'string' ? value['kind'] : '';
  const meta = isMapping(value['metadata']) ? value['metadata'] : {};
  const name = typeof meta['name'] === 'string' ? meta['name'] : '';
  const namespace = typeof meta['namespace'] === 'string' ? `${meta['namespace']}/` : '';
  return `${kind} ${name === '' ? '' : namespace + name}`.trim();
}

/**
 * What a title is made of, read from the nodes: as a plain value a broken document can cost seconds,
 * since the keys that its mistakes make of whole mappings are spelled out one inside the other.
 */
function titleFields(document: Document.Parsed): unknown {
  const [kind, name, namespace] = [['kind'], ['metadata', 'name'], ['metadata', 'namespace']].map(
    (path) => document.getIn(path),
  );
  return { kind, metadata: { name, namespace } };
}

function problemsOf(document: Document.Parsed, file: string, lines: LineCounter): Problem[] {
  const lineOf = (offset: number): number => lines.linePos(offset).line;
  const object = titleOf(titleFields(document));
  const syntax = [...document.errors, ...document.warnings]
    .slice(0, MAX_SYNTAX_PROBLEMS)
    .map(({ message, pos }) => ({
      file,
      line: lineOf(pos[0]),
      object,
      field: '',
      message: `not YAML: ${message.slice(0, LONGEST_MESSAGE)}`,
    }));
  return [...syntax, ...duplicateKeys(document, file, object, lineOf)];
}

function duplicateKeys(
  document: Document.Parsed,
  file: string,
  object: string,
  lineOf: (offset: number) => number,
): Problem[] {
  const problems: Problem[] = [];
  visit(document, {
    Map(_, map, ancestors) {
      const seen = new Set<string>();
      for (const { key } of map.items) {
        if (!isScalar(key)) continue;
        const name = String(key.value);
        if (seen.has(name)) {
          problems.push({
            file,
            line: lineOf(key.range?.[0] ?? 0),
            object,
            field: formatPath([...pathTo([...ancestors, map]), name]),
            message: 'a second time in the same mapping; expected once',
          });
        }
        seen.add(name);
      }
    },
  });
  return problems;
}

/** The path of the last of a chain of ancestors, from the keys and places on the way. */
function pathTo(chain: readonly unknown[]): (string | number)[] {
  const path: (string | number)[] = [];
  for (const [i, one] of chain.entries()) {
    const below = chain[i + 1];
    if (isSeq(one)) path.push(one.items.indexOf(below));
    else if (isMap(one)) {
      const pair = one.items.find((item) => item === below);
      if (isScalar(pair?.key)) path.push(String(pair.key.value));
    }
  }
  return path;
}

function toPlain(
  document: Document.Parsed,
  file: string,
  lines: LineCounter,
  problems: Problem[],
): unknown {
  try {
    return document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (error) {
    problems.push({
      file,
      line: lines.linePos(document.range[0]).line,
      object: '',
      field: '',
      message: `not YAML: ${error instanceof Error ? error.message : 'cannot be resolved'}`,
    });
    return undefined;
  }
}

function lineAt(contents: Node | null, path: Path, lines: LineCounter): number {
  let node: unknown = contents;
  let offset = contents?.range?.[0] ?? 0;
  for (const part of path) {
    if (isMap(node)) {
      const pair = node.items.find(
        ({ key }) => isScalar(key) && String(key.value) === String(part),
      );
      if (pair === undefined || !isScalar(pair.key)) break;
      offset = pair.key.range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node) && typeof part === 'number') {
      node = node.items[part];
      if (isMap(node) || isSeq(node) || isScalar(node)) offset = node.range?.[0] ?? offset;
    } else break;
    if (isAlias(node)) break;
  }
  return lines.linePos(offset).line;
}
