/**
 * What a waypoint is told of the mesh, as one text: services and workloads, routes, policies on
 * requests. Read once, strictly; whatever is not exactly that throws `MESSAGE_INVALID` by field.
 */
import { decodeText, list, object, text } from '#common/control/decode.ts';
import { service, workload } from '#common/control/mesh-schema.ts';
import { frontend, httpPolicy } from '#common/control/route-schema.ts';
import type { HttpPolicy } from '#common/mesh/http-policy.ts';
import { packUpdate } from '#common/mesh/pack.ts';
import type { Frontend } from '#common/mesh/route.ts';
import type { Service } from '#common/mesh/service.ts';
import { View } from '#common/mesh/view.ts';
import type { Workload } from '#common/mesh/workload.ts';

export interface MeshRoutes {
  /** `<namespace>/<name>` of the Gateway that this is a replica of. */
  readonly gateway: string;
  /** Key of the frontend of plain listeners; '' where there is none. */
  readonly listener: string;
  readonly services: readonly Service[];
  readonly workloads: readonly Workload[];
  readonly frontends: readonly Frontend[];
  readonly policies: readonly HttpPolicy[];
}

const MOST = 65_536;
const MAX_LENGTH = 256 * 1024 * 1024;
const key = text(1024);

const meshRoutes = object<MeshRoutes>({
  gateway: key,
  listener: key,
  services: list(service, MOST),
  workloads: list(workload, MOST),
  frontends: list(frontend, MOST),
  policies: list(httpPolicy, MOST),
});

export function readMeshRoutes(told: string): MeshRoutes {
  const what = 'the routes of the mesh';
  return decodeText(told, { what, decoder: meshRoutes, maxLength: MAX_LENGTH });
}

/** The services and workloads that were told, as decisions look at them. */
export function viewOf({ services, workloads }: MeshRoutes): View {
  const view = new View();
  const none = { policies: [], pods: [] };
  const removed = { workloads: [], services: [], ...none };
  view.apply(packUpdate({ version: 1, snapshot: true, services, workloads, ...none, removed }));
  return view;
}
