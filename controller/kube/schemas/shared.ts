/** Schemas that several kinds use: names, labels, addresses, ports, selectors. */
import { canonicalAddress, parseAddress, parseCidr } from '#common/address.ts';
import type { LabelSelector, Meta } from '../../model/objects.ts';
import {
  dictionary,
  integer,
  list,
  oneOf,
  optional,
  record,
  required,
  text,
  convert,
  withDefault,
} from '../schema.ts';

const LABEL_NAME = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const DNS_LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const DNS_NAME =
  /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;

export const objectName = text('a name of lower-case letters, digits, "-" and "."', (name) =>
  DNS_NAME.test(name),
);

export const dnsLabel = text('a name of lower-case letters, digits and "-"', (name) =>
  DNS_LABEL.test(name),
);

export const hostname = text('a host name, "*." may stand before it', (name) =>
  DNS_NAME.test(name.startsWith('*.') ? name.slice(2) : name),
);

export const qualifiedName = text('a label key such as "app" or "example.com/app"', (key) => {
  const [first = '', second, ...rest] = key.split('/');
  if (rest.length > 0) return false;
  return second === undefined
    ? LABEL_NAME.test(first)
    : DNS_NAME.test(first) && LABEL_NAME.test(second);
});

export const labelValue = text(
  'a label value: at most 63 letters, digits, "-", "_", "."; numbers and true need quotes',
  (value) => value === '' || LABEL_NAME.test(value),
);

export const labels = dictionary(qualifiedName, labelValue);

export const annotations = dictionary(
  qualifiedName,
  text('a string; numbers and true need quotes'),
);

export const port = integer(1, 65_535);

export const portName = text(
  'a port name: at most 15 lower-case letters, digits and "-"',
  (name) => /^[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?$/.test(name) && /[a-z]/.test(name),
);

export const address = convert(
  text('an IPv4 or IPv6 address', (value) => parseAddress(value) !== undefined),
  canonicalAddress,
);

export const cidr = text(
  'an address or a CIDR such as "10.0.0.0/8"',
  (value) => parseCidr(value) !== undefined,
);

const timestamp = convert(
  text('a time such as "2026-01-31T12:00:00Z"', (value) => !Number.isNaN(Date.parse(value))),
  (value) => Date.parse(value),
);

/** What an API server adds to metadata; it may stay when an object was copied from one. */
const SERVER_FIELDS = ['uid', 'resourceVersion', 'generation', 'managedFields', 'selfLink'];

const metaFields = {
  name: required(objectName),
  labels: withDefault(labels, {}),
  annotations: withDefault(annotations, {}),
  creationTimestamp: withDefault(timestamp, 0),
};

export const clusterMeta = convert(
  record(metaFields, SERVER_FIELDS),
  ({ creationTimestamp, ...rest }): Meta => ({
    ...rest,
    namespace: '',
    createdMs: creationTimestamp,
  }),
);

export const namespacedMeta = convert(
  record({ ...metaFields, namespace: withDefault(dnsLabel, 'default') }, SERVER_FIELDS),
  ({ creationTimestamp, ...rest }): Meta => ({ ...rest, createdMs: creationTimestamp }),
);

/** Metadata of a pod template. */
export const templateMeta = record({
  labels: withDefault(labels, {}),
  annotations: withDefault(annotations, {}),
});

const requirement = convert(
  record({
    key: required(qualifiedName),
    operator: required(oneOf('In', 'NotIn', 'Exists', 'DoesNotExist')),
    values: withDefault(list(labelValue), []),
  }),
  (read, path, report) => {
    const wantsValues = read.operator === 'In' || read.operator === 'NotIn';
    if (wantsValues === read.values.length > 0) return read;
    report(
      [...path, 'values'],
      `${read.values.length} values; expected ${wantsValues ? 'at least one' : 'none'} with ${read.operator}`,
    );
    return undefined;
  },
);

export const labelSelector = convert(
  record({
    matchLabels: withDefault(labels, {}),
    matchExpressions: withDefault(list(requirement), []),
  }),
  (selector): LabelSelector => selector,
);

/** `selector.matchLabels` of Istio's resources, which know no expressions. */
export const workloadSelector = convert(
  record({ matchLabels: required(labels) }),
  ({ matchLabels }) => matchLabels,
);

export const optionalSelector = optional(workloadSelector);
