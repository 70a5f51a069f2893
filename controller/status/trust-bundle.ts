/**
 * The roots of the mesh in a ConfigMap of every namespace that needs them: the system namespace, where
 * agents wait for it, and those that are in the mesh.
 *
 * Done by the replica that leads. What somebody deletes or alters is put right again; what is no longer
 * needed goes, if it is ours.
 */
import { statusOf } from '../kube/api-client.ts';
import type { FoundConfigMap, NamedConfigMaps } from '../kube/config-maps.ts';

export const TRUST_BUNDLE = 'plumbline-root-cert';
export const TRUST_KEY = 'root-cert.pem';
const FORBIDDEN = 403;
const GONE = 404;

export interface TrustBundleDeps {
  readonly configMaps: NamedConfigMaps;
  readonly roots: () => readonly string[];
  /** Those that need the roots now. */
  readonly namespaces: () => ReadonlySet<string>;
}

export interface BundlePlan {
  readonly apply: readonly string[];
  readonly remove: readonly string[];
}

/** What must be done so that exactly `wanted` have `pem`. Pure. */
export function planBundles(
  wanted: ReadonlySet<string>,
  pem: string,
  found: ReadonlyMap<string, FoundConfigMap>,
): BundlePlan {
  const apply = [...wanted].filter((namespace) => {
    const one = found.get(namespace);
    return one?.data[TRUST_KEY] !== pem || !one.isOurs;
  });
  const remove = [...found].flatMap(([namespace, { isOurs }]) =>
    isOurs && !wanted.has(namespace) ? [namespace] : [],
  );
  return { apply, remove };
}

/** Returns one run of the chore. */
export function publishTrust(deps: TrustBundleDeps): (signal: AbortSignal) => Promise<void> {
  const { configMaps, roots, namespaces } = deps;
  return async (signal) => {
    const pem = roots().join('');
    const { apply, remove } = planBundles(namespaces(), pem, await configMaps.list(signal));
    let failure: unknown;
    for (const namespace of apply) {
      try {
        await configMaps.apply(namespace, { [TRUST_KEY]: pem }, signal);
      } catch (error) {
        // One that is being deleted takes nothing new (403), or is gone (404): the others still do.
        if (![FORBIDDEN, GONE].includes(statusOf(error))) failure ??= error;
      }
    }
    for (const namespace of remove) await configMaps.remove(namespace, signal);
    if (failure !== undefined) throw failure;
  };
}
