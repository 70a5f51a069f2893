/**
 * The routes of one frontend, compiled: which rule takes a request.
 *
 * Callers of a namespace that has consumer routes get those instead of the producer's, never both.
 * Host names count at gateways alone, the longest first and exact ones before wildcards; a host
 * whose rules do not match leaves the request to the next wider one, as the Gateway API asks.
 */
import type { Frontend, Route } from '#common/mesh/route.ts';
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
  readonly #producer: Hosts;
  readonly #byNamespace = new Map<string, Hosts>();

  constructor(frontend: Frontend) {
    this.frontend = frontend;
    this.#producer = new Hosts(frontend, frontend.routes);
    for (const { namespace, routes } of frontend.consumers) {
      this.#byNamespace.set(namespace, new Hosts(frontend, routes));
    }
  }

  /**
   * Finds the match that takes a request; `namespace` is that of the caller's verified identity, ''
   * without one. Undefined is an answer: 404, or UNIMPLEMENTED for gRPC.
   */
  find(request: RequestView, namespace: string): Candidate | undefined {
    return this.#hostsFor(namespace).find(request);
  }

  /**
   * Says whether any route applies to a caller. Without one, what comes goes to the service itself.
   */
  hasRoutes(namespace: string): boolean {
    return !this.#hostsFor(namespace).isEmpty;
  }

  #hostsFor(namespace: string): Hosts {
    if (this.#byNamespace.size === 0) return this.#producer;
    return this.#byNamespace.get(namespace) ?? this.#producer;
  }
}

class Hosts {
  readonly isEmpty: boolean;
  readonly #exact = new Map<string, Table>();
  /** By what follows the `*`: `.example`. */
  readonly #wildcards = new Map<string, Table>();
  readonly #any: Table | undefined;

  constructor(frontend: Frontend, routes: readonly Route[]) {
    this.isEmpty = routes.length === 0;
    const byHost = new Map<string, Candidate[]>();
    let order = 0;
    for (const route of routes) {
      const hosts = frontend.kind === 'gateway' ? route.hostnames : [];
      for (const rule of route.rules) {
        const compiled = compileRule(route, rule);
        for (const match of rule.matches) {
          const one: Candidate = { rule: compiled, match, order, checks: compileChecks(match) };
          order += 1;
          for (const host of hosts.length === 0 ? [''] : new Set(hosts)) {
            const members = byHost.get(host);
            if (members === undefined) byHost.set(host, [one]);
            else members.push(one);
          }
        }
      }
    }
    const tableOf = (members: readonly Candidate[]): Table =>
      frontend.protocol === 'grpc' ? new CallTable(members) : new PathTable(members);
    for (const [host, members] of byHost) {
      if (host.startsWith('*')) this.#wildcards.set(host.slice(1), tableOf(members));
      else if (host !== '') this.#exact.set(host, tableOf(members));
    }
    const any = byHost.get('');
    this.#any = any === undefined ? undefined : tableOf(any);
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
