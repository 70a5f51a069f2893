/**
 * Which of the kinds that come with CRDs the API server serves now, and under which version.
 *
 * A kind is gone only when the server has said so twice in a row: policies of a kind that is gone hold
 * no more, and a server that has just been started may not know its CRDs yet. An error changes nothing.
 */
import type { ApiClient } from './api-client.ts';
import type { CustomKind } from './cluster-kinds.ts';
import type { Resource } from './resource.ts';
import { isMapping } from './schema.ts';

export interface ServedKind {
  readonly custom: CustomKind;
  readonly resource: Resource;
}

/** Asks for all groups of `kinds`; rejects when any of them could not be asked for. */
export async function discover(
  client: Pick<ApiClient, 'find'>,
  kinds: readonly CustomKind[],
  signal: AbortSignal,
): Promise<ServedKind[]> {
  const served: ServedKind[] = [];
  for (const group of new Set(kinds.map((one) => one.group))) {
    const answer = await client.find(`/apis/${group}`, { signal });
    const offered = versionsOf(answer);
    const wanted = kinds.filter((one) => one.group === group);
    for (const version of new Set(wanted.flatMap(({ versions }) => versions))) {
      if (!offered.includes(version)) continue;
      const resources = resourcesOf(await client.find(`/apis/${group}/${version}`, { signal }));
      for (const custom of wanted) {
        const plural = resources.get(custom.kind);
        const isServed = served.some((one) => one.custom === custom);
        if (plural === undefined || isServed || !custom.versions.includes(version)) continue;
        served.push({ custom, resource: { group, version, plural } });
      }
    }
  }
  return served;
}

/** What the kinds that are served now are to those that were. */
export interface ServedStep {
  readonly begun: readonly ServedKind[];
  /** Served under another version now. */
  readonly moved: readonly ServedKind[];
  readonly ended: readonly ServedKind[];
}

/** Remembers what is served, and believes that a kind is gone when it is told so again. */
export class ServedKinds {
  readonly #served = new Map<string, ServedKind>();
  #missing = new Set<string>();

  update(found: readonly ServedKind[]): ServedStep {
    const foundById = new Map(found.map((one) => [kindOf(one), one]));
    const begun = found.filter((one) => !this.#served.has(kindOf(one)));
    const moved = found.filter((one) => {
      const known = this.#served.get(kindOf(one));
      return known !== undefined && known.resource.version !== one.resource.version;
    });
    const absent = [...this.#served].filter(([id]) => !foundById.has(id));
    const gone = absent.filter(([id]) => this.#missing.has(id));
    this.#missing = new Set(absent.map(([id]) => id));
    for (const [id] of gone) this.#served.delete(id);
    for (const one of [...begun, ...moved]) this.#served.set(kindOf(one), one);
    return { begun, moved, ended: gone.map(([, one]) => one) };
  }
}

/** `security.istio.io/PeerAuthentication`. */
export function kindOf({ custom }: ServedKind): string {
  return `${custom.group}/${custom.kind}`;
}

function versionsOf(group: unknown): string[] {
  const versions = isMapping(group) ? group['versions'] : undefined;
  if (!Array.isArray(versions)) return [];
  return versions.flatMap((one: unknown) =>
    isMapping(one) && typeof one['version'] === 'string' ? [one['version']] : [],
  );
}

/** Plurals by kind; what belongs to another resource (`…/status`) is none by itself. */
function resourcesOf(list: unknown): Map<string, string> {
  const plurals = new Map<string, string>();
  const resources = isMapping(list) ? list['resources'] : undefined;
  for (const one of Array.isArray(resources) ? (resources as unknown[]) : []) {
    if (!isMapping(one)) continue;
    const { kind, name } = one;
    if (typeof kind !== 'string' || typeof name !== 'string' || name.includes('/')) continue;
    plurals.set(kind, name);
  }
  return plurals;
}
