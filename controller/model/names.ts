/**
 * The labels and annotations that the mesh reads, with the aliases that it accepts.
 *
 * Our own name wins over an alias; none is ever written.
 */
import type { Labels, Meta } from './objects.ts';

export const DATAPLANE_MODE = ['plumbline.dev/dataplane-mode', 'istio.io/dataplane-mode'] as const;
export const BYPASS = ['plumbline.dev/bypass'] as const;
/** On a namespace: no fence, so that a broken capture passes traffic in clear, counted and shown. */
export const FAIL_OPEN = ['plumbline.dev/fail-open'] as const;
/**
 * On a namespace: what becomes of a pod that starts and cannot be proven captured, `hold` or `open`.
 */
export const ON_FAILURE = ['plumbline.dev/on-failure'] as const;
export const DNS_CAPTURE = ['plumbline.dev/dns-capture', 'ambient.istio.io/dns-capture'] as const;
/** Cut the connections that stood before a running pod was enrolled. */
export const CUT_EXISTING = ['plumbline.dev/cut-existing'] as const;
export const EXCLUDE_INBOUND_PORTS = ['plumbline.dev/exclude-inbound-ports'] as const;
export const EXCLUDE_OUTBOUND_PORTS = ['plumbline.dev/exclude-outbound-ports'] as const;
export const EXCLUDE_OUTBOUND_CIDRS = ['plumbline.dev/exclude-outbound-cidrs'] as const;
/** On a Service: `random`, `round-robin` or `least-connections`. */
export const LOAD_BALANCING = ['plumbline.dev/load-balancing'] as const;
export const TRAFFIC_DISTRIBUTION = ['networking.istio.io/traffic-distribution'] as const;
export const EXPORT_TO = ['networking.istio.io/exportTo'] as const;
export const DRY_RUN = ['plumbline.dev/dry-run', 'istio.io/dry-run'] as const;
export const SIDECAR = ['sidecar.istio.io/status'] as const;

/** The condition that we write to pods whose capture is proven, and read back. */
export const CAPTURED = 'plumbline.dev/Captured';

const CANONICAL_NAME = [
  'service.istio.io/canonical-name',
  'app.kubernetes.io/name',
  'app',
] as const;
const CANONICAL_REVISION = [
  'service.istio.io/canonical-revision',
  'app.kubernetes.io/version',
  'version',
] as const;
const WORKLOAD_NAME = ['service.istio.io/workload-name'] as const;
const REGION = ['topology.kubernetes.io/region'] as const;
const ZONE = ['topology.kubernetes.io/zone'] as const;
const SUBZONE = ['topology.plumbline.dev/subzone', 'topology.istio.io/subzone'] as const;

/** Returns the first of `names` that is set. */
export function read(labels: Labels, names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = labels[name];
    if (value !== undefined) return value;
  }
  return undefined;
}

/** Looks in the labels, then in the annotations: people write switches in either. */
export function readEither(meta: Meta | undefined, names: readonly string[]): string | undefined {
  return meta && (read(meta.labels, names) ?? read(meta.annotations, names));
}

export function isOn(meta: Meta | undefined, names: readonly string[]): boolean {
  return readEither(meta, names)?.toLowerCase() === 'true';
}

/** What telemetry calls a workload. */
export function telemetryNames(
  labels: Labels,
  ownName: string,
): { workloadName: string; canonicalName: string; canonicalRevision: string } {
  const workloadName = read(labels, WORKLOAD_NAME) ?? ownName;
  return {
    workloadName,
    canonicalName: read(labels, CANONICAL_NAME) ?? workloadName,
    canonicalRevision: read(labels, CANONICAL_REVISION) ?? 'latest',
  };
}

export function localityOf(labels: Labels): { region: string; zone: string; subzone: string } {
  return {
    region: read(labels, REGION) ?? '',
    zone: read(labels, ZONE) ?? '',
    subzone: read(labels, SUBZONE) ?? '',
  };
}
