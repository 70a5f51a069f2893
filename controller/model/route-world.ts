/** What routes are worked out from: the objects that they name, by key. */
import type { Labels, ServiceObject } from './objects.ts';
import type { GatewayObject, ReferenceGrantObject, RouteObject } from './route-objects.ts';

export interface RouteWorld {
  readonly routes: readonly RouteObject[];
  /** By `namespace/name`. */
  readonly services: ReadonlyMap<string, ServiceObject>;
  readonly gateways: ReadonlyMap<string, GatewayObject>;
  readonly grants: readonly ReferenceGrantObject[];
  /** Labels of namespaces by their name, for listeners that choose by them. */
  readonly namespaces: ReadonlyMap<string, Labels>;
  /** Ends every host name of a Service. */
  readonly domain: string;
}
