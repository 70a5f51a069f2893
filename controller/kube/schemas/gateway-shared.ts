/** Schemas that the kinds of the Gateway API share: metadata, references, durations, headers. */
import type { Meta } from '../../model/objects.ts';
import { GATEWAY_GROUP } from '../../model/route-objects.ts';
import type { BackendRefSpec, ParentRef } from '../../model/route-objects.ts';
import type { ValueMatch } from '#common/mesh/route.ts';
import {
  convert,
  integer,
  isMapping,
  list,
  oneOf,
  record,
  required,
  text,
  withDefault,
  type Schema,
} from '../schema.ts';
import { dnsLabel, namespacedMeta, objectName, port } from './shared.ts';

export const GATEWAY_V1 = [`${GATEWAY_GROUP}/v1`];
export const GATEWAY_V1_OR_BETA = [`${GATEWAY_GROUP}/v1`, `${GATEWAY_GROUP}/v1beta1`];

/** Metadata with the generation that a status says it has seen. */
export const generationMeta: Schema<{ meta: Meta; generation: number }> = {
  expected: namespacedMeta.expected,
  read(value, path, report) {
    const meta = namespacedMeta.read(value, path, report);
    const given = isMapping(value) ? value['generation'] : undefined;
    const generation = typeof given === 'number' && Number.isInteger(given) ? given : 0;
    return meta && { meta, generation };
  },
};

const group = text('an API group such as "gateway.networking.k8s.io", or ""', (value) =>
  /^$|^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(value),
);
const kind = text('a kind such as Service', (value) =>
  /^[A-Za-z]([-A-Za-z0-9]{0,62})$/.test(value),
);
export const sectionName = text('a name of lower-case letters, digits, "-" and "."', (value) =>
  /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(value),
);

export const groupKind = { group: required(group), kind: required(kind) };

const parentRef = convert(
  record({
    group: withDefault(group, GATEWAY_GROUP),
    kind: withDefault(kind, 'Gateway'),
    namespace: withDefault(dnsLabel, ''),
    name: required(objectName),
    sectionName: withDefault(sectionName, ''),
    port: withDefault(port, 0),
  }),
  (raw): ParentRef => raw,
);

export const parentRefs = withDefault(list(parentRef, { max: 32 }), []);

export const backendRefFields = {
  group: withDefault(group, ''),
  kind: withDefault(kind, 'Service'),
  namespace: withDefault(dnsLabel, ''),
  name: required(objectName),
  port: withDefault(port, 0),
};

/** A Service is named with its port; of other kinds only their owner knows. */
export function withPort<T extends BackendRefSpec>(schema: Schema<T>): Schema<T> {
  return convert(schema, (raw, path, report) => {
    if (raw.group !== '' || raw.kind !== 'Service' || raw.port !== 0) return raw;
    report([...path, 'port'], `missing; expected ${port.expected} of the Service`);
    return undefined;
  });
}

export const weight = withDefault(integer(0, 1_000_000), 1);

export const ruleName = withDefault(sectionName, '');

const UNITS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/** A duration of the Gateway API (GEP-2257), in milliseconds. */
export const duration = convert(
  text('a duration such as "500ms", "10s" or "1m30s"', (value) =>
    /^(\d{1,5}(h|ms|m|s)){1,4}$/.test(value),
  ),
  (value) =>
    Array.from(value.matchAll(/(\d+)(h|ms|m|s)/g)).reduce(
      (sum, [, count = '0', unit = 'ms']) => sum + Number(count) * (UNITS[unit] ?? 1),
      0,
    ),
);

export const headerName = text(
  'a header name of letters, digits and "-"',
  (value) => value.length <= 256 && /^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$/.test(value),
);

export const headerValue = text(
  'a header value of printable characters',
  (value) => value !== '' && value.length <= 4096 && /^[!-~]+([\t ]+[!-~]+)*$/.test(value),
);

const matchKinds = withDefault(oneOf('Exact', 'RegularExpression'), 'Exact');
const matchValue = required(
  text('a value of 1 to 4096 characters', (value) => value !== '' && value.length <= 4096),
);

/** Matches of headers or parameters by name; a pattern is judged by the model. */
export function valueMatches(name: Schema<string>): Schema<ValueMatch[]> {
  const one = convert(
    record({ type: matchKinds, name: required(name), value: matchValue }),
    ({ type, ...rest }): ValueMatch => ({ ...rest, kind: type === 'Exact' ? 'exact' : 'pattern' }),
  );
  return list(one, { max: 16 });
}
