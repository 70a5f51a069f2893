/**
 * Documents as objects: kind and group first, then the schema of the kind.
 *
 * Every object keeps the way back to its file and line, for the checks that need all objects.
 */
import type { Problem } from '#common/control/desired.ts';
import type { YamlDocument } from './directory-yaml.ts';
import { titleOf } from './directory-yaml.ts';
import { formatPath, isMapping, nearest, unknownName, type Path } from './schema.ts';
import { KINDS, type Declared, type Kind } from './schemas/kinds.ts';
import { keyOf } from '../model/objects.ts';

export interface Located<T extends Declared = Declared> {
  readonly object: T;
  readonly document: YamlDocument;
}

export function decodeDocument(
  document: YamlDocument,
): { located: Located } | { problems: Problem[] } {
  const { value } = document;
  const problems: Problem[] = [];
  const title = titleOf(value);
  const report = (path: Path, message: string): void => {
    problems.push(problemAt(document, title, path, message));
  };
  if (!isMapping(value)) {
    report([], 'expected an object with apiVersion, kind and metadata');
    return { problems };
  }
  const { apiVersion, kind, ...rest } = value;
  const known = typeof kind === 'string' ? kindOf(kind) : undefined;
  if (known === undefined) {
    report(['kind'], describeKind(kind));
    return { problems };
  }
  if (typeof apiVersion !== 'string' || !known.apiVersions.includes(apiVersion)) {
    report(['apiVersion'], describeVersion(apiVersion, known));
    return { problems };
  }
  const object = known.schema.read(rest, [], report);
  if (object === undefined || problems.length > 0) return { problems };
  return { located: { object, document } };
}

/** A problem of an object that could be read: `Service shop/cart`. */
export function problemOf(located: Located, path: Path, message: string): Problem {
  return problemAt(located.document, objectTitle(located.object), path, message);
}

export function objectTitle(object: Declared): string {
  return `${object.kind} ${keyOf(object.meta)}`;
}

function problemAt(document: YamlDocument, object: string, path: Path, message: string): Problem {
  return {
    file: document.file,
    line: document.lineOf(path),
    object,
    field: formatPath(path),
    message,
  };
}

function kindOf(name: string): Kind | undefined {
  const kinds: Readonly<Record<string, Kind>> = KINDS;
  return Object.hasOwn(kinds, name) ? kinds[name] : undefined;
}

function describeKind(kind: unknown): string {
  const known = Object.keys(KINDS);
  return typeof kind === 'string'
    ? unknownName('kind', kind, known)
    : `missing; expected one of ${known.join(', ')}`;
}

function describeVersion(version: unknown, known: Kind): string {
  const expected = `expected one of ${known.apiVersions.join(', ')}`;
  if (typeof version !== 'string') return `missing; ${expected}`;
  const near = nearest(version, known.apiVersions);
  return `"${version.slice(0, 80)}"; ${expected}${near === undefined ? '' : `; did you mean "${near}"?`}`;
}
