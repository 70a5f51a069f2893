/** Finds tokens in a request, where the rules say that they stand. */
import type { TokenPlace } from '#common/mesh/token-rule.ts';
import { cookieValue } from '../resilience/session-persistence.ts';
import { queryValue } from '../routing/request.ts';
import type { RequestView } from '../routing/request.ts';

/** Returns what stands at a place; undefined when nothing does, or not with the prefix. */
export function textAt(
  place: TokenPlace,
  request: Pick<RequestView, 'header' | 'query'>,
): string | undefined {
  switch (place.kind) {
    case 'parameter':
      return queryValue(request.query, place.name);
    case 'cookie':
      return cookieValue(request.header('cookie'), place.name);
    case 'header':
      break;
  }
  const value = request.header(place.name);
  if (value === undefined) return undefined;
  const { prefix } = place;
  // `Bearer` is a scheme, and schemes have no case.
  const isThere = value.slice(0, prefix.length).toLowerCase() === prefix.toLowerCase();
  return isThere ? value.slice(prefix.length) : undefined;
}
