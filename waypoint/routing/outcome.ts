/**
 * What becomes of a request that a match has taken: an answer at once, or a backend.
 *
 * The outcome of forwarding is the backend itself, made when the route was compiled, so nothing is
 * allocated for it. Draws are given in, so the same request can be explained and replayed.
 */
import type { MirrorFilter } from '#common/mesh/route.ts';
import type { Candidate, CompiledBackend, CompiledRule } from './compiled.ts';
import { redirectLocation } from './change-path.ts';
import type { Arrival } from './change-path.ts';
import { isPreflight, preflightHeaders } from './cors.ts';
import type { ResponseHeader } from './cors.ts';
import type { RequestView } from './request.ts';

export interface Answer {
  readonly status: number;
  readonly headers: readonly ResponseHeader[];
}

/** Returns the answer that a rule gives by itself (preflight, redirect); undefined when it has none. */
export function answerOf(
  { rule, match }: Candidate,
  request: RequestView,
  arrival: Arrival,
): Answer | undefined {
  const { cors, redirect } = rule;
  if (cors !== undefined && isPreflight(request)) {
    return { status: 204, headers: preflightHeaders(cors, request) };
  }
  if (redirect === undefined) return undefined;
  const location = redirectLocation(redirect, request, match, arrival);
  return { status: redirect.status, headers: [['location', location]] };
}

/**
 * Picks a backend by weight; `share` is from 0 to below 1. Undefined when the rule has none with a
 * weight. A backend with no service is picked like any other, and answered 500.
 */
export function pickBackend(rule: CompiledRule, share: number): CompiledBackend | undefined {
  const { backends, totalWeight } = rule;
  if (backends.length <= 1) return backends[0];
  const point = share * totalWeight;
  let [low, high] = [0, backends.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((backends[middle]?.upTo ?? 0) > point) high = middle;
    else low = middle + 1;
  }
  return backends[low];
}

/** Says whether a request is to be mirrored, by a draw from 0 to below 1. */
export function isMirrored({ share, service }: MirrorFilter, draw: number): boolean {
  return service !== '' && draw < share;
}

/** Ways to fail that a client is told by a status. */
export type Failure =
  | 'bad-path'
  | 'no-route'
  | 'backend-invalid'
  | 'no-endpoint'
  | 'connect-failed'
  | 'timeout'
  | 'denied'
  | 'not-authenticated'
  | 'limited'
  | 'overloaded';

/** Status of HTTP and of gRPC for each way to fail. */
export const FAILURES: Readonly<Record<Failure, { readonly http: number; readonly grpc: number }>> =
  {
    'bad-path': { http: 400, grpc: 3 },
    'no-route': { http: 404, grpc: 12 },
    'backend-invalid': { http: 500, grpc: 14 },
    'no-endpoint': { http: 503, grpc: 14 },
    'connect-failed': { http: 503, grpc: 14 },
    timeout: { http: 504, grpc: 4 },
    denied: { http: 403, grpc: 7 },
    'not-authenticated': { http: 401, grpc: 16 },
    limited: { http: 429, grpc: 8 },
    overloaded: { http: 503, grpc: 14 },
  };
