/**
 * What a directory may hold and yet means other than it says: rules of an AuthorizationPolicy that
 * are left out or widened, since they need HTTP, and routes that nobody serves or that would not be
 * accepted. Told to the author with file and line.
 */
import type { Problem } from '#common/control/desired.ts';
import { buildAuthorization } from '../model/authorization.ts';
import { DEFAULT_MODEL_OPTIONS } from '../model/diff.ts';
import { problemOf, type Located } from './directory-decode.ts';
import { routeWarnings } from './route-warnings.ts';
import { parsePath } from './schema.ts';

export function warningsOf(all: readonly Located[]): Problem[] {
  const policies = all.flatMap((located) => {
    const { object } = located;
    if (object.kind !== 'AuthorizationPolicy') return [];
    const { findings } = buildAuthorization(object, DEFAULT_MODEL_OPTIONS);
    return findings.map(({ field, message }) => problemOf(located, parsePath(field), message));
  });
  return [...policies, ...routeWarnings(all)];
}
