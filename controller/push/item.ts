/**
 * One object of the mesh at one version, or the place where it was.
 *
 * The JSON of a change is made once and shared by all agents; only the agent of a workload's own node
 * may get another form, made when it is needed.
 */
import type { Policy } from '#common/mesh/policy.ts';
import type { Service } from '#common/mesh/service.ts';
import type { LocalPod, Workload } from '#common/mesh/workload.ts';
import type { Audience } from './scope.ts';

export type Kind = 'workloads' | 'services' | 'policies' | 'pods';

type Value = Workload | Service | Policy | LocalPod;

interface ItemOptions {
  readonly kind: Kind;
  readonly key: string;
  readonly version: number;
  readonly audience: Audience;
  /** Absent when the object is gone. */
  readonly value?: Value | undefined;
  /** What `node` gets in place of `value`. */
  readonly own?: Value | undefined;
  readonly node?: string | undefined;
}

export class Item {
  readonly kind: Kind;
  readonly key: string;
  readonly version: number;
  readonly audience: Audience;
  readonly #value: Value | undefined;
  readonly #own: Value | undefined;
  readonly #node: string;
  #json: string | undefined;

  constructor({ kind, key, version, audience, value, own, node = '' }: ItemOptions) {
    this.kind = kind;
    this.key = key;
    this.version = version;
    this.audience = audience;
    this.#value = value;
    this.#own = own;
    this.#node = node;
  }

  get id(): string {
    return `${this.kind} ${this.key}`;
  }

  get isLive(): boolean {
    return this.#value !== undefined;
  }

  /** The node that gets another form than the others; '' when all get the same. */
  get ownNode(): string {
    return this.#own === undefined ? '' : this.#node;
  }

  /** JSON of a live object, for all but its own node. */
  json(): string {
    return this.#json ?? JSON.stringify(this.#value);
  }

  /** JSON of a live object as this node may see it, kept for the other agents that need it now. */
  jsonFor(node: string): string {
    if (this.#own !== undefined && this.#node === node) return JSON.stringify(this.#own);
    this.#json ??= JSON.stringify(this.#value);
    return this.#json;
  }
}
