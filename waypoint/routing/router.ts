/**
 * The routes of one frontend, compiled: which rule takes a request.
 *
 * Callers of a namespace that has consumer routes get those instead of the producer's, never both.
 * Host names count at gateways (and of tls everywhere), the longest first and exact ones before
 * wildcards; a host whose rules do not match leaves the request to the next wider one, as the
 * Gateway API asks.
 */
import type { Frontend, Route, RouteProtocol, RouteSet } from '#common/mesh/route.ts';
import { CallTable } from './call-table.ts';
import { compileChecks, compileRule } from './compiled.ts';
import type { Candidate } from './compiled.ts';
import { PathTable } from './path-table.ts';
import type { RequestView } from './request.ts';

interface Table {
  find(request: RequestView): Candidate | undefined;
}

export class Router {
  readonly frontend: Frontend;
  readonly #producer: Hosts | undefined;
  readonly #byNamespace = new Map<string, Hosts>();

  constructor(frontend: Frontend) {
    this.frontend = frontend;
    const { kind, producer, consumers } = frontend;
    this.#producer = producer && new Hosts(kind, producer);
    for (const set of consumers) this.#byNamespace.set(set.namespace, new Hosts(kind, set));
  }

  /**
   * Says how to read what a caller sends; `namespace` is that of its verified identity, '' without
   * one. Undefined: no route applies to it, and what it sends goes to the service itself.
   */
  protocol(namespace: string): RouteProtocol | undefined {
    return this.#hostsFor(namespace)?.protocol;
  }

  /**
   * Finds the match that takes a request. Where `protocol` says that routes apply, undefined is an
   * answer: 404, or UNIMPLEMENTED for gRPC.
   */
  find(request: RequestView, namespace: string): Candidate | undefined {
    return this.#hostsFor(namespace)?.find(request);
  }

  #hostsFor(namespace: string): Hosts | undefined {
    if (this.#byNamespace.size === 0) return this.#producer;
    return this.#byNamespace.get(namespace) ?? this.#producer;
  }
}

class Hosts {
  readonly protocol: RouteProtocol;
  readonly #exact = new Map<string, Table>();
  /** By what follows the `*`: `.example`. */
  readonly #wildcards = new Map<string, Table>();
  readonly #any: Table | undefined;

  constructor(kind: Frontend['kind'], { protocol, routes }: RouteSet) {
    this.protocol = protocol;
    const hasHosts = kind === 'gateway' || protocol === 'tls';
    const byHost = candidatesByHost(routes, hasHosts);
    for (const [host, members] of byHost) {
      if (host.startsWith('*')) this.#wildcards.set(host.slice(1), tableOf(protocol, members));
      else if (host !== '') this.#exact.set(host, tableOf(protocol, members));
    }
    const any = byHost.get('');
    this.#any = any === undefined ? undefined : tableOf(protocol, any);
  }

  find(request: RequestView): Candidate | undefined {
    if (this.#exact.size > 0) {
      const found = this.#exact.get(request.host)?.find(request);
      if (found !== undefined) return found;
    }
    if (this.#wildcards.size > 0) {
      const found = this.#findWildcard(request);
      if (found !== undefined) return found;
    }
    return this.#any?.find(request);
  }

  /** `*.example` takes `a.b.example`, and not `example` itself. */
  #findWildcard(request: RequestView): Candidate | undefined {
    const { host } = request;
    for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1)) {
      if (dot === 0) continue;
      const found = this.#wildcards.get(host.slice(dot))?.find(request);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

function candidatesByHost(
  routes: readonly Route[],
  hasHosts: boolean,
): ReadonlyMap<string, readonly Candidate[]> {
  const byHost = new Map<string, Candidate[]>();
  let order = 0;
  for (const route of routes) {
    const hosts = hasHosts && route.hostnames.length > 0 ? new Set(route.hostnames) : [''];
    for (const rule of route.rules) {
      const compiled = compileRule(route, rule);
      for (const match of rule.matches) {
        const one: Candidate = { rule: compiled, match, order, checks: compileChecks(match) };
        order += 1;
        for (const host of hosts) {
          const members = byHost.get(host);
          if (members === undefined) byHost.set(host, [one]);
          else members.push(one);
        }
      }
    }
  }
  return byHost;
}

function tableOf(protocol: RouteProtocol, members: readonly Candidate[]): Table {
  const [first] = members;
  if (protocol === 'tls' || protocol === 'tcp') return { find: () => first };
  if (protocol === 'grpc') return new CallTable(members);
  const calls = members.filter(({ match }) => match.grpc !== undefined);
  if (calls.length === 0) return new PathTable(members);
  return new MixedTable(
    new CallTable(calls),
    new PathTable(members.filter(({ match }) => match.grpc === undefined)),
  );
}

/** Routes of HTTP and of gRPC at one listener. */
class MixedTable implements Table {
  readonly #calls: CallTable;
  readonly #paths: PathTable;

  constructor(calls: CallTable, paths: PathTable) {
    this.#calls = calls;
    this.#paths = paths;
  }

  find(request: RequestView): Candidate | undefined {
    const isCall = request.header('content-type')?.startsWith('application/grpc') === true;
    return (isCall ? this.#calls.find(request) : undefined) ?? this.#paths.find(request);
  }
}
