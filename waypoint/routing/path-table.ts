/**
 * Which group of matches a path leads to: exact paths, patterns, then prefixes from the longest to
 * the shortest, all of whole segments.
 *
 * A look costs the length of the path and its depth, not the number of routes, and makes no garbage:
 * prefixes are found by a hash that is carried along the path, one value at each slash.
 */
import { compilePattern } from '#common/decide/pattern.ts';
import type { Pattern } from '#common/decide/pattern.ts';
import type { Candidate } from './compiled.ts';
import { Group } from './group.ts';
import type { RequestView } from './request.ts';

const SLASH = 0x2f;
const HASH_START = 0x811c9dc5 | 0;

export class PathTable {
  readonly #exact: ReadonlyMap<string, Group>;
  readonly #patterns: readonly { readonly pattern: Pattern; readonly group: Group }[];
  readonly #prefixes: PrefixTable;

  constructor(candidates: readonly Candidate[]) {
    const groups = { exact: grouped(candidates, 'exact'), prefix: grouped(candidates, 'prefix') };
    this.#exact = groups.exact;
    this.#prefixes = new PrefixTable(groups.prefix);
    this.#patterns = Array.from(grouped(candidates, 'pattern'), ([text, group]) => ({
      text,
      pattern: compilePattern(text),
      group,
    })).toSorted((a, b) => b.text.length - a.text.length);
  }

  find(request: RequestView): Candidate | undefined {
    if (this.#exact.size > 0) {
      const found = this.#exact.get(request.path)?.find(request);
      if (found !== undefined) return found;
    }
    for (const { pattern, group } of this.#patterns) {
      const found = pattern.test(request.path) ? group.find(request) : undefined;
      if (found !== undefined) return found;
    }
    return this.#prefixes.find(request);
  }
}

/** Prefixes without a slash at the end; '' stands for `/`. */
class PrefixTable {
  readonly #root: Group | undefined;
  readonly #mask: number;
  readonly #hashes: Int32Array;
  readonly #texts: string[];
  readonly #groups: (Group | undefined)[];
  /** Hash and place of each slash of the path at hand, down to the deepest prefix that there is. */
  readonly #slashHashes: Int32Array;
  readonly #slashPlaces: Int32Array;

  constructor(groups: ReadonlyMap<string, Group>) {
    const size = 2 ** Math.ceil(Math.log2(Math.max(4, groups.size * 4)));
    this.#mask = size - 1;
    this.#hashes = new Int32Array(size);
    this.#texts = Array.from({ length: size }, () => '');
    this.#groups = Array.from({ length: size }, () => undefined);
    let [depth, root]: [number, Group | undefined] = [0, undefined];
    for (const [prefix, group] of groups) {
      if (prefix === '') root = group;
      else this.#put(prefix, group);
      depth = Math.max(depth, prefix.split('/').length - 1);
    }
    this.#root = root;
    this.#slashHashes = new Int32Array(depth);
    this.#slashPlaces = new Int32Array(depth);
  }

  find(request: RequestView): Candidate | undefined {
    const { path } = request;
    let hash = HASH_START;
    let depth = 0;
    const deepest = this.#slashHashes.length;
    for (let i = 0; depth < deepest && i <= path.length; i += 1) {
      const code = i < path.length ? path.charCodeAt(i) : SLASH;
      if (code === SLASH && i > 0) {
        this.#slashHashes[depth] = hash;
        this.#slashPlaces[depth] = i;
        depth += 1;
      }
      hash = Math.imul(hash ^ code, 0x01000193);
    }
    for (let i = depth - 1; i >= 0; i -= 1) {
      const group = this.#get(this.#slashHashes[i] ?? 0, path, this.#slashPlaces[i] ?? 0);
      const found = group?.find(request);
      if (found !== undefined) return found;
    }
    return this.#root?.find(request);
  }

  #put(prefix: string, group: Group): void {
    const hash = hashOf(prefix);
    let at = slotOf(hash) & this.#mask;
    while (this.#groups[at] !== undefined) at = (at + 1) & this.#mask;
    this.#hashes[at] = hash;
    this.#texts[at] = prefix;
    this.#groups[at] = group;
  }

  #get(hash: number, path: string, length: number): Group | undefined {
    for (let at = slotOf(hash) & this.#mask; ; at = (at + 1) & this.#mask) {
      const group = this.#groups[at];
      if (group === undefined) return undefined;
      if (this.#hashes[at] !== hash) continue;
      const text = this.#texts[at] ?? '';
      if (text.length === length && path.startsWith(text)) return group;
    }
  }
}

/** The low bits of the hash alone would put texts that end alike beside each other. */
function slotOf(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return mixed ^ (mixed >>> 13);
}

function hashOf(text: string): number {
  let hash = HASH_START;
  for (let i = 0; i < text.length; i += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  return hash;
}

function grouped(
  candidates: readonly Candidate[],
  kind: 'exact' | 'prefix' | 'pattern',
): Map<string, Group> {
  const byValue = new Map<string, Candidate[]>();
  for (const one of candidates) {
    const { path } = one.match;
    if (path.kind !== kind) continue;
    const value =
      kind === 'prefix' && path.value.endsWith('/') ? path.value.slice(0, -1) : path.value;
    const members = byValue.get(value);
    if (members === undefined) byValue.set(value, [one]);
    else members.push(one);
  }
  return new Map(Array.from(byValue, ([value, members]) => [value, new Group(members)]));
}
