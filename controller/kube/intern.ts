/**
 * Equal parts of many objects, kept once: labels that all pods of a Deployment share, names of
 * namespaces, nodes and service accounts.
 *
 * What is returned equals what was given, always; sharing is by best effort, since the memory of
 * what was seen is dropped when it is full.
 */
import type { MeshObject, Meta } from '../model/objects.ts';

const MOST_ENTRIES = 50_000;

export class Interner {
  readonly #texts = new Map<string, string>();
  readonly #values = new Map<string, unknown>();

  text(value: string): string {
    const known = this.#texts.get(value);
    if (known !== undefined) return known;
    if (this.#texts.size >= MOST_ENTRIES) this.#texts.clear();
    this.#texts.set(value, value);
    return value;
  }

  /** For small plain values: two that JSON spells alike become one. */
  value<T>(value: T): T {
    const spelled = JSON.stringify(value);
    const known = this.#values.get(spelled);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is spelled like `value`, so it is of its shape
    if (known !== undefined) return known as T;
    if (this.#values.size >= MOST_ENTRIES) this.#values.clear();
    this.#values.set(spelled, value);
    return value;
  }

  object(object: MeshObject): MeshObject {
    const meta = this.#meta(object.meta);
    if (object.kind === 'Pod') {
      return {
        ...object,
        meta,
        node: this.text(object.node),
        serviceAccount: this.text(object.serviceAccount),
        namedPorts: this.value(object.namedPorts),
        owner: object.owner && this.value(object.owner),
      };
    }
    if (object.kind === 'EndpointSlice') {
      const endpoints = object.endpoints.map((one) => ({ ...one, node: this.text(one.node) }));
      return { ...object, meta, ports: this.value(object.ports), endpoints };
    }
    if (object.kind === 'Service') return { ...object, meta, ports: this.value(object.ports) };
    return { ...object, meta };
  }

  #meta(meta: Meta): Meta {
    return {
      ...meta,
      namespace: this.text(meta.namespace),
      labels: this.value(meta.labels),
      annotations: this.value(meta.annotations),
    };
  }
}
