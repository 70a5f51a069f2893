/**
 * Decides about requests by what the mesh says: the routes, policies and endpoints of `decision/`, put
 * into the terms of the proxy.
 *
 * What cannot be done here yet is refused, never skipped: a policy that asks an authoriser, and the
 * addresses of pods.
 */
import { formatEndpoint } from '#common/address.ts';
import { HttpAuthorizer } from '#common/decide/http-authorize.ts';
import type { Connection } from '#common/decide/facts.ts';
import type { Target } from '#common/decide/target.ts';
import type { ErrorCode } from '#common/errors.ts';
import { parseAuthority } from '#common/hbone/headers.ts';
import { parseForwarded } from '#common/hbone/hints.ts';
import { identityParts, parseIdentity } from '#common/identity.ts';
import { DEFAULT_BACKEND_POLICY } from '#common/mesh/backend-policy.ts';
import type { View } from '#common/mesh/view.ts';
import { RequestDecider } from '../decision/request-decider.ts';
import type { Forwarding, Inquiry } from '../decision/request-decider.ts';
import { UpstreamTable } from '../decision/upstream-table.ts';
import type { Outcome } from '../resilience/ejection.ts';
import { outcomeOfStatus } from '../resilience/ejection.ts';
import { corsHeaders } from '../routing/cors.ts';
import { applyHeaderFilters } from '../routing/header-list.ts';
import { FAILURES } from '../routing/outcome.ts';
import type { Failure } from '../routing/outcome.ts';
import { RouteTable, serviceFrontendKey } from '../routing/route-table.ts';
import type { Fields } from './fields.ts';
import { readMeshRoutes, viewOf } from './mesh-routes.ts';
import type {
  Answer,
  Caller,
  Destination,
  Ending,
  Forward,
  RequestView,
  Router,
} from './router.ts';

export interface MeshRouterDeps {
  readonly random: () => number;
  readonly now: () => number;
  readonly wallClock: () => number;
  readonly destinations: Destinations;
}

type Place = Omit<Inquiry, 'request' | 'token'>;

const CODES: Readonly<Record<Failure, ErrorCode>> = {
  'bad-path': 'REQUEST_INVALID',
  'no-route': 'NO_ROUTE',
  'backend-invalid': 'NO_ROUTE',
  'no-endpoint': 'NO_HEALTHY_ENDPOINT',
  'connect-failed': 'CONNECT_FAILED',
  timeout: 'REQUEST_TIMEOUT',
  denied: 'POLICY_DENIED',
  'not-authenticated': 'NOT_AUTHENTICATED',
  limited: 'LIMIT_REACHED',
  overloaded: 'LIMIT_REACHED',
};

/** Destinations that are kept; more, and connections begin anew. */
const KEPT_MAX = 100_000;

const HTTP2_PROTOCOLS: ReadonlySet<string> = new Set(['kubernetes.io/h2c', 'h2c', 'http2', 'grpc']);

export class MeshRouter implements Router {
  readonly #gateway: string;
  readonly #listener: string;
  readonly #view: View;
  readonly #decider: RequestDecider;
  readonly #now: () => number;
  /** A caller is one connection, and the same place for all its requests. */
  readonly #places = new WeakMap<Caller, Place | 'unknown'>();
  readonly #destinations: Destinations;

  /** Throws `MESSAGE_INVALID` when `told` is not what a waypoint is told. */
  constructor(told: string, deps: MeshRouterDeps) {
    const mesh = readMeshRoutes(told);
    this.#gateway = mesh.gateway;
    this.#listener = mesh.listener;
    this.#view = viewOf(mesh);
    this.#now = deps.now;
    this.#destinations = deps.destinations;
    const routes = new RouteTable();
    routes.apply(mesh.frontends, []);
    const authorizer = new HttpAuthorizer();
    authorizer.apply(mesh.policies, []);
    const upstreams = new UpstreamTable({
      view: this.#view,
      standpoint: { node: '', cluster: '', locality: { region: '', zone: '', subzone: '' } },
      policyOf: () => DEFAULT_BACKEND_POLICY,
      told: () => undefined,
    });
    this.#decider = new RequestDecider({ routes, upstreams, authorizer, ...deps });
  }

  decide(request: RequestView, caller: Caller): Forward | Answer {
    let place = this.#places.get(caller);
    if (place === undefined) {
      place = this.#placeOf(caller);
      this.#places.set(caller, place);
    }
    if (place === 'unknown') return answer('no-route');
    const decision = this.#decider.decide({ ...place, request, token: undefined });
    switch (decision.kind) {
      case 'refuse':
        return answer(decision.failure);
      case 'answer':
        return { kind: 'answer', status: decision.status, reason: '', headers: decision.headers };
      case 'forward':
        break;
    }
    // Nobody can be asked yet, and who was not asked has not said yes.
    if (decision.ask.length > 0) return answer('denied');
    return this.#forward(decision, request);
  }

