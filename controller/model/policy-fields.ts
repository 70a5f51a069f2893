/**
 * The fields of an AuthorizationPolicy's sources, operations and conditions, one by one: which field
 * of a match each becomes, and which need HTTP.
 *
 * `cluster.local/…` in a principal means the trust domain of this mesh, as in Istio, so that one
 * policy serves meshes with different ones.
 */
import type { Match, PortRange } from '#common/mesh/policy.ts';
import type { ModelOptions } from './diff.ts';
import type { Condition, FieldValues } from './objects.ts';

type MatchField = keyof Match;

/** One source, operation or condition: what is left of it here, and which fields needed HTTP. */
export interface Part {
  readonly match: Match;
  readonly http: readonly string[];
}

/** What a source or an operation may say on a connection alone, and the twin that negates it. */
export const CONNECTION_FIELDS: Readonly<Record<string, MatchField>> = {
  principals: 'principals',
  notPrincipals: 'notPrincipals',
  namespaces: 'namespaces',
  notNamespaces: 'notNamespaces',
  serviceAccounts: 'serviceAccounts',
  notServiceAccounts: 'notServiceAccounts',
  ipBlocks: 'sourceIps',
  notIpBlocks: 'notSourceIps',
  ports: 'destinationPorts',
  notPorts: 'notDestinationPorts',
};

/** Keys of `when`: the field for `values`, the field for `notValues`. */
export const CONNECTION_KEYS: Readonly<Record<string, readonly [MatchField, MatchField]>> = {
  'source.ip': ['sourceIps', 'notSourceIps'],
  'source.namespace': ['namespaces', 'notNamespaces'],
  'source.principal': ['principals', 'notPrincipals'],
  'source.serviceAccount': ['serviceAccounts', 'notServiceAccounts'],
  'destination.ip': ['destinationIps', 'notDestinationIps'],
  'destination.port': ['destinationPorts', 'notDestinationPorts'],
};

export function fieldsMatch(
  fields: FieldValues,
  path: string,
  namespace: string,
  options: ModelOptions,
): Part {
  const match: Partial<Record<MatchField, readonly string[] | readonly PortRange[]>> = {};
  const http: string[] = [];
  for (const [name, values] of Object.entries(fields)) {
    const field = CONNECTION_FIELDS[name];
    if (field === undefined) http.push(`${path}.${name}`);
    else if (values.length > 0) match[field] = valuesOf(field, values, namespace, options);
  }
  return { match: toMatch(match), http };
}

export function conditionMatch(
  condition: Condition,
  path: string,
  namespace: string,
  options: ModelOptions,
): Part {
  const fields = CONNECTION_KEYS[condition.key];
  if (fields === undefined) return { match: {}, http: [`${path}.key`] };
  const match: Partial<Record<MatchField, readonly string[] | readonly PortRange[]>> = {};
  for (const [field, values] of [
    [fields[0], condition.values],
    [fields[1], condition.notValues],
  ] as const) {
    if (values.length > 0) match[field] = valuesOf(field, values, namespace, options);
  }
  return { match: toMatch(match), http: [] };
}

/** The values of a field as the match has them: ports as ranges, names made whole. */
export function valuesOf(
  field: MatchField,
  values: readonly string[],
  namespace: string,
  options: ModelOptions,
): readonly string[] | readonly PortRange[] {
  if (field === 'destinationPorts' || field === 'notDestinationPorts') {
    return values.map((value) => ({ from: Number(value), to: Number(value) }));
  }
  if (field === 'serviceAccounts' || field === 'notServiceAccounts') {
    return values.map((value) => (value.includes('/') ? value : `${namespace}/${value}`));
  }
  if (field === 'principals' || field === 'notPrincipals') {
    return values.map((value) => ownTrustDomain(value, options.trustDomain));
  }
  return values;
}

function ownTrustDomain(principal: string, trustDomain: string): string {
  const alias = 'cluster.local/';
  return principal.startsWith(alias)
    ? `${trustDomain}/${principal.slice(alias.length)}`
    : principal;
}

function toMatch(
  fields: Partial<Record<MatchField, readonly string[] | readonly PortRange[]>>,
): Match {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- valuesOf gives each field the values of its type
  return fields as Match;
}
