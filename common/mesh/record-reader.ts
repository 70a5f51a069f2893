/**
 * The records of a packed update, field by field, in the order in which pack.ts writes them.
 */
import { formatAddress, isMapped } from '../address.ts';
import { invalid } from './bytes.ts';
import type { ByteReader } from './bytes.ts';
import type { Place, ShapeFields } from './packed-form.ts';
import * as form from './packed-form.ts';
import type { Match, Policy, PortRange } from './policy.ts';
import type { Service } from './service.ts';
import type { LocalPod, Membership } from './workload.ts';

export class RecordReader {
  readonly #input: ByteReader;
  readonly #texts: readonly string[];

  constructor(input: ByteReader, texts: readonly string[]) {
    this.#input = input;
    this.#texts = texts;
  }

  place(): Place {
    const [node, cluster] = [this.#text(), this.#text()];
    return {
      node,
      cluster,
      locality: { region: this.#text(), zone: this.#text(), subzone: this.#text() },
    };
  }

  shape(): ShapeFields {
    return {
      namespace: this.#text(),
      serviceAccount: this.#text(),
      trustDomain: this.#text(),
      hostname: this.#text(),
      tunnel: this.#word(form.TUNNELS),
      hostNetwork: this.#flag(),
      canonicalName: this.#textUnlessName(),
      canonicalRevision: this.#text(),
      workloadName: this.#textUnlessName(),
      workloadType: this.#word(form.TYPES),
      weight: this.#input.bounded(form.WEIGHT_MAX, 'a weight'),
      memberships: this.#list('memberships', () => this.#membership()),
      policies: this.#list('policies', () => this.#text()),
    };
  }

  service(): Service {
    return {
      key: this.#text(),
      name: this.#text(),
      namespace: this.#text(),
      hostname: this.#text(),
      addresses: this.#list('addresses', () => this.#cidr()),
      ports: this.#list('ports', () => ({
        name: this.#text(),
        port: this.#port(),
        targetPort: this.#port(),
        appProtocol: this.#text(),
      })),
      subjectAltNames: this.#list('names', () => this.#text()),
      loadBalancing: {
        algorithm: this.#word(form.ALGORITHMS),
        mode: this.#word(form.MODES),
        scopes: this.#list('scopes', () => this.#word(form.SCOPES)),
        clientIpAffinitySeconds: this.#input.bounded(form.AFFINITY_MAX_SECONDS, 'an affinity'),
      },
      visibility: this.#word(form.VISIBILITIES),
      headless: this.#flag(),
      publishNotReady: this.#flag(),
      canonical: this.#flag(),
    };
  }

  policy(): Policy {
    const [key, name, namespace] = [this.#text(), this.#text(), this.#text()];
    return {
      key,
      name,
      namespace,
      layer: this.#word(form.LAYERS),
      scope: this.#word(form.POLICY_SCOPES),
      action: this.#word(form.ACTIONS),
      dryRun: this.#flag(),
      rules: this.#list('rules', () => ({
        name: this.#text(),
        clauses: this.#list('clauses', () => ({
          matches: this.#list('matches', () => this.#match()),
        })),
      })),
    };
  }

  pod(): LocalPod {
    return {
      uid: this.#text(),
      podUid: this.#text(),
      name: this.#text(),
      namespace: this.#text(),
      serviceAccount: this.#text(),
      addresses: this.#list('addresses', () => formatAddress(this.#address())),
      enrolled: this.#flag(),
      exemption: this.#text(),
      options: {
        excludeInboundPorts: this.#list('ports', () => this.#port()),
        excludeOutboundPorts: this.#list('ports', () => this.#port()),
        excludeOutboundCidrs: this.#list('CIDRs', () => this.#cidr()),
        dnsCapture: this.#flag(),
        failClosed: this.#flag(),
        cutExisting: this.#flag(),
      },
    };
  }

  #membership(): Membership {
    return {
      service: this.#text(),
      ports: this.#list('ports', () => ({ servicePort: this.#port(), targetPort: this.#port() })),
    };
  }

  #match(): Match {
    const present = this.#input.bounded((1 << form.MATCH_FIELDS.length) - 1, 'the fields');
    const match: { -readonly [K in keyof Match]: Match[K] } = {};
    const has = (field: keyof Match): boolean =>
      (present & (1 << form.MATCH_FIELDS.indexOf(field))) !== 0;
    for (const field of form.TEXT_FIELDS) {
      if (has(field)) match[field] = this.#list('texts', () => this.#text());
    }
    for (const field of form.CIDR_FIELDS) {
      if (has(field)) match[field] = this.#list('CIDRs', () => this.#cidr());
    }
    for (const field of form.PORT_FIELDS) {
      if (has(field)) match[field] = this.#list('ports', () => this.#range());
    }
    return match;
  }

  #range(): PortRange {
    return { from: this.#port(), to: this.#port() };
  }

  #text(): string {
    const text = this.#texts[this.#input.varint()];
    if (text === undefined) throw invalid('it names a text that it does not have');
    return text;
  }

  #textUnlessName(): string | undefined {
    const number = this.#input.varint();
    if (number === 0) return undefined;
    const text = this.#texts[number - 1];
    if (text === undefined) throw invalid('it names a text that it does not have');
    return text;
  }

  #word<T>(words: readonly T[]): T {
    const word = words[this.#input.byte()];
    if (word === undefined) throw invalid('it has a word that nobody knows');
    return word;
  }

  #flag(): boolean {
    return this.#input.bounded(1, 'a flag') === 1;
  }

  #port(): number {
    return this.#input.bounded(form.PORT_MAX, 'a port');
  }

  #address(): Uint8Array {
    const at = this.#input.at;
    skipAddress(this.#input);
    return unpackAddress(this.#input.bytes, at);
  }

  #cidr(): string {
    const bytes = this.#address();
    const bits = this.#input.bounded(128, 'a prefix');
    if (bits === 128) return formatAddress(bytes);
    const four = isMapped(bytes);
    if (four && bits < 96) throw invalid(`the prefix of an IPv4 CIDR is ${bits - 96}`);
    return `${formatAddress(bytes)}/${four ? bits - 96 : bits}`;
  }

  #list<T>(what: string, item: () => T): T[] {
    return readList(this.#input, what, item);
  }
}

/** Steps over a packed address. */
export function skipAddress(input: ByteReader): void {
  const family = input.byte();
  if (family !== 4 && family !== 6) throw invalid(`the family of an address is ${family}`);
  input.skip(family === 4 ? 4 : 16);
}

/** Returns the 16 bytes of the packed address at `at`. */
export function unpackAddress(bytes: Uint8Array, at: number): Uint8Array {
  if (bytes[at] === 6) return bytes.subarray(at + 1, at + 17);
  const address = new Uint8Array(16);
  address[10] = 0xff;
  address[11] = 0xff;
  address.set(bytes.subarray(at + 1, at + 5), 12);
  return address;
}

/** Returns how many bytes the packed address at `at` takes. */
export function packedAddressLength(bytes: Uint8Array, at: number): number {
  return bytes[at] === 6 ? 17 : 5;
}

/** One for all, since most lists are empty in most records; frozen, so it stays so. */
const EMPTY: never[] = [];
Object.freeze(EMPTY);

/** Reads a count and then so many items. */
export function readList<T>(input: ByteReader, what: string, item: () => T): T[] {
  const count = input.count(what);
  if (count === 0) return EMPTY;
  const items: T[] = [];
  for (let i = 0; i < count; i += 1) items.push(item());
  // An array that has grown has room for 16 more; most lists have one item.
  return items.slice();
}
