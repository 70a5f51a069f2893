/**
 * AuthorizationPolicy as a policy on requests: for those that name a Gateway or a Service and are
 * judged by its waypoint, where every field can be looked at.
 *
 * What even a waypoint cannot judge (a name of TLS that it does not see) makes an ALLOW rule void and
 * a policy of any other kind refused: a denial is never narrower nor wider than written.
 */
import type {
  ClaimValues,
  HttpClause,
  HttpMatch,
  HttpPolicy,
  HttpRule,
  NamedValues,
} from '#common/mesh/http-policy.ts';
import { templateFault } from '#common/decide/path-template.ts';
import type { RuleFinding } from './authorization.ts';
import type { ModelOptions } from './diff.ts';
import { DRY_RUN, isOn } from './names.ts';
import type { AuthorizationRule, Condition, FieldValues, Meta } from './objects.ts';
import { keyOf } from './objects.ts';
import { conditionMatch, CONNECTION_KEYS, fieldsMatch } from './policy-fields.ts';

/** An AuthorizationPolicy with targets. */
export interface TargetedAuthorization {
  readonly meta: Meta;
  readonly action: 'ALLOW' | 'DENY' | 'AUDIT' | 'CUSTOM';
  /** Name of the authoriser that CUSTOM asks; '' otherwise. */
  readonly provider: string;
  /** `Gateway/<namespace>/<name>`, `Service/<namespace>/<name>`. */
  readonly targets: readonly string[];
  readonly rules: readonly AuthorizationRule[];
}

export interface CompiledHttpAuthorization {
  readonly policy: HttpPolicy;
  readonly findings: readonly RuleFinding[];
}

type Changeable = { -readonly [K in keyof HttpMatch]: HttpMatch[K] };

/** Fields of a source or an operation that only a request has, as they are called in a match. */
const REQUEST_FIELDS = {
  hosts: 'hosts',
  notHosts: 'notHosts',
  methods: 'methods',
  notMethods: 'notMethods',
  paths: 'paths',
  notPaths: 'notPaths',
  remoteIpBlocks: 'remoteIps',
  notRemoteIpBlocks: 'notRemoteIps',
  requestPrincipals: 'requestPrincipals',
  notRequestPrincipals: 'notRequestPrincipals',
} as const;

export function buildHttpAuthorization(
  object: TargetedAuthorization,
  options: ModelOptions,
): CompiledHttpAuthorization {
  const { meta } = object;
  const findings: RuleFinding[] = [];
  const rules = object.rules.flatMap((rule, i): HttpRule[] => {
    const path = `spec.rules[${i}]`;
    const before = findings.length;
    const clauses = clausesOf(rule, path, { namespace: meta.namespace, options, findings });
    if (findings.length > before && object.action === 'ALLOW') return [];
    return [{ name: path.slice('spec.'.length), clauses }];
  });
  const isAllow = object.action === 'ALLOW';
  return {
    policy: {
      key: `http-authorization/${keyOf(meta)}`,
      name: meta.name,
      namespace: meta.namespace,
      targets: object.targets,
      action: ACTIONS[object.action],
      provider: object.provider,
      dryRun: isOn(meta, DRY_RUN),
      rules,
    },
    findings: findings.map((one) => ({ ...one, refused: !isAllow })),
  };
}

const ACTIONS = { ALLOW: 'allow', DENY: 'deny', AUDIT: 'audit', CUSTOM: 'custom' } as const;

interface Context {
  readonly namespace: string;
  readonly options: ModelOptions;
  readonly findings: RuleFinding[];
}

function clausesOf(rule: AuthorizationRule, path: string, context: Context): HttpClause[] {
  const clauses: HttpClause[] = [];
  const add = (items: readonly FieldValues[] | undefined, field: string): void => {
    if (items === undefined) return;
    const matches = items.map((one, i) =>
      requestMatch(one, `${path}.${field.replace('#', `${i}`)}`, context),
    );
    clauses.push({ matches });
  };
  add(rule.from, 'from[#].source');
  add(rule.to, 'to[#].operation');
  for (const [i, condition] of (rule.when ?? []).entries()) {
    const match = requestCondition(condition, `${path}.when[${i}]`, context);
    clauses.push({ matches: [match] });
  }
  return clauses;
}

function requestMatch(fields: FieldValues, path: string, context: Context): HttpMatch {
  const { match } = fieldsMatch(fields, path, context.namespace, context.options);
  const all: Changeable = { ...match };
  for (const [name, values] of Object.entries(fields)) {
    const field = fieldNamed(name);
    if (field === undefined || values.length === 0) continue;
    all[field] = values;
    const fault = name.endsWith('aths') ? values.map(templateFault).find((one) => one !== '') : '';
    if (fault !== undefined && fault !== '') report(context, `${path}.${name}`, fault);
  }
  return all;
}

function fieldNamed(
  name: string,
): (typeof REQUEST_FIELDS)[keyof typeof REQUEST_FIELDS] | undefined {
  const known: Readonly<Record<string, (typeof REQUEST_FIELDS)[keyof typeof REQUEST_FIELDS]>> =
    REQUEST_FIELDS;
  return Object.hasOwn(known, name) ? known[name] : undefined;
}

function requestCondition(condition: Condition, path: string, context: Context): HttpMatch {
  const { key, values, notValues } = condition;
  if (Object.hasOwn(CONNECTION_KEYS, key)) {
    return conditionMatch(condition, path, context.namespace, context.options).match;
  }
  if (key === 'remote.ip') return pair('remoteIps', 'notRemoteIps', values, notValues);
  if (key === 'request.auth.principal') {
    return pair('requestPrincipals', 'notRequestPrincipals', values, notValues);
  }
  const header = /^request\.headers\[([^\]]+)\]$/.exec(key)?.[1];
  if (header !== undefined) {
    const named = (some: readonly string[]): NamedValues[] =>
      some.length === 0 ? [] : [{ name: header.toLowerCase(), values: some }];
    return { headers: named(values), notHeaders: named(notValues) };
  }
  const claim = claimPath(key);
  if (claim !== undefined) {
    const named = (some: readonly string[]): ClaimValues[] =>
      some.length === 0 ? [] : [{ path: claim, values: some }];
    return { claims: named(values), notClaims: named(notValues) };
  }
  report(context, `${path}.key`, `"${key}" is not seen by a waypoint`);
  return {};
}

function claimPath(key: string): string[] | undefined {
  if (key === 'request.auth.audiences') return ['aud'];
  if (key === 'request.auth.presenter') return ['azp'];
  const rest = /^request\.auth\.claims((?:\[[^\]]+\])+)$/.exec(key)?.[1];
  return rest === undefined ? undefined : rest.slice(1, -1).split('][');
}

function pair(
  field: 'remoteIps' | 'requestPrincipals',
  twin: 'notRemoteIps' | 'notRequestPrincipals',
  values: readonly string[],
  notValues: readonly string[],
): HttpMatch {
  return { [field]: values, [twin]: notValues };
}

function report({ findings }: Context, field: string, message: string): void {
  findings.push({ field, message, refused: false });
}
