/**
 * Which endpoint takes a request.
 *
 * The level is chosen first, then one of its endpoints by the algorithm. Who is out, was tried
 * already, or is on probation and busy with its one request is passed over; when nobody is left that
 * way, or too few (the floor of panic), ejections are forgotten: a poor endpoint is better than none.
 */
import type { BackendPolicy } from '#common/mesh/backend-policy.ts';
import { buildMaglev, buildRing } from './consistent-hash.ts';
import type { Endpoint } from './endpoint.ts';
import type { EndpointSet, Level } from './endpoint-set.ts';

export interface Ask {
  /** Milliseconds that never run backwards. */
  readonly nowMs: number;
  /** From 0 to below 1. */
  readonly random: () => number;
  /** Of the key that the policy names, from 0 to 2^32 - 1; undefined when the request has none. */
  readonly hash: number | undefined;
  /** Ids that did not answer this request. */
  readonly tried: ReadonlySet<string> | undefined;
}

/** Draws that may hit an endpoint that is out before all are looked at. */
const DRAWS = 6;
/** The second of two must be cheaper by so much: what is less is noise, and would undo the weights. */
const CLEARLY = 0.9;
/** Near the golden section of 2^32, so that turns spread evenly over weights. */
const STRIDE = 2_654_435_761;

type Policy = Pick<BackendPolicy, 'balancer' | 'warmUpMs' | 'ejection'>;
type IsOut = (endpoint: Endpoint) => boolean;

/** Picks an endpoint; undefined when there is none that was not tried. */
export function pickEndpoint(set: EndpointSet, policy: Policy, ask: Ask): Endpoint | undefined {
  const { nowMs, tried } = ask;
  const isTried: IsOut = ({ id }) => tried?.has(id) === true;
  const floor = policy.ejection?.panicShare ?? 0;
  const isPanic = floor > 0 && set.size - set.out < floor * set.size;
  if (!isPanic) {
    const isOut: IsOut = (one) => !one.isAvailable(nowMs) || isTried(one);
    const picked = pickBy(set, policy, ask, isOut);
    if (picked !== undefined) return picked;
  }
  return pickBy(set, policy, ask, isTried);
}

/** Picks at the level that the request falls to, else at the next that has somebody. */
function pickBy(set: EndpointSet, policy: Policy, ask: Ask, isOut: IsOut): Endpoint | undefined {
  const { levels } = set;
  const share = ask.hash === undefined ? ask.random() : ask.hash / 2 ** 32;
  const first = set.levelAt(share);
  for (let i = 0; i < levels.length; i += 1) {
    const level = levels[(first + i) % levels.length];
    const picked = level && pickAt(level, policy, ask, isOut);
    if (picked !== undefined) return picked;
  }
  return undefined;
}

function pickAt(level: Level, policy: Policy, ask: Ask, isOut: IsOut): Endpoint | undefined {
  const { random, nowMs, hash } = ask;
  const warming = policy.warmUpMs;
  switch (policy.balancer) {
    case 'ring-hash':
    case 'maglev': {
      if (hash === undefined) return draw(level, random, isOut, ask, warming);
      const build = policy.balancer === 'maglev' ? buildMaglev : buildRing;
      return level.made(policy.balancer, build).find(hash, isOut);
    }
    case 'random':
      return draw(level, random, isOut, ask, warming);
    case 'round-robin':
      return draw(level, () => nextTurn(level), isOut, ask, warming);
    case 'least-request':
      // Draws are by weight already, so two that are idle must be equal whatever they weigh.
      return better(level, ask, isOut, warming, (one) => one.active / one.weight);
    case 'peak-ewma':
      break;
  }
  const mean = level.total / level.endpoints.length;
  return better(
    level,
    ask,
    isOut,
    warming,
    (one) => one.latency(nowMs) * (1 + (one.active * mean) / one.weight),
  );
}

/** The cheaper of two drawn at random: nearly as good as the best of all, and never a stampede. */
function better(
  level: Level,
  ask: Ask,
  isOut: IsOut,
  warmUpMs: number,
  cost: (endpoint: Endpoint) => number,
): Endpoint | undefined {
  const one = draw(level, ask.random, isOut, ask, warmUpMs);
  if (one === undefined || level.endpoints.length === 1) return one;
  const isOutOrOne: IsOut = (endpoint) => endpoint === one || isOut(endpoint);
  const other = draw(level, ask.random, isOutOrOne, ask, warmUpMs);
  return other !== undefined && cost(other) < cost(one) * CLEARLY ? other : one;
}

/** Draws by weight among those that are not out; a warming one is often passed over. */
function draw(
  level: Level,
  share: () => number,
  isOut: IsOut,
  ask: Ask,
  warmUpMs: number,
): Endpoint | undefined {
  for (let i = 0; i < DRAWS; i += 1) {
    const one = level.at(share());
    if (one === undefined || isOut(one)) continue;
    if (warmUpMs === 0 || ask.random() < one.warmth(ask.nowMs, warmUpMs)) return one;
  }
  const left = level.endpoints.filter((one) => !isOut(one));
  const weights = left.map((one) => one.weight * one.warmth(ask.nowMs, warmUpMs));
  let point = ask.random() * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [i, one] of left.entries()) {
    point -= weights[i] ?? 0;
    if (point < 0) return one;
  }
  return left.at(-1);
}

/** Shares that visit each endpoint by its weight, one after the other. */
function nextTurn(level: Level): number {
  const { turn, endpoints } = level;
  level.turn += 1;
  if (level.isUniform) return (turn % endpoints.length) / endpoints.length;
  return (Math.imul(turn, STRIDE) >>> 0) / 2 ** 32;
}
