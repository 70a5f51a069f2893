/**
 * The texts inside the headers of a CONNECT: baggage, forwarded, traceparent (hbone.md section 1.5).
 *
 * Formatting is exact, as other meshes read them; reading is lenient, since they are hints: what is
 * unknown or odd is left out. Nothing read here may be used to allow anything.
 */
export type WorkloadType = 'deployment' | 'cronjob' | 'pod' | 'job';

export interface Baggage {
  readonly cluster?: string;
  readonly namespace?: string;
  readonly workloadType?: WorkloadType;
  readonly workloadName?: string;
  readonly serviceName?: string;
  readonly serviceVersion?: string;
  readonly region?: string;
  readonly zone?: string;
}

const TYPES: readonly WorkloadType[] = ['deployment', 'cronjob', 'pod', 'job'];

/** Spells baggage in the order that ztunnel uses; empty fields are left out. */
export function formatBaggage(baggage: Baggage): string {
  const pairs: readonly (readonly [string, string | undefined])[] = [
    ['k8s.cluster.name', baggage.cluster],
    ['k8s.namespace.name', baggage.namespace],
    [`k8s.${baggage.workloadType ?? 'pod'}.name`, baggage.workloadName],
    ['service.name', baggage.serviceName],
    ['service.version', baggage.serviceVersion],
    ['cloud.region', baggage.region],
    ['cloud.availability_zone', baggage.zone],
  ];
  return pairs
    .filter(([, value]) => value !== undefined && value !== '')
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}

/** Reads baggage; keys are compared as they stand, and the last of several counts. */
export function parseBaggage(text: string): Baggage {
  const values = new Map<string, string>();
  for (const pair of text.split(',')) {
    const [key = '', value = ''] = pair.split('=');
    if (value !== '') values.set(key, value);
  }
  const workloadType = TYPES.find((type) => values.has(`k8s.${type}.name`));
  return {
    ...given('cluster', values.get('k8s.cluster.name')),
    ...given('namespace', values.get('k8s.namespace.name')),
    ...given('workloadType', workloadType),
    ...given('workloadName', values.get(`k8s.${workloadType ?? ''}.name`)),
    ...given('serviceName', values.get('service.name')),
    ...given('serviceVersion', values.get('service.version')),
    ...given('region', values.get('cloud.region')),
    ...given('zone', values.get('cloud.availability_zone')),
  };
}

export interface Forwarded {
  /** The client's `address:port`, with brackets around IPv6. */
  readonly client?: string;
  /** The service that the user addressed. */
  readonly host?: string;
}

/** Spells `for="client";host=service`; only the first of the two is quoted, as ztunnel does. */
export function formatForwarded(client: string, host?: string): string {
  return host === undefined ? `for="${client}"` : `for="${client}";host=${host}`;
}

/** `key=value` or `key="value"`, visible ASCII only. */
const PAIR = /^\s*([a-z]+)=("?)([\x21\x23-\x7e]+)\2\s*$/i;

/** Reads the first element of a `forwarded` header. */
export function parseForwarded(text: string): Forwarded {
  let client: string | undefined;
  let host: string | undefined;
  const [element = ''] = text.split(',');
  for (const pair of element.split(';')) {
    const [, name = '', , value = ''] = PAIR.exec(pair) ?? [];
    const key = name.toLowerCase();
    if (key === 'for') client = value;
    if (key === 'host') host = value;
  }
  return { ...given('client', client), ...given('host', host) };
}

export interface Traceparent {
  /** 32 hex digits. */
  readonly trace: string;
  /** 16 hex digits. */
  readonly span: string;
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Spells a new traceparent out of 24 random bytes; never sampled, so the flags are 00. */
export function formatTraceparent(random: Uint8Array): string {
  let hex = '';
  for (let i = 0; i < 24; i += 1) hex += HEX[random[i] ?? 0] ?? '';
  return `00-${hex.slice(0, 32)}-${hex.slice(32)}-00`;
}

/** Reads version 00 (W3C trace context); undefined for anything else, also for ids of zeros. */
export function parseTraceparent(text: string): Traceparent | undefined {
  const found = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/.exec(text);
  const [, trace = '', span = ''] = found ?? [];
  return found === null || /^0+$/.test(trace) || /^0+$/.test(span) ? undefined : { trace, span };
}

function given<K extends string, V>(key: K, value: V | undefined): { [key in K]?: V } {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a computed key widens to string
  return value === undefined ? {} : ({ [key]: value } as { [key in K]?: V });
}
