/**
 * What is said of a connection in the headers of its CONNECT, and what is made of what others say.
 *
 * All of it is for telemetry: nothing here allows or routes anything. The texts of a workload are
 * made once and kept for as long as its record is current.
 */
import { randomFillSync } from 'node:crypto';
import { formatEndpoint } from '#common/address.ts';
import { parseAuthority } from '#common/decide/inbound.ts';
import type { ConnectRequest, ConnectResponse } from '#common/hbone/headers.ts';
import {
  formatBaggage,
  formatForwarded,
  formatTraceparent,
  parseForwarded,
  parseTraceparent,
} from '#common/hbone/hints.ts';
import type { Service } from '#common/mesh/service.ts';
import type { View } from '#common/mesh/view.ts';
import type { Workload } from '#common/mesh/workload.ts';
import type { Flow } from './flow.ts';

/** Makes the request for a flow whose destination is settled, and notes its trace in the flow. */
export function connectRequest(flow: Flow): ConnectRequest {
  const traceparent = newTraceparent();
  flow.traceId = traceparent.slice(3, 35);
  const client = formatEndpoint(flow.source.address, flow.source.port);
  const baggage = baggageOf(flow.source.workload);
  const forwarded = formatForwarded(client, flow.service?.hostname);
  const authority = flow.hboneAddress;
  return baggage === undefined
    ? { authority, forwarded, traceparent }
    : { authority, baggage, forwarded, traceparent };
}

export function responseTo(workload: Workload | undefined): ConnectResponse {
  const baggage = baggageOf(workload);
  return baggage === undefined ? {} : { baggage };
}

/** The trace id of a header, or one of our own where there is none that can be read. */
export function traceIdOf(traceparent: string | undefined): string {
  const given = traceparent === undefined ? undefined : parseTraceparent(traceparent);
  return given?.trace ?? newTraceparent().slice(3, 35);
}

/** The service that the caller addressed, if it is one that this workload backs. */
export function serviceOf(
  view: View,
  workload: Workload | undefined,
  hints: { readonly forwarded: string | undefined; readonly authority: string },
): Service | undefined {
  if (workload === undefined || workload.memberships.length === 0) return undefined;
  const authority = parseAuthority(hints.authority);
  const named = authority?.kind === 'hostname' ? authority.hostname : undefined;
  const host =
    named ?? (hints.forwarded === undefined ? undefined : parseForwarded(hints.forwarded).host);
  for (const { service: key } of workload.memberships) {
    const service = view.service(key);
    if (service !== undefined && service.hostname === host) return service;
  }
  return undefined;
}

/** Fresh random bytes for many traces at once: each draw has its price. */
const pool = Buffer.allocUnsafeSlow(24 * 128);
let used = pool.length;

function newTraceparent(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += 24;
  return formatTraceparent(pool.subarray(used - 24, used));
}

const baggageByWorkload = new WeakMap<Workload, string>();

function baggageOf(workload: Workload | undefined): string | undefined {
  if (workload === undefined) return undefined;
  const known = baggageByWorkload.get(workload);
  if (known !== undefined) return known;
  const made = formatBaggage({
    cluster: workload.cluster,
    namespace: workload.namespace,
    workloadType: workload.workloadType,
    workloadName: workload.workloadName,
    serviceName: workload.canonicalName,
    serviceVersion: workload.canonicalRevision,
    region: workload.locality.region,
    zone: workload.locality.zone,
  });
  baggageByWorkload.set(workload, made);
  return made;
}
