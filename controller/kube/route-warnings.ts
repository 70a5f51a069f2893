/**
 * What the author of routes in a directory is told: their status, as an API server would show it, and
 * that no waypoint serves them yet.
 *
 * Every route, Gateway and grant has a warning for as long as it has no effect, so none of them can
 * look applied.
 */
import type { Problem } from '#common/control/desired.ts';
import { DEFAULT_MODEL_OPTIONS } from '../model/diff.ts';
import { keyOf } from '../model/objects.ts';
import type { GatewayObject, ReferenceGrantObject, RouteObject } from '../model/route-objects.ts';
import { routeKey } from '../model/route-objects.ts';
import type { Condition } from '../model/route-status.ts';
import { buildRoutes } from '../model/routes.ts';
import { problemOf, type Located } from './directory-decode.ts';
import { parsePath } from './schema.ts';
import type { Declared } from './schemas/kinds.ts';

const UNSERVED = 'no waypoint or gateway serves this yet, so it has no effect';

export function routeWarnings(all: readonly Located[]): Problem[] {
  const objects = all.map(({ object }) => object);
  const routes = objects.filter(isRoute);
  const gateways = objects.filter((one): one is GatewayObject => one.kind === 'Gateway');
  const grants = objects.filter(
    (one): one is ReferenceGrantObject => one.kind === 'ReferenceGrant',
  );
  if (routes.length + gateways.length + grants.length === 0) return [];
  const { statuses } = buildRoutes({
    routes,
    grants,
    gateways: new Map(gateways.map((one) => [keyOf(one.meta), one])),
    services: new Map(
      objects.flatMap((one) => (one.kind === 'Service' ? [[keyOf(one.meta), one] as const] : [])),
    ),
    namespaces: new Map(
      objects.flatMap((one) =>
        one.kind === 'Namespace' ? [[one.meta.name, one.meta.labels] as const] : [],
      ),
    ),
    domain: DEFAULT_MODEL_OPTIONS.domain,
  });
  return all.flatMap((located) => {
    const { object } = located;
    if (object.kind === 'Gateway' || object.kind === 'ReferenceGrant') {
      return [problemOf(located, ['kind'], UNSERVED)];
    }
    if (!isRoute(object)) return [];
    const status = statuses.get(routeKey(object)) ?? [];
    return [
      problemOf(located, ['kind'], UNSERVED),
      ...object.parents.flatMap((parent, i) => {
        const found = status.find((one) => one.parent === parent);
        const bad = (found?.conditions ?? []).filter(isBad);
        return bad.map((one) =>
          problemOf(located, placeOf(one, i), `${one.reason}: ${one.message}`),
        );
      }),
    ];
  });
}

function isBad({ type, status, message }: Condition): boolean {
  return type === 'PartiallyInvalid' ? status === 'True' : status === 'False' || message !== '';
}

/** The field that a message begins with, or the parent that says no. */
function placeOf({ message }: Condition, parent: number): (string | number)[] {
  const field = /(?:^|: )(rules\[[^:]*): /.exec(message)?.[1];
  return ['spec', ...(field === undefined ? ['parentRefs', parent] : parsePath(field))];
}

function isRoute(object: Declared): object is RouteObject {
  return object.kind.endsWith('Route');
}
