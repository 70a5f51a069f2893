/**
 * Routes of the Gateway API as frontends, and what their authors are told.
 *
 * A route whose namespace is the Service's is the producer's and for everybody; one of another
 * namespace is for callers of that namespace, and stands in place of the producer's. In each of these
 * groups a port has routes of one kind: a guest's route can never push the owner's aside. Everything
 * is worked out anew from the whole, in the order of age, so nothing depends on what came first.
 */
import type { Frontend } from '#common/mesh/route.ts';
import { isOlder } from './build-service.ts';
import { backendServiceKey, portsOf } from './route-backends.ts';
import { gatewayFrontend, serviceFrontend, winnerOf } from './route-frontends.ts';
import type { Claim, Place } from './route-frontends.ts';
import { GATEWAY_CLASSES, matchListeners } from './route-listeners.ts';
import { GATEWAY_GROUP, routeKey } from './route-objects.ts';
import type { GatewayObject, ParentRef, RouteObject } from './route-objects.ts';
import { compileRoute } from './route-rules.ts';
import type { CompiledRoute } from './route-rules.ts';
import { ATTACHED, refused, sentence, statusOf } from './route-status.ts';
import type { Attachment, ParentStatus } from './route-status.ts';
import type { RouteWorld } from './route-world.ts';

export type { RouteWorld } from './route-world.ts';

export interface RouteModel {
  /** In the order of their keys. */
  readonly frontends: readonly Frontend[];
  /** By `HTTPRoute/<namespace>/<name>`; one entry for each parent that is ours to judge. */
  readonly statuses: ReadonlyMap<string, readonly ParentStatus[]>;
  /** How many routes are attached, by `<gateway namespace>/<name>/<listener>`. */
  readonly attachedRoutes: ReadonlyMap<string, number>;
}

/** Works all routes out. */
export function buildRoutes(world: RouteWorld): RouteModel {
  const builder = new Builder(world);
  const inOrder = world.routes.toSorted((a, b) => (isOlder(a.meta, b.meta) ? -1 : 1));
  for (const route of inOrder) builder.claim(route);
  const statuses = new Map(inOrder.map((route) => [routeKey(route), builder.statusesOf(route)]));
  return { ...builder.finish(), statuses };
}

class Builder {
  readonly #world: RouteWorld;
  readonly #claims = new Map<string, Claim>();
  readonly #listeners = new Map<string, Place>();
  readonly #compiled = new Map<string, CompiledRoute>();
  /** Who has a port, worked out once all have claimed it. */
  readonly #winners = new Map<string, RouteObject | undefined>();

  constructor(world: RouteWorld) {
    this.#world = world;
  }

  /** Registers a route at each port and listener that it asks for and may have. */
  claim(object: RouteObject): void {
    for (const parent of object.parents) {
      if (isService(parent)) this.#claimService(object, parent);
      else if (isGateway(parent)) this.#claimGateway(object, parent);
    }
  }