  #forward(decision: Forwarding, request: RequestView): Forward | Answer {
    const { upstream, endpoint, rule, backend, target, host, session } = decision;
    const call = upstream.begin(endpoint, false, this.#now());
    if (call === undefined) return answer('overloaded');
    const { requestMs = 0, backendRequestMs = 0 } = rule?.rule.timeouts ?? {};
    const isCall = request.header('content-type')?.startsWith('application/grpc') === true;
    const origin = rule?.cors === undefined ? undefined : request.header('origin');
    const cors = rule?.cors === undefined ? [] : corsHeaders(rule.cors, origin);
    const changes = [...(rule?.requestHeaders ?? []), ...(backend?.requestHeaders ?? [])];
    const answers = [...(rule?.responseHeaders ?? []), ...(backend?.responseHeaders ?? [])];
    const hasAnswers = answers.length > 0 || cors.length > 0 || session !== undefined;
    return {
      kind: 'forward',
      to: this.#destinations.get(call.target, isCall),
      // Without retries one request is the whole of it.
      timeoutMs:
        requestMs > 0 && backendRequestMs > 0
          ? Math.min(requestMs, backendRequestMs)
          : Math.max(requestMs, backendRequestMs),
      target,
      ...(host !== '' && { host }),
      ...(changes.length > 0 && {
        onRequest: (fields: Fields) => applyHeaderFilters(fields, changes),
      }),
      ...(hasAnswers && {
        onResponse: (fields: Fields) => {
          applyHeaderFilters(fields, answers);
          for (const [name, value] of cors) {
            if (name === 'vary') fields.add(name, value);
            else fields.set(name, value);
          }
          if (session?.[0] === 'set-cookie') fields.append(session[0], session[1]);
          else if (session !== undefined) fields.set(session[0], session[1]);
        },
      }),
      onEnd: (ending, status) => upstream.end(call, outcomeOf(ending, status), this.#now()),
    };
  }

  #placeOf({ authority, source, forwarded }: Caller): Place | 'unknown' {
    const identity = parseIdentity(source);
    const remoteAddress = addressIn(forwarded);
    const gateway = `Gateway/${this.#gateway}`;
    const bound = authority === '' ? undefined : parseAuthority(authority);
    const connection: Connection = {
      identity,
      sourceAddress: remoteAddress,
      destinationAddress: bound?.host ?? '',
      destinationPort: bound?.port ?? 0,
    };
    const common = {
      isRouted: false,
      namespace: identity === undefined ? '' : identityParts(identity).namespace,
      connection,
      remoteAddress,
      arrival: { scheme: 'http', port: bound?.port ?? 80 },
    } as const;
    if (authority === '') {
      const targets = [gateway];
      return { ...common, frontend: this.#listener, service: '', port: 0, targets };
    }
    if (bound === undefined) return 'unknown';
    const { serviceTable } = this.#view;
    const all = [
      ...(bound.isAddress ? serviceTable.at(bound.host) : serviceTable.named(bound.host)),
    ];
    const service = all.find(({ canonical }) => canonical) ?? all[0];
    if (service === undefined) return 'unknown';
    return {
      ...common,
      frontend: serviceFrontendKey(service.key, bound.port),
      service: service.key,
      port: bound.port,
      targets: [`Service/${service.namespace}/${service.name}`, gateway],
    };
  }
}

function answer(failure: Failure): Answer {
  return { kind: 'answer', status: FAILURES[failure].http, reason: CODES[failure] };
}

function outcomeOf(ending: Ending, status: number): Outcome {
  switch (ending) {
    case 'answered':
      return outcomeOfStatus(status);
    case 'connect-failed':
    case 'abandoned':
      return ending;
    case 'failed':
    case 'timeout':
      break;
  }
  return 'gateway-error';
}

/** Canonical text of the address that a `forwarded` names; '' when it names none. */
function addressIn(forwarded: string): string {
  return parseAuthority(parseForwarded(forwarded).client ?? '')?.host ?? '';
}

/**
 * Where endpoints are, each the same object for as long as the worker lives: pools of connections go
 * by it, and must outlive a change of the routes.
 */
export class Destinations {
  readonly #byTarget = new WeakMap<Target, Destination>();
  readonly #byText = new Map<string, Destination>();

  get(target: Target, isCall: boolean): Destination {
    const isHttp2 = isCall || speaksHttp2(target);
    const known = this.#byTarget.get(target);
    if (known !== undefined && (known.protocol === 'http2') === isHttp2) return known;
    const { address, port } = target;
    const protocol = isHttp2 ? 'http2' : 'http1';
    const text = `${protocol} ${formatEndpoint(address, port)}`;
    if (this.#byText.size >= KEPT_MAX) this.#byText.clear();
    const destination = this.#byText.get(text) ?? { address, port, protocol };
    this.#byText.set(text, destination);
    this.#byTarget.set(target, destination);
    return destination;
  }
}

function speaksHttp2({ service, port }: Target): boolean {
  const own = service?.ports.find((one) => one.targetPort === port || one.port === port);
  return own !== undefined && HTTP2_PROTOCOLS.has(own.appProtocol.toLowerCase());
}
