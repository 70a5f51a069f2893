/**
 * What is known of one kind, and what follows from each page of a list and each event of a watch.
 *
 * Pure: no clock, no network. Only differences come out, deletions too: a list is compared with what
 * is known once its last page is in, and an object that reads the same as before is no change at all.
 * After any failure the state is still that of the last page or event that was taken whole.
 */
import { equal } from '../model/equal.ts';
import { keyOf, type MeshObject } from '../model/objects.ts';
import { isMapping } from './schema.ts';

/** One object as the API server has it, read. */
export interface Reading {
  /** `namespace/name`; the name alone for objects of the cluster; '' when it has no name. */
  readonly key: string;
  /** Undefined: not for the mesh, or it cannot be read. */
  readonly object: MeshObject | undefined;
}

export type Change = { readonly key: string } & (
  | { readonly type: 'set'; readonly object: MeshObject }
  /** `object` is what was known. */
  | { readonly type: 'delete'; readonly object: MeshObject }
);

/** What an event of a watch comes to. */
export type Taken =
  | { readonly type: 'changes'; readonly changes: readonly Change[] }
  /** The watch cannot go on from here: list again. */
  | { readonly type: 'expired' }
  /** The server ended the watch; from the last version on another may begin. */
  | { readonly type: 'failed'; readonly status: number; readonly message: string };

export interface WatchEvent {
  readonly type: string;
  readonly object: unknown;
}

const NOTHING: Taken = { type: 'changes', changes: [] };

export class Reflection {
  readonly #read: (raw: unknown) => Reading;
  /** Called for each object that is gone, known to the mesh or not. */
  readonly #forget: (key: string) => void;
  #known = new Map<string, MeshObject | undefined>();
  #next: Map<string, MeshObject | undefined> | undefined;
  #version = '';

  constructor(read: (raw: unknown) => Reading, forget: (key: string) => void = () => undefined) {
    this.#read = read;
    this.#forget = forget;
  }

  /** Where a watch begins; '' when there has to be a list first. */
  get version(): string {
    return this.#version;
  }

  get size(): number {
    return this.#known.size;
  }

  beginList(): void {
    this.#next = new Map();
  }

  takePage(items: readonly unknown[]): void {
    for (const item of items) {
      const { key, object } = this.#read(item);
      if (key === '') continue;
      const known = this.#known.get(key);
      // The known one is kept where they agree: it is what the model holds too.
      this.#next?.set(key, known !== undefined && equal(known, object) ? known : object);
    }
  }

  /** Takes the list into force, and says what it changes. */
  endList(version: string): Change[] {
    const changes: Change[] = [];
    const next = this.#next ?? new Map<string, MeshObject | undefined>();
    for (const [key, object] of next) {
      const known = this.#known.get(key);
      if (object !== known) changes.push(...change(key, known, object));
    }
    for (const [key, known] of this.#known) {
      if (next.has(key)) continue;
      this.#forget(key);
      changes.push(...change(key, known, undefined));
    }
    this.#known = next;
    this.#next = undefined;
    this.#version = version;
    return changes;
  }

  /** Of a deleted object only the name is read: what it was is known, or never mattered. */
  takeEvent({ type, object: raw }: WatchEvent): Taken {
    if (type === 'ERROR') return failureOf(raw);
    const version = versionOf(raw);
    if (type === 'BOOKMARK') {
      if (version !== '') this.#version = version;
      return NOTHING;
    }
    if (version !== '') this.#version = version;
    if (type === 'DELETED') {
      const gone = keyIn(raw);
      const was = this.#known.get(gone);
      this.#forget(gone);
      this.#known.delete(gone);
      return { type: 'changes', changes: change(gone, was, undefined) };
    }
    const { key, object } = this.#read(raw);
    if (key === '') return NOTHING;
    const known = this.#known.get(key);
    if (known !== undefined && equal(known, object)) return NOTHING;
    this.#known.set(key, object);
    return { type: 'changes', changes: change(key, known, object) };
  }

  /** The version is of no more use. What is known stays, until a list says otherwise. */
  expire(): void {
    this.#version = '';
  }

  /** The kind is no longer served: nothing of it is there. */
  empty(): Change[] {
    this.beginList();
    return this.endList('');
  }
}

function change(key: string, known: MeshObject | undefined, now: MeshObject | undefined): Change[] {
  if (now !== undefined) return [{ type: 'set', key, object: now }];
  return known === undefined ? [] : [{ type: 'delete', key, object: known }];
}

function keyIn(raw: unknown): string {
  const metadata = field(raw, 'metadata');
  const namespace = field(metadata, 'namespace');
  const name = field(metadata, 'name');
  return keyOf({
    namespace: typeof namespace === 'string' ? namespace : '',
    name: typeof name === 'string' ? name : '',
  });
}

function versionOf(raw: unknown): string {
  const version = field(field(raw, 'metadata'), 'resourceVersion');
  return typeof version === 'string' ? version : '';
}

/** 410 is an expired version; anything else may pass by itself. */
function failureOf(raw: unknown): Taken {
  const status = Number(field(raw, 'code') ?? 0);
  if (status === 410) return { type: 'expired' };
  const message = field(raw, 'message');
  return { type: 'failed', status, message: typeof message === 'string' ? message : 'unknown' };
}

function field(value: unknown, name: string): unknown {
  return isMapping(value) ? value[name] : undefined;
}
