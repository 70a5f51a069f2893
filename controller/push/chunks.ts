/**
 * What everybody may know, as JSON that is made once and sent to all.
 *
 * Objects are spread over buckets by their key. A bucket's JSON is made when a snapshot needs it and
 * kept until one of its objects changes, so a hundred agents that come back at once cost the bytes of
 * one, and a change costs its own bucket. The bodies of a picture are never altered: a snapshot that
 * is sent slowly stays what it was.
 */
import type { Item, Kind } from './item.ts';

/** Some 200 workloads in each, 128 KiB, in a mesh of 50,000. */
const BUCKETS = 256;

/** Objects of one kind, as JSON with commas between them. */
export interface Body {
  readonly kind: Kind;
  readonly json: Buffer;
  readonly objects: number;
}

interface Bucket {
  readonly items: Map<string, Item>;
  body: Body | undefined;
}

export class Chunks {
  readonly #kind: Kind;
  readonly #buckets: readonly Bucket[] = Array.from({ length: BUCKETS }, () => ({
    items: new Map<string, Item>(),
    body: undefined,
  }));

  constructor(kind: Kind) {
    this.#kind = kind;
  }

  set(item: Item): void {
    const bucket = this.#bucketOf(item.key);
    bucket?.items.set(item.key, item);
    if (bucket !== undefined) bucket.body = undefined;
  }

  delete(key: string): void {
    const bucket = this.#bucketOf(key);
    if (bucket?.items.delete(key) === true) bucket.body = undefined;
  }

  /** The picture of now. */
  bodies(): Body[] {
    const bodies: Body[] = [];
    for (const bucket of this.#buckets) {
      if (bucket.items.size === 0) continue;
      bucket.body ??= {
        kind: this.#kind,
        json: Buffer.from(Array.from(bucket.items.values(), (item) => item.json()).join(',')),
        objects: bucket.items.size,
      };
      bodies.push(bucket.body);
    }
    return bodies;
  }

  #bucketOf(key: string): Bucket | undefined {
    // FNV-1a, as good as any for spreading names.
    let hash = 0x811c_9dc5;
    for (let i = 0; i < key.length; i += 1) {
      hash = Math.imul(hash ^ key.charCodeAt(i), 0x0100_0193);
    }
    return this.#buckets[(hash >>> 0) % BUCKETS];
  }
}
