/**
 * AuthorizationPolicy, as in Istio, and the PeerAuthentication beside it.
 *
 * Fields that need HTTP are known here and judged by model/authorization.ts: in an ALLOW rule they
 * make the rule void with a warning, a DENY rule of nothing else is refused. CUSTOM and targetRefs
 * need a waypoint and are refused.
 */
import type {
  AuthorizationPolicyObject,
  AuthorizationRule,
  FieldValues,
  MtlsMode,
  PeerAuthenticationObject,
} from '../../model/objects.ts';
import { buildAuthorization } from '../../model/authorization.ts';
import { DEFAULT_MODEL_OPTIONS } from '../../model/diff.ts';
import { CONNECTION_KEYS } from '../../model/policy-fields.ts';
import {
  dictionary,
  list,
  oneOf,
  optional,
  parsePath,
  record,
  required,
  text,
  convert,
  withDefault,
  unknownName,
  type Field,
  type Path,
  type Report,
  type Schema,
} from '../schema.ts';
import { cidr, namespacedMeta, optionalSelector } from './shared.ts';

const portText = text('a port in quotes, such as "8080"', isPort);
const principal = text(
  'an identity without "spiffe://", such as "cluster.local/ns/shop/sa/cart"; "*" may begin or end it',
  (value) => value !== '' && !value.startsWith('spiffe:') && hasOneStar(value),
);
const namespace = text(
  'a namespace; "*" may begin or end it',
  (value) => value !== '' && hasOneStar(value),
);
const serviceAccount = text('"<namespace>/<service account>" or "<service account>"', (value) =>
  /^([a-z0-9.-]+\/)?[a-z0-9.-]+$/.test(value),
);
const httpValue = text('a string', (value) => value !== '');

const source = fieldsOf({
  principals: principal,
  namespaces: namespace,
  serviceAccounts: serviceAccount,
  ipBlocks: cidr,
  remoteIpBlocks: cidr,
  requestPrincipals: httpValue,
});

const operation = fieldsOf({
  ports: portText,
  hosts: httpValue,
  methods: httpValue,
  paths: httpValue,
});

const HTTP_KEY =
  /^(remote\.ip|connection\.sni|request\.(headers\[[^\]]+\]|auth\.(principal|audiences|presenter|claims(\[[^\]]+\])+)))$/;
const KEY_SCHEMAS: Readonly<Record<string, Schema<string>>> = {
  'source.ip': cidr,
  'source.namespace': namespace,
  'source.principal': principal,
  'source.serviceAccount': serviceAccount,
  'destination.ip': cidr,
  'destination.port': portText,
};

const condition = convert(
  record({
    key: required(text()),
    values: withDefault(list(text()), []),
    notValues: withDefault(list(text()), []),
  }),
  (raw, path, report) => {
    const schema = KEY_SCHEMAS[raw.key] ?? (HTTP_KEY.test(raw.key) ? httpValue : undefined);
    if (schema === undefined) {
      report([...path, 'key'], unknownName('key', raw.key, Object.keys(CONNECTION_KEYS)));
      return undefined;
    }
    if (raw.values.length + raw.notValues.length === 0) {
      report(path, 'expected values or notValues');
      return undefined;
    }
    const values = list(schema).read(raw.values, [...path, 'values'], report);
    const notValues = list(schema).read(raw.notValues, [...path, 'notValues'], report);
    return values && notValues && { key: raw.key, values, notValues };
  },
);

const rule = convert(
  record({
    from: optional(list(record({ source: required(source) }), { min: 1 })),
    to: optional(list(record({ operation: required(operation) }), { min: 1 })),
    when: optional(list(condition)),
  }),
  (raw): AuthorizationRule => ({
    from: raw.from?.map((one) => one.source),
    to: raw.to?.map((one) => one.operation),
    when: raw.when,
  }),
);

const authorizationSpec = record({
  selector: optionalSelector,
  action: withDefault(oneOf('ALLOW', 'DENY', 'AUDIT'), 'ALLOW'),
  rules: withDefault(list(rule), []),
});

export const authorizationPolicySchema = convert(
  record(
    {
      metadata: required(namespacedMeta),
      spec: withDefault(authorizationSpec, { selector: undefined, action: 'ALLOW', rules: [] }),
    },
    ['status'],
  ),
  (raw, path, report): AuthorizationPolicyObject | undefined => {
    const policy: AuthorizationPolicyObject = {
      kind: 'AuthorizationPolicy',
      meta: raw.metadata,
      ...raw.spec,
    };
    const { findings } = buildAuthorization(policy, DEFAULT_MODEL_OPTIONS);
    const refused = findings.filter((finding) => finding.refused);
    for (const { field, message } of refused) {
      report(
        [...path, ...parsePath(field)],
        `${message}; expected a field of the connection beside it`,
      );
    }
    return refused.length === 0 ? policy : undefined;
  },
);

const modes = oneOf('UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT');
const mtls = record({ mode: withDefault(modes, 'UNSET') });
const unset: { mode: MtlsMode } = { mode: 'UNSET' };

const peerSpec = convert(
  record({
    selector: optionalSelector,
    mtls: withDefault(mtls, unset),
    portLevelMtls: withDefault(dictionary(text('a port from 1 to 65535', isPort), mtls), {}),
  }),
  (raw, path, report) => {
    const hasSelector = Object.keys(raw.selector ?? {}).length > 0;
    if (hasSelector || Object.keys(raw.portLevelMtls).length === 0) return raw;
    report([...path, 'portLevelMtls'], 'ports without a selector; expected spec.selector as well');
    return undefined;
  },
);

export const peerAuthenticationSchema = convert(
  record(
    {
      metadata: required(namespacedMeta),
      spec: withDefault(peerSpec, { selector: undefined, mtls: unset, portLevelMtls: {} }),
    },
    ['status'],
  ),
  (raw): PeerAuthenticationObject => ({
    kind: 'PeerAuthentication',
    meta: raw.metadata,
    selector: raw.spec.selector,
    mode: raw.spec.mtls.mode,
    portModes: Object.fromEntries(
      Object.entries(raw.spec.portLevelMtls).map(([port, { mode }]) => [port, mode]),
    ),
  }),
);

/** Each field and its `not…` twin; at least one must be there, since an empty one says nothing. */
function fieldsOf(values: Readonly<Record<string, Schema<string>>>): Schema<FieldValues> {
  const fields: Record<string, Field<string[] | undefined>> = {};
  for (const [name, schema] of Object.entries(values)) {
    const twin = `not${name.charAt(0).toUpperCase()}${name.slice(1)}`;
    fields[name] = optional(list(schema, { min: 1 }));
    fields[twin] = optional(list(schema, { min: 1 }));
  }
  return convert(record(fields), (raw, path: Path, report: Report): FieldValues | undefined => {
    const found: Record<string, readonly string[]> = {};
    for (const [name, given] of Object.entries(raw)) if (given !== undefined) found[name] = given;
    if (Object.keys(found).length > 0) return found;
    report(path, `nothing in it; expected one of ${Object.keys(fields).join(', ')}`);
    return undefined;
  });
}

function isPort(value: string): boolean {
  return /^[1-9]\d{0,4}$/.test(value) && Number(value) <= 65_535;
}

/** Istio knows `*`, `prefix*` and `*suffix`. */
function hasOneStar(value: string): boolean {
  const inner = value.replace(/^\*/, '');
  return !(inner.length < value.length ? inner : value.replace(/\*$/, '')).includes('*');
}
