/**
 * Rules filed by what they ask for, so that a connection meets only those that may match it.
 *
 * A rule is filed by one of its clauses, under a key for every value that could make a match of that
 * clause true; so a search leaves out only rules of which a clause fails. A rule that has no such
 * clause (nothing but exclusions, presence or wide ranges of ports) is met by every connection.
 */
import { isMapped, parseCidr } from '../address.ts';
import type { Match } from '../mesh/policy.ts';
import { maskedKey } from '../mesh/service-table.ts';
import type { Facts } from './facts.ts';
import { IPV4_BITS, parsePattern } from './policy-match.ts';
import type { CompiledRule } from './policy-match.ts';

/** Any rule that asks for fields of a connection, and maybe for more. */
interface Fileable {
  readonly clauses: readonly (readonly FileableMatch[])[];
}

interface FileableMatch {
  readonly source: Match;
  readonly checks: readonly unknown[];
}

/** A range of more ports than this is not filed port by port. */
const RANGE_MAX = 64;

/** What a key begins with, the most telling first: a clause is chosen by its least telling match. */
const KINDS = [
  'principals',
  'serviceAccounts',
  'namespaces',
  'sourceIps',
  'destinationPorts',
] as const;
type Kind = (typeof KINDS)[number];

/** Kinds of key that are made for every length in use: prefixes, suffixes, CIDRs. */
type Sized = 'principals^' | 'principals$' | 'namespaces^' | 'namespaces$' | 'sourceIps/';

interface Key {
  readonly text: string;
  readonly sized?: { readonly kind: Sized; readonly length: number };
}

export class RuleIndex<R extends Fileable = CompiledRule> {
  readonly #drawers = new Map<string, Set<R>>();
  readonly #unfiled = new Set<R>();
  /** How many keys there are of each length. */
  readonly #lengths: Readonly<Record<Sized, Map<number, number>>> = {
    'principals^': new Map(),
    principals$: new Map(),
    'namespaces^': new Map(),
    namespaces$: new Map(),
    'sourceIps/': new Map(),
  };

  add(rule: R): void {
    const keys = keysOf(rule);
    if (keys === undefined) this.#unfiled.add(rule);
    for (const { text, sized } of keys ?? []) {
      const drawer = this.#drawers.get(text);
      if (drawer === undefined) this.#drawers.set(text, new Set([rule]));
      else drawer.add(rule);
      if (drawer === undefined && sized !== undefined) {
        const lengths = this.#lengths[sized.kind];
        lengths.set(sized.length, (lengths.get(sized.length) ?? 0) + 1);
      }
    }
  }

  remove(rule: R): void {
    this.#unfiled.delete(rule);
    for (const { text, sized } of keysOf(rule) ?? []) {
      const drawer = this.#drawers.get(text);
      if (drawer?.delete(rule) !== true || drawer.size > 0) continue;
      this.#drawers.delete(text);
      if (sized === undefined) continue;
      const lengths = this.#lengths[sized.kind];
      const left = (lengths.get(sized.length) ?? 0) - 1;
      if (left > 0) lengths.set(sized.length, left);
      else lengths.delete(sized.length);
    }
  }

  /** Shows every rule that may match; one that has several keys may be shown more than once. */
  search(facts: Facts, meet: (rule: R) => void): void {
    this.#unfiled.forEach(meet);
    if (this.#drawers.size === 0) return;
    const { principal, namespace, account, source, port } = facts;
    this.#open(`destinationPorts=${port}`, meet);
    if (account !== undefined) this.#open(`serviceAccounts=${account}`, meet);
    if (principal !== undefined) this.#openTexts('principals', principal, meet);
    if (namespace !== undefined) this.#openTexts('namespaces', namespace, meet);
    if (source.bytes !== undefined) this.#openBlocks(source.bytes, meet);
  }

  #openTexts(kind: 'principals' | 'namespaces', text: string, meet: (rule: R) => void): void {
    this.#open(`${kind}=${text}`, meet);
    for (const length of this.#lengths[`${kind}^`].keys()) {
      if (length <= text.length) this.#open(`${kind}^${text.slice(0, length)}`, meet);
    }
    for (const length of this.#lengths[`${kind}$`].keys()) {
      if (length <= text.length) this.#open(`${kind}$${text.slice(text.length - length)}`, meet);
    }
  }

  #openBlocks(bytes: Uint8Array, meet: (rule: R) => void): void {
    for (const bits of this.#lengths['sourceIps/'].keys()) {
      if (bits < IPV4_BITS && isMapped(bytes)) continue;
      this.#open(blockKey(bytes, bits), meet);
    }
  }

  #open(key: string, meet: (rule: R) => void): void {
    this.#drawers.get(key)?.forEach(meet);
  }
}

