/**
 * Which pods are captured, and how: the labels of pod and namespace, and the exemptions.
 *
 * A pod that is not enrolled always has a reason, in the words that `plumb status` prints. An
 * exclusion that cannot be read excludes nothing: a typo must not open a hole.
 */
import { parseCidr } from '#common/address.ts';
import type { EnrolledNamespace } from '#common/control/messages.ts';
import type { CaptureOptions } from '#common/mesh/workload.ts';
import type { ModelOptions } from './diff.ts';
import {
  BYPASS,
  CUT_EXISTING,
  DATAPLANE_MODE,
  DNS_CAPTURE,
  EXCLUDE_INBOUND_PORTS,
  EXCLUDE_OUTBOUND_CIDRS,
  EXCLUDE_OUTBOUND_PORTS,
  FAIL_OPEN,
  ON_FAILURE,
  SIDECAR,
  isOn,
  read,
  readEither,
} from './names.ts';
import type { Meta, PodObject } from './objects.ts';

const SEPARATOR = /[\s,]+/;

/** Returns why the pod is left out; '' when it is enrolled. */
export function exemptionOf(
  pod: PodObject,
  namespace: Meta | undefined,
  options: ModelOptions,
): string {
  const { labels } = pod.meta;
  const mode = read(labels, DATAPLANE_MODE) ?? modeOf(namespace);
  const own = read(labels, DATAPLANE_MODE);
  if (pod.hostNetwork) return 'host network';
  const exempt = namespaceExemption(pod.meta.namespace, options);
  if (exempt !== '') return exempt;
  if (read(pod.meta.annotations, SIDECAR) !== undefined) return 'has a sidecar';
  if (mode === undefined) return 'not labelled';
  if (mode === 'none') return own === 'none' ? 'opted out' : 'namespace opted out';
  if (mode !== 'ambient') return `unknown dataplane mode "${mode}"`;
  return isOn(pod.meta, BYPASS) ? 'bypass' : '';
}

/** What is said of a namespace to those who gate the start of pods; undefined when not enrolled. */
export function enrolledNamespace(
  namespace: Meta,
  options: ModelOptions,
): EnrolledNamespace | undefined {
  const { name } = namespace;
  if (modeOf(namespace) !== 'ambient' || namespaceExemption(name, options) !== '') return undefined;
  const isOpen = readEither(namespace, ON_FAILURE)?.toLowerCase() === 'open';
  return { name, onFailure: isOpen ? 'open' : 'hold' };
}

function modeOf(namespace: Meta | undefined): string | undefined {
  return read(namespace?.labels ?? {}, DATAPLANE_MODE);
}

function namespaceExemption(name: string, options: ModelOptions): string {
  if (name === options.rootNamespace) return 'system namespace';
  return options.excludedNamespaces.includes(name) ? 'excluded namespace' : '';
}

export function captureOptionsOf(pod: PodObject, namespace: Meta | undefined): CaptureOptions {
  const { annotations } = pod.meta;
  const dns = readEither(pod.meta, DNS_CAPTURE) ?? readEither(namespace, DNS_CAPTURE);
  return {
    excludeInboundPorts: portsIn(read(annotations, EXCLUDE_INBOUND_PORTS)).valid,
    excludeOutboundPorts: portsIn(read(annotations, EXCLUDE_OUTBOUND_PORTS)).valid,
    excludeOutboundCidrs: cidrsIn(read(annotations, EXCLUDE_OUTBOUND_CIDRS)).valid,
    dnsCapture: dns?.toLowerCase() === 'true',
    failClosed: !isOn(namespace, FAIL_OPEN),
    cutExisting: isOn(pod.meta, CUT_EXISTING) || isOn(namespace, CUT_EXISTING),
  };
}

/** Reads `8080, 9090`. */
export function portsIn(text: string | undefined): { valid: number[]; invalid: string[] } {
  const { valid, invalid } = split(text, (word) => /^[1-9]\d{0,4}$/.test(word) && +word <= 65_535);
  return { valid: valid.map(Number).toSorted((a, b) => a - b), invalid };
}

/** Reads `10.0.0.0/8, fd00::/8`; a bare address is a CIDR of one. */
export function cidrsIn(text: string | undefined): { valid: string[]; invalid: string[] } {
  const { valid, invalid } = split(text, (word) => parseCidr(word) !== undefined);
  return { valid: valid.toSorted(), invalid };
}

function split(
  text: string | undefined,
  isValid: (word: string) => boolean,
): { valid: string[]; invalid: string[] } {
  const words = [...new Set(text?.split(SEPARATOR).filter((word) => word !== ''))];
  return { valid: words.filter(isValid), invalid: words.filter((word) => !isValid(word)) };
}
