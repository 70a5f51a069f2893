/**
 * Label selectors, and an index that finds which of many select an object without trying them all.
 *
 * The index files a selector under one `key=value` pair that it demands; an object looks up only the
 * pairs that it has, so ten thousand policies cost a pod about as much as the few that name its
 * labels. Selectors that demand no single pair are tried one by one.
 */
import type { LabelRequirement, Labels, LabelSelector } from './objects.ts';

export function selectorOf(matchLabels: Labels): LabelSelector {
  return { matchLabels, matchExpressions: [] };
}

/** An empty selector selects everything, as in Kubernetes. */
export function selects(selector: LabelSelector, labels: Labels): boolean {
  for (const key in selector.matchLabels) {
    if (labels[key] !== selector.matchLabels[key]) return false;
  }
  return selector.matchExpressions.every((requirement) => meets(requirement, labels));
}

export function isEmptySelector(selector: LabelSelector): boolean {
  return Object.keys(selector.matchLabels).length === 0 && selector.matchExpressions.length === 0;
}

/** The namespace under which selectors stand that apply to all namespaces. */
export const EVERYWHERE = '';

interface Entry {
  readonly id: string;
  readonly bucket: string;
  readonly selector: LabelSelector;
}

export class SelectorIndex {
  readonly #entries = new Map<string, Entry>();
  readonly #buckets = new Map<string, Set<Entry>>();

  /** Adds the selector, in place of the one that had this id. */
  set(id: string, namespace: string, selector: LabelSelector): void {
    this.delete(id);
    const entry = { id, bucket: bucketOf(namespace, selector), selector };
    this.#entries.set(id, entry);
    const bucket = this.#buckets.get(entry.bucket);
    if (bucket === undefined) this.#buckets.set(entry.bucket, new Set([entry]));
    else bucket.add(entry);
  }

  delete(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    const bucket = this.#buckets.get(entry.bucket);
    bucket?.delete(entry);
    if (bucket?.size === 0) this.#buckets.delete(entry.bucket);
  }

  /** Ids of the selectors of this namespace, and of those for all, that select these labels. */
  matching(namespace: string, labels: Labels): string[] {
    const found: string[] = [];
    if (this.#entries.size === 0) return found;
    const scopes = namespace === EVERYWHERE ? [EVERYWHERE] : [namespace, EVERYWHERE];
    for (const scope of scopes) {
      this.#collect(scope, labels, found);
      for (const key in labels) this.#collect(pair(scope, key, labels[key]), labels, found);
    }
    return found;
  }

  selectsAny(namespace: string, labels: Labels): boolean {
    return this.matching(namespace, labels).length > 0;
  }

  #collect(bucket: string, labels: Labels, found: string[]): void {
    for (const entry of this.#buckets.get(bucket) ?? []) {
      if (selects(entry.selector, labels)) found.push(entry.id);
    }
  }
}

function bucketOf(namespace: string, { matchLabels, matchExpressions }: LabelSelector): string {
  for (const key in matchLabels) return pair(namespace, key, matchLabels[key]);
  const one = matchExpressions.find((r) => r.operator === 'In' && r.values.length === 1);
  return one === undefined ? namespace : pair(namespace, one.key, one.values[0]);
}

function pair(namespace: string, key: string, value: string | undefined): string {
  return `${namespace}|${key}=${value}`;
}

function meets(requirement: LabelRequirement, labels: Labels): boolean {
  const value = labels[requirement.key];
  switch (requirement.operator) {
    case 'In':
      return value !== undefined && requirement.values.includes(value);
    case 'NotIn':
      return value === undefined || !requirement.values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      break;
  }
  return value === undefined;
}
