/**
 * Where an inbound connection goes inside its pod: hbone.md sections 3.2 (I2 to I5) and 3.3 (P0, P1).
 *
 * The pod is the one whose network namespace took the connection, never one that the caller names;
 * what the caller writes gives the port, and must not contradict.
 */
import { canonicalAddress, formatEndpoint, parseAddress } from '../address.ts';
import type { ErrorCode } from '../errors.ts';
import type { View } from '../mesh/view.ts';
import type { Workload } from '../mesh/workload.ts';
import { serviceNamed } from './find-service.ts';
import { targetPort } from './plan.ts';
import { isAgentPort } from './ports.ts';

export type InboundTarget =
  | { readonly kind: 'accept'; readonly port: number; readonly reason: string }
  | {
      readonly kind: 'refuse';
      /** What the tunnel's client is told; a plain connection is closed. */
      readonly status: 400 | 503;
      readonly code: ErrorCode;
      readonly reason: string;
    };

/** Decides about a CONNECT for `authority` that `localAddress` of the pod of `workload` received. */
export function inboundTarget(
  view: View,
  workload: Workload | undefined,
  to: { readonly authority: string; readonly localAddress: string },
): InboundTarget {
  const asked = parseAuthority(to.authority);
  if (asked === undefined) {
    const reason = `the authority "${to.authority.slice(0, 300)}" is no address or name with a port`;
    return refuse(400, 'HBONE_PROTOCOL_ERROR', reason);
  }
  if (workload === undefined) return refuse(503, 'UNKNOWN_SOURCE', 'this pod is not known yet');
  if (asked.kind === 'address') {
    if (asked.address === to.localAddress) return accept(asked.port, "the address is the pod's");
    const reason = `the authority is for ${asked.address}, but ${to.localAddress} took it`;
    return refuse(400, 'DESTINATION_MISMATCH', reason);
  }
  return byHostname(view, workload, asked);
}

/** Decides about a connection in clear to `port` of the pod of `workload`. */
export function plaintextTarget(workload: Workload | undefined, port: number): InboundTarget {
  if (isAgentPort(port)) return accept(port, '');
  if (workload === undefined) return refuse(503, 'UNKNOWN_SOURCE', 'this pod is not known yet');
  return accept(port, 'it is the original destination');
}

export type Authority =
  | { readonly kind: 'address'; readonly address: string; readonly port: number }
  | { readonly kind: 'hostname'; readonly hostname: string; readonly port: number };

/** RFC 1123 labels; an underscore is taken too, as DNS and Istio do. */
const HOSTNAME = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_](?:[a-z0-9_-]{0,62}))*$/;
const AUTHORITY_MAX = 270;

/** Reads `1.2.3.4:80`, `[::1]:80` or `name:80`; undefined for anything else. */
export function parseAuthority(text: string): Authority | undefined {
  if (text.length > AUTHORITY_MAX) return undefined;
  const parts = /^(?:\[([0-9a-fA-F:.]+)\]|([^[\]:]+)):([1-9]\d{0,4})$/.exec(text);
  if (parts === null) return undefined;
  const [, six, name = '', digits] = parts;
  const port = Number(digits);
  if (port > 65_535) return undefined;
  const address = six ?? name;
  if (parseAddress(address) !== undefined) {
    return { kind: 'address', address: canonicalAddress(address), port };
  }
  const hostname = name.toLowerCase();
  // What looks like a number but is no address (`010.0.0.1`) is no name either.
  if (!HOSTNAME.test(hostname) || /(?:^|\.)\d+$/.test(hostname)) return undefined;
  return { kind: 'hostname', hostname, port };
}

function byHostname(
  view: View,
  workload: Workload,
  { hostname, port }: { readonly hostname: string; readonly port: number },
): InboundTarget {
  const service = serviceNamed(view, workload.namespace, hostname);
  if (service === undefined) {
    return refuse(503, 'NO_HEALTHY_ENDPOINT', `no service is named ${hostname}`);
  }
  if (!workload.memberships.some((one) => one.service === service.key)) {
    return refuse(503, 'NO_HEALTHY_ENDPOINT', `this pod is not behind ${hostname}`);
  }
  const servicePort = service.ports.find((one) => one.port === port);
  const target = servicePort === undefined ? 0 : targetPort(workload, service, servicePort);
  if (target === 0) {
    return refuse(503, 'NO_HEALTHY_ENDPOINT', `this pod serves no port ${port} of ${hostname}`);
  }
  return accept(target, `${formatEndpoint(hostname, port)} is port ${target} here`);
}

function accept(port: number, reason: string): InboundTarget {
  if (isAgentPort(port)) return refuse(503, 'LOOP_REFUSED', `port ${port} is the agent's own`);
  return { kind: 'accept', port, reason };
}

function refuse(status: 400 | 503, code: ErrorCode, reason: string): InboundTarget {
  return { kind: 'refuse', status, code, reason };
}
