/**
 * What becomes of a request: an answer at once, or a call of an endpoint. All that decides comes
 * together here, in one order: path, policy, route, backend, session, endpoint.
 *
 * Pure but for what upstreams remember. External authorisers (`ask`) and tokens are the caller's to
 * ask and check, since both wait.
 */
import type { Asked, HttpAuthorizer } from '#common/decide/http-authorize.ts';
import type { Connection } from '#common/decide/facts.ts';
import type { Token } from '#common/decide/http-facts.ts';
import { normalizePath } from '#common/decide/normalize-path.ts';
import type { MirrorFilter, SessionPersistence } from '#common/mesh/route.ts';
import type { Endpoint } from '../resilience/endpoint.ts';
import { hashText } from '../resilience/hash.ts';
import {
  cookieValue,
  mustTell,
  readSession,
  sessionCookie,
  sessionValue,
} from '../resilience/session-persistence.ts';
import type { Session } from '../resilience/session-persistence.ts';
import { changePath } from '../routing/change-path.ts';
import type { Arrival } from '../routing/change-path.ts';
import type { Candidate, CompiledBackend, CompiledRule } from '../routing/compiled.ts';
import { answerOf, isMirrored, pickBackend } from '../routing/outcome.ts';
import type { Failure } from '../routing/outcome.ts';
import type { RequestView } from '../routing/request.ts';
import type { RouteTable } from '../routing/route-table.ts';
import type { Upstream } from './upstream.ts';
import type { UpstreamTable } from './upstream-table.ts';

/** A request and all that its connection tells. */
export interface Inquiry {
  readonly request: RequestView;
  /** Key of the frontend at which it arrived; '' where none is, as at a pod's address. */
  readonly frontend: string;
  /** The service and port that were asked for: where it goes when no route applies. */
  readonly service: string;
  readonly port: number;
  /** A gateway or waypoint has applied a route already; the service's own are not for it. */
  readonly isRouted: boolean;
  readonly arrival: Arrival;
  /** Namespace of the caller's verified identity, '' without one. */
  readonly namespace: string;
  readonly connection: Connection;
  readonly remoteAddress: string;
  readonly token: Token | undefined;
  /** What policies are attached to here: `Service/shop/cart`, `Gateway/shop/waypoint`. */
  readonly targets: readonly string[];
}

export interface Refusal {
  readonly kind: 'refuse';
  readonly failure: Failure;
  /** For the log: which policy and rule, which route, what was missing. */
  readonly policy: string;
  readonly rule: string;
  readonly reason: string;
}

export interface OwnAnswer {
  readonly kind: 'answer';
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly rule: string;
}

export interface Forwarding {
  readonly kind: 'forward';
  /** Undefined when no route applies. */
  readonly rule: CompiledRule | undefined;
  readonly backend: CompiledBackend | undefined;
  readonly upstream: Upstream;
  readonly endpoint: Endpoint;
  /** Path and query to be sent. */
  readonly target: string;
  /** Host to be sent instead; '' for the one that came. */
  readonly host: string;
  readonly mirrors: readonly MirrorFilter[];
  /** Authorisers that must say yes before anything is sent. */
  readonly ask: readonly Asked[];
  /** Header of the response by which the client keeps its session; undefined for none. */
  readonly session: readonly [name: string, value: string] | undefined;
}

export type Decision = Refusal | OwnAnswer | Forwarding;

export interface DeciderDeps {
  readonly routes: RouteTable;
  readonly upstreams: UpstreamTable;
  readonly authorizer: HttpAuthorizer;
  readonly random: () => number;
  /** Milliseconds that never run backwards, and those of the wall clock. */
  readonly now: () => number;
  readonly wallClock: () => number;
}

const NOT_MIRRORED: readonly MirrorFilter[] = [];

export class RequestDecider {
  readonly #deps: DeciderDeps;

  constructor(deps: DeciderDeps) {
    this.#deps = deps;
  }