  statusesOf(object: RouteObject): ParentStatus[] {
    return object.parents.flatMap((parent) => {
      const kind = isService(parent) ? 'service' : isGateway(parent) ? 'gateway' : undefined;
      if (kind === undefined) return [];
      if (kind === 'gateway' && this.#gatewayOf(object, parent) === undefined) return [];
      const { unsupported, references, route } = this.#compile(object, kind);
      const own: Attachment =
        route === undefined ? refused('UnsupportedValue', sentence(unsupported)) : ATTACHED;
      const place =
        kind === 'service'
          ? this.#serviceAttachment(object, parent)
          : this.#listenersOf(object, parent).attachment;
      return [
        statusOf(parent, object.generation, {
          attachment: place.accepted && !own.accepted ? own : place,
          dropped: unsupported,
          references,
        }),
      ];
    });
  }

  finish(): Pick<RouteModel, 'frontends' | 'attachedRoutes'> {
    const services = new Map<string, Claim[]>();
    for (const claim of this.#claims.values()) {
      const key = `${claim.service}:${claim.port}`;
      const claims = services.get(key);
      if (claims === undefined) services.set(key, [claim]);
      else claims.push(claim);
    }
    const frontends = [
      ...Array.from(services, ([key, claims]) => serviceFrontend(key, claims)),
      ...Array.from(this.#listeners.values(), gatewayFrontend),
    ];
    return {
      frontends: frontends.toSorted((a, b) => (a.key < b.key ? -1 : 1)),
      attachedRoutes: new Map(
        Array.from(this.#listeners, ([key, { routes }]) => [
          key,
          new Set(routes.map((route) => route.key)).size,
        ]),
      ),
    };
  }

  #claimService(object: RouteObject, parent: ParentRef): void {
    const { route } = this.#compile(object, 'service');
    if (route === undefined || !this.#serviceCheck(object, parent).accepted) return;
    const key = parentKey(object, parent);
    const service = backendServiceKey(key, this.#world);
    for (const port of this.#portsOf(key, parent)) {
      const id = this.#claimId(object, key, port);
      const namespace = audienceOf(object, key);
      const claim = this.#claims.get(id) ?? { service, port, namespace, members: [] };
      this.#claims.set(id, claim);
      // A route that names a port twice comes twice in a row.
      if (claim.members.at(-1)?.object !== object) claim.members.push({ object, route });
    }
  }

  #claimGateway(object: RouteObject, parent: ParentRef): void {
    const gateway = this.#gatewayOf(object, parent);
    const { route } = this.#compile(object, 'gateway');
    if (gateway === undefined || route === undefined) return;
    for (const { listener, hostnames } of this.#listenersOf(object, parent).listeners) {
      const key = `${gateway.meta.namespace}/${gateway.meta.name}/${listener.name}`;
      const place: Place = this.#listeners.get(key) ?? { gateway, listener, routes: [] };
      this.#listeners.set(key, place);
      place.routes.push({ ...route, hostnames });
    }
  }

  /** Says whether a Service takes a route, as far as the Service and the route alone can tell. */
  #serviceCheck(object: RouteObject, parent: ParentRef): Attachment {
    const key = parentKey(object, parent);
    const service = this.#world.services.get(key);
    if (service === undefined) {
      return refused('NoMatchingParent', `there is no Service ${key}`);
    }
    if (object.kind === 'UDPRoute') {
      return refused('UnsupportedValue', 'UDP is not carried by the mesh; no UDPRoute is done');
    }
    if (service.headless) {
      return refused(
        'UnsupportedValue',
        `Service ${key} is headless, so it has no address to which a route could belong`,
      );
    }
    if (this.#portsOf(key, parent).length > 0) return ATTACHED;
    const asked = parent.port === 0 ? 'no TCP port' : `no port ${parent.port}`;
    return refused('NoMatchingParent', `Service ${key} has ${asked}; it has ${portsOf(service)}`);
  }

  #serviceAttachment(object: RouteObject, parent: ParentRef): Attachment {
    const check = this.#serviceCheck(object, parent);
    if (!check.accepted) return check;
    const key = parentKey(object, parent);
    const lost = this.#portsOf(key, parent).flatMap((port) => {
      const winner = this.#winnerOf(this.#claimId(object, key, port));
      return winner === undefined || winner.kind === object.kind
        ? []
        : [`port ${port} has ${winner.kind} ${winner.meta.namespace}/${winner.meta.name}`];
    });
    if (lost.length === 0) return check;
    const message = `${lost.join(', ')}; a port of a Service has routes of one kind`;
    return lost.length === this.#portsOf(key, parent).length
      ? refused('Conflicted', message)
      : { ...ATTACHED, message };
  }

  #winnerOf(claimId: string): RouteObject | undefined {
    if (!this.#winners.has(claimId)) {
      this.#winners.set(claimId, winnerOf(this.#claims.get(claimId)?.members ?? []));
    }
    return this.#winners.get(claimId);
  }

  #listenersOf(object: RouteObject, parent: ParentRef): ReturnType<typeof matchListeners> {
    const gateway = this.#gatewayOf(object, parent);
    if (gateway !== undefined) return matchListeners(object, parent, gateway, this.#world);
    return { attachment: refused('NoMatchingParent', 'there is no such Gateway'), listeners: [] };
  }

  #gatewayOf(object: RouteObject, parent: ParentRef): GatewayObject | undefined {
    const gateway = this.#world.gateways.get(parentKey(object, parent));
    return gateway !== undefined && GATEWAY_CLASSES.includes(gateway.className)
      ? gateway
      : undefined;
  }

  #portsOf(key: string, parent: ParentRef): number[] {
    const ports = this.#world.services.get(key)?.ports.map(({ port }) => port) ?? [];
    return parent.port === 0 ? ports : ports.filter((port) => port === parent.port);
  }

  #claimId(object: RouteObject, service: string, port: number): string {
    return `${service}:${port} ${audienceOf(object, service)}`;
  }

  #compile(object: RouteObject, parent: 'service' | 'gateway'): CompiledRoute {
    const id = `${parent} ${routeKey(object)}`;
    const known = this.#compiled.get(id);
    if (known !== undefined) return known;
    const compiled = compileRoute(object, parent, this.#world);
    this.#compiled.set(id, compiled);
    return compiled;
  }
}

/** '' for the producer of a service, else the namespace whose callers the route is for. */
function audienceOf({ meta }: RouteObject, serviceKey: string): string {
  return serviceKey.startsWith(`${meta.namespace}/`) ? '' : meta.namespace;
}

function parentKey({ meta }: RouteObject, { namespace, name }: ParentRef): string {
  return `${namespace === '' ? meta.namespace : namespace}/${name}`;
}

function isService({ group, kind }: ParentRef): boolean {
  return group === '' && kind === 'Service';
}

function isGateway({ group, kind }: ParentRef): boolean {
  return group === GATEWAY_GROUP && kind === 'Gateway';
}