/** Returns the keys under which a rule is filed; undefined when no clause of it can be filed. */
function keysOf(rule: Fileable): readonly Key[] | undefined {
  let best: { rank: number; keys: readonly Key[] } | undefined;
  for (const clause of rule.clauses) {
    // A clause without matches passes always, so nothing can be told from it.
    if (clause.length === 0) continue;
    const filed = clause.filter(({ checks }) => checks.length > 0).map(matchKeys);
    const rank = Math.max(-1, ...filed.map((one) => one?.rank ?? KINDS.length));
    if (rank === KINDS.length || (best !== undefined && best.rank <= rank)) continue;
    best = { rank, keys: filed.flatMap((one) => one?.keys ?? []) };
  }
  return best?.keys;
}

function matchKeys({
  source,
}: FileableMatch): { readonly rank: number; readonly keys: readonly Key[] } | undefined {
  for (const [rank, kind] of KINDS.entries()) {
    const keys = kindKeys(kind, source);
    if (keys !== undefined) return { rank, keys };
  }
  return undefined;
}

/** Returns keys for one field of a match; undefined when it is not set or cannot be filed. */
function kindKeys(kind: Kind, match: Match): readonly Key[] | undefined {
  switch (kind) {
    case 'principals':
    case 'namespaces':
      return textKeys(kind, match[kind]);
    case 'serviceAccounts':
      return nonEmpty(match[kind])?.map((name) => ({ text: `serviceAccounts=${name}` }));
    case 'sourceIps':
      return nonEmpty(match[kind])?.flatMap((text) => {
        const cidr = parseCidr(text);
        if (cidr === undefined) return [];
        const sized = { kind: 'sourceIps/', length: cidr.bits } as const;
        return [{ text: blockKey(cidr.bytes, cidr.bits), sized }];
      });
    case 'destinationPorts': {
      const ranges = nonEmpty(match[kind]);
      if (ranges === undefined || ranges.some(({ from, to }) => to - from >= RANGE_MAX)) {
        return undefined;
      }
      return ranges.flatMap(({ from, to }) =>
        Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => ({
          text: `destinationPorts=${from + i}`,
        })),
      );
    }
  }
  return undefined;
}

function textKeys(
  kind: 'principals' | 'namespaces',
  values: readonly string[] | undefined,
): readonly Key[] | undefined {
  const patterns = nonEmpty(values)?.map(parsePattern);
  if (patterns === undefined) return undefined;
  const keys: Key[] = [];
  for (const pattern of patterns) {
    if (pattern.kind === 'present') return undefined;
    if (pattern.kind === 'exact') {
      keys.push({ text: `${kind}=${pattern.text}` });
    } else {
      const sign = pattern.kind === 'prefix' ? '^' : '$';
      const { length } = pattern.text;
      keys.push({
        text: `${kind}${sign}${pattern.text}`,
        sized: { kind: `${kind}${sign}`, length },
      });
    }
  }
  return keys;
}

function blockKey(bytes: Uint8Array, bits: number): string {
  return `sourceIps/${bits}/${maskedKey(bytes, bits)}`;
}

function nonEmpty<T>(values: readonly T[] | undefined): readonly T[] | undefined {
  return values === undefined || values.length === 0 ? undefined : values;
}
