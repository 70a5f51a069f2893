/**
 * Access policy as slowly and plainly as it can be written, to hold `authorize` against.
 *
 * It shares no code with common/decide: addresses are numbers here, patterns are regular expressions.
 */
import type { Connection } from '#common/decide/authorize.ts';
import type { Match, Policy, PolicyLayer } from '#common/mesh/policy.ts';
import type { Workload } from '#common/mesh/workload.ts';

export interface ReferenceVerdict {
  readonly allow: boolean;
  /** The rule that decided: `<policy key> <rule name>`; '' when none did. */
  readonly by: string;
  /** `<policy key> <rule name> <would deny>`, sorted; the policy is left out where no rule matched. */
  readonly audits: readonly string[];
}

export function authorizeReference(
  all: readonly Policy[],
  subject: Pick<Workload, 'namespace' | 'policies'>,
  connection: Connection,
): ReferenceVerdict {
  const policies = all
    .filter(
      ({ scope, namespace, key }) =>
        scope === 'mesh' ||
        (scope === 'namespace' && namespace === subject.namespace) ||
        (scope === 'selector' && subject.policies.includes(key)),
    )
    .toSorted((a, b) => (a.key < b.key ? -1 : 1));
  const layers: PolicyLayer[] = ['peer-authentication', 'network-policy', 'authorization'];
  const hits = (layer: PolicyLayer, action: string, dryRun: boolean): string[] =>
    policies
      .filter((p) => p.layer === layer && p.action === action && p.dryRun === dryRun)
      .flatMap((p) => {
        const rule = p.rules.find(({ clauses }) =>
          clauses.every(
            ({ matches }) => matches.length === 0 || matches.some((m) => isMatch(m, connection)),
          ),
        );
        return rule === undefined ? [] : [`${p.key} ${rule.name}`];
      });
  const exists = (layer: PolicyLayer, dryRun: boolean): boolean =>
    policies.some((p) => p.layer === layer && p.action === 'allow' && p.dryRun === dryRun);

  const audits = layers.flatMap((layer) => {
    const dryAllows = hits(layer, 'allow', true);
    const newlyDenied =
      exists(layer, true) && dryAllows.length === 0 && hits(layer, 'allow', false).length === 0;
    return [
      ...[...hits(layer, 'audit', false), ...hits(layer, 'audit', true)].map((h) => `${h} false`),
      ...hits(layer, 'deny', true).map((hit) => `${hit} true`),
      ...dryAllows.map((hit) => `${hit} false`),
      ...(newlyDenied ? ['(none) true'] : []),
    ];
  });
  const done = (allow: boolean, by = ''): ReferenceVerdict => ({
    allow,
    by,
    audits: audits.toSorted(),
  });

  if (subject.policies.some((key) => !all.some((p) => p.key === key))) return done(false);
  let by = '';
  for (const layer of layers) {
    const [denied] = hits(layer, 'deny', false);
    if (denied !== undefined) return done(false, denied);
    if (!exists(layer, false)) continue;
    const [allowed] = hits(layer, 'allow', false);
    if (allowed === undefined) return done(false);
    by = allowed;
  }
  return done(true, by);
}

function isMatch(match: Match, connection: Connection): boolean {
  const [, , trustDomain, , namespace, , account] = connection.identity?.split('/') ?? [];
  const known = connection.identity !== undefined;
  const principal = `${trustDomain}/ns/${namespace}/sa/${account}`;
  const text = (pattern: string, value = ''): boolean => known && wildcard(pattern).test(value);
  const { sourceAddress, destinationAddress, destinationPort } = connection;
  const outcomes = [
    ...field(match.namespaces, match.notNamespaces, (v) => text(v, namespace)),
    ...field(
      match.serviceAccounts,
      match.notServiceAccounts,
      (v) => v === `${namespace}/${account}`,
    ),
    ...field(match.principals, match.notPrincipals, (v) => text(v, principal)),
    ...field(match.sourceIps, match.notSourceIps, (v) => inside(v, sourceAddress)),
    ...field(match.destinationIps, match.notDestinationIps, (v) => inside(v, destinationAddress)),
    ...field(
      match.destinationPorts,
      match.notDestinationPorts,
      ({ from, to }) => destinationPort >= from && destinationPort <= to,
    ),
  ];
  return outcomes.length > 0 && outcomes.every(Boolean);
}

function field<T>(
  wanted: readonly T[] = [],
  unwanted: readonly T[] = [],
  is: (value: T) => boolean,
): boolean[] {
  return [
    ...(wanted.length > 0 ? [wanted.some(is)] : []),
    ...(unwanted.length > 0 ? [!unwanted.some(is)] : []),
  ];
}

function wildcard(pattern: string): RegExp {
  const literal = (part: string): string => part.replace(/[^a-z0-9]/g, '\\$&');
  if (pattern === '*') return /^.+$/;
  if (pattern.startsWith('*')) return new RegExp(`^.*${literal(pattern.slice(1))}$`);
  if (pattern.endsWith('*')) return new RegExp(`^${literal(pattern.slice(0, -1))}.*$`);
  return new RegExp(`^${literal(pattern)}$`);
}

function inside(cidr: string, address: string): boolean {
  const [network = '', bits] = cidr.split('/');
  const width = network.includes(':') ? 128 : 32;
  if (width !== (address.includes(':') ? 128 : 32)) return false;
  const shift = BigInt(width - Number(bits ?? width));
  return numberOf(network) >> shift === numberOf(address) >> shift;
}

/** Reads IPv4, and such IPv6 as the tests use: groups, and one `::`. */
function numberOf(address: string): bigint {
  if (!address.includes(':')) {
    return address.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n);
  }
  const [head = '', tail = ''] = address.split('::');
  const groups = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const [front, back] = [groups(head), groups(tail)];
  const zeros = Array.from({ length: 8 - front.length - back.length }, () => '0');
  return [...front, ...zeros, ...back].reduce((sum, g) => sum * 65_536n + BigInt(`0x${g}`), 0n);
}