  decide(inquiry: Inquiry): Decision {
    const { authorizer, routes } = this.#deps;
    const path = normalizePath(inquiry.request.path);
    if (path === undefined) {
      return refuse('bad-path', { reason: 'the path could be read in more than one way' });
    }
    const request =
      path === inquiry.request.path ? inquiry.request : withPath(inquiry.request, path);
    const verdict = authorizer.authorize(inquiry.targets, {
      connection: inquiry.connection,
      method: request.method,
      host: request.host,
      path,
      remoteAddress: inquiry.remoteAddress,
      token: inquiry.token,
      header: (name) => request.header(name),
    });
    if (!verdict.allow) {
      const near = verdict.nearMiss === '' ? '' : `; nearest: ${verdict.nearMiss}`;
      const { policy, rule, reason } = verdict;
      return refuse('denied', { policy, rule, reason: `${reason}${near}` });
    }
    const router = inquiry.isRouted ? undefined : routes.router(inquiry.frontend);
    if (router?.protocol(inquiry.namespace) === undefined) {
      return this.#forward(request, inquiry, { ask: verdict.ask });
    }
    const found = router.find(request, inquiry.namespace);
    if (found === undefined) return refuse('no-route', { reason: 'no rule of its routes matches' });
    const own = answerOf(found, request, inquiry.arrival);
    if (own !== undefined) return { kind: 'answer', ...own, rule: found.rule.name };
    const backend = pickBackend(found.rule, this.#deps.random());
    return this.#forward(request, inquiry, { ask: verdict.ask, found, backend });
  }

  #forward(
    request: RequestView,
    inquiry: Inquiry,
    chosen: {
      readonly ask: readonly Asked[];
      readonly found?: Candidate;
      readonly backend?: CompiledBackend | undefined;
    },
  ): Decision {
    const { found, backend, ask } = chosen;
    const name = found?.rule.name ?? '';
    const service = found === undefined ? inquiry.service : (backend?.backend.service ?? '');
    const port = found === undefined ? inquiry.port : (backend?.backend.port ?? 0);
    if (found !== undefined && service === '') {
      const reason =
        backend === undefined ? 'it has no backend' : `there is no ${backend.backend.name}`;
      return refuse('backend-invalid', { rule: name, reason });
    }
    const nowMs = this.#deps.now();
    const upstream = this.#deps.upstreams.get(service, port, nowMs);
    if (upstream === undefined) {
      return refuse('no-endpoint', { rule: name, reason: `${service} has no port ${port}` });
    }
    const persistence = found?.rule.rule.persistence;
    const known = persistence && this.#sessionOf(upstream, persistence, request);
    const hash = hashOf(upstream, request, inquiry);
    const { random } = this.#deps;
    const endpoint = known?.endpoint ?? upstream.pick({ nowMs, random, hash, tried: undefined });
    if (endpoint === undefined) {
      return refuse('no-endpoint', { rule: name, reason: `${upstream.name} has no endpoint` });
    }
    const rewrite = found?.rule.rewrite;
    const path =
      found === undefined || rewrite === undefined
        ? request.path
        : changePath(request.path, rewrite.path, found.match);
    return {
      kind: 'forward',
      rule: found?.rule,
      backend,
      upstream,
      endpoint,
      target: request.query === '' ? path : `${path}?${request.query}`,
      host: rewrite?.hostname ?? '',
      mirrors: this.#mirrorsOf(found),
      ask,
      session: persistence && this.#tell(persistence, known, endpoint, inquiry.arrival),
    };
  }

  #mirrorsOf(found: Candidate | undefined): readonly MirrorFilter[] {
    if (found === undefined || found.rule.mirrors.length === 0) return NOT_MIRRORED;
    return found.rule.mirrors.filter((mirror) => isMirrored(mirror, this.#deps.random()));
  }

  #sessionOf(
    { set }: Upstream,
    config: SessionPersistence,
    request: RequestView,
  ): Session | undefined {
    const value =
      config.kind === 'cookie'
        ? cookieValue(request.header('cookie'), config.name)
        : request.header(config.name.toLowerCase());
    return readSession(set, config, value, this.#deps.wallClock());
  }

  #tell(
    config: SessionPersistence,
    known: Session | undefined,
    endpoint: Endpoint,
    { scheme }: Arrival,
  ): readonly [name: string, value: string] | undefined {
    if (!mustTell(config, known, endpoint)) return undefined;
    const nowMs = this.#deps.wallClock();
    const value = sessionValue({ endpoint, beganMs: known?.beganMs ?? nowMs }, nowMs);
    return config.kind === 'cookie'
      ? ['set-cookie', sessionCookie(config, value, scheme === 'https')]
      : [config.name.toLowerCase(), value];
  }
}

/** The hash that the upstream's policy asks for; undefined when the request has no such key. */
function hashOf({ policy }: Upstream, request: RequestView, inquiry: Inquiry): number | undefined {
  const { hash } = policy;
  if (hash === undefined) return undefined;
  if (hash.kind === 'source') return hashText(inquiry.remoteAddress);
  const value =
    hash.kind === 'cookie'
      ? cookieValue(request.header('cookie'), hash.name)
      : request.header(hash.name.toLowerCase());
  return value === undefined ? undefined : hashText(value);
}

function withPath(request: RequestView, path: string): RequestView {
  const { method, host, query } = request;
  return { method, host, query, path, header: (name) => request.header(name) };
}

function refuse(
  failure: Refusal['failure'],
  what: { readonly policy?: string; readonly rule?: string; readonly reason: string },
): Refusal {
  return { kind: 'refuse', failure, policy: '', rule: '', ...what };
}
