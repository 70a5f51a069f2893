/** Random numbers that a seed repeats, and random policies from a world small enough to collide. */
import type { Identity } from '#common/identity.ts';
import { identityOf } from '#common/identity.ts';
import type { Connection } from '#common/decide/authorize.ts';
import type { Clause, Match, Policy, PolicyLayer, PortRange } from '#common/mesh/policy.ts';

export type Random = () => number;

/** Mulberry32. */
export function randomFrom(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function oneOf<T>(random: Random, items: readonly [T, ...T[]]): T {
  return items[Math.floor(random() * items.length)] ?? items[0];
}

const NAMESPACES = ['a', 'ab', 'b', 'shop'] as const;
const ACCOUNTS = ['x', 'xy', 'y'] as const;
const TRUST_DOMAINS = ['cluster.local', 'other'] as const;
const ADDRESSES = ['10.0.0.1', '10.0.0.2', '10.1.0.1', '192.0.2.7', 'fd00::1', 'fd00::2'] as const;
const CIDRS = [
  '10.0.0.1',
  '10.0.0.0/8',
  '10.0.0.0/31',
  '0.0.0.0/0',
  '::/0',
  'fd00::/64',
  'fd00::2',
  '10.1.0.0/16',
] as const;
const PORTS = [80, 443, 8080, 8081] as const;
const NAMESPACE_PATTERNS = [...NAMESPACES, 'a*', '*b', '*', '*hop'] as const;
const PRINCIPAL_PATTERNS = [
  'cluster.local/ns/a/sa/x',
  'cluster.local/ns/shop/sa/y',
  'cluster.local/ns/a/*',
  'other/*',
  '*/sa/x',
  '*/sa/xy',
  '*',
] as const;
const ACCOUNT_NAMES = ['a/x', 'ab/x', 'shop/y', 'a/xy', 'b/x'] as const;
const RANGES: readonly [PortRange, ...PortRange[]] = [
  { from: 80, to: 80 },
  { from: 8080, to: 8081 },
  { from: 1, to: 65_535 },
  { from: 443, to: 400 },
];

export function randomConnection(random: Random): Connection {
  const identity: Identity | undefined =
    random() < 0.2
      ? undefined
      : identityOf(
          oneOf(random, TRUST_DOMAINS),
          oneOf(random, NAMESPACES),
          oneOf(random, ACCOUNTS),
        );
  return {
    identity,
    sourceAddress: oneOf(random, ADDRESSES),
    destinationAddress: oneOf(random, ADDRESSES),
    destinationPort: oneOf(random, PORTS),
  };
}

export function randomPolicy(random: Random, name: string): Policy {
  const layer = oneOf<PolicyLayer>(random, [
    'peer-authentication',
    'network-policy',
    'authorization',
  ]);
  const namespace = oneOf(random, ['shop', 'shop', 'a']);
  return {
    key: `${layer}/${namespace}/${name}`,
    layer,
    name,
    namespace,
    scope: oneOf(random, ['mesh', 'namespace', 'selector']),
    action:
      layer === 'peer-authentication' ? 'deny' : oneOf(random, ['allow', 'allow', 'deny', 'audit']),
    dryRun: random() < 0.2,
    rules: some(random, 3, (i) => ({
      name: `rules[${i}]`,
      clauses: some(random, 3, (): Clause => ({ matches: some(random, 3, () => match(random)) })),
    })),
  };
}

function match(random: Random): Match {
  const fields: { -readonly [K in keyof Match]: Match[K] } = {};
  const maybe = (set: () => void): void => {
    if (random() < 0.18) set();
  };
  const values = <T>(from: readonly [T, ...T[]]): T[] => some(random, 2, () => oneOf(random, from));
  maybe(() => (fields.namespaces = values(NAMESPACE_PATTERNS)));
  maybe(() => (fields.notNamespaces = values(NAMESPACE_PATTERNS)));
  maybe(() => (fields.serviceAccounts = values(ACCOUNT_NAMES)));
  maybe(() => (fields.notServiceAccounts = values(ACCOUNT_NAMES)));
  maybe(() => (fields.principals = values(PRINCIPAL_PATTERNS)));
  maybe(() => (fields.notPrincipals = values(PRINCIPAL_PATTERNS)));
  maybe(() => (fields.sourceIps = values(CIDRS)));
  maybe(() => (fields.notSourceIps = values(CIDRS)));
  maybe(() => (fields.destinationIps = values(CIDRS)));
  maybe(() => (fields.notDestinationIps = values(CIDRS)));
  maybe(() => (fields.destinationPorts = values(RANGES)));
  maybe(() => (fields.notDestinationPorts = values(RANGES)));
  return fields;
}

/** From none to `most` items, seldom none. */
function some<T>(random: Random, most: number, item: (i: number) => T): T[] {
  const length = random() < 0.1 ? 0 : 1 + Math.floor(random() * most);
  return Array.from({ length }, (_, i) => item(i));
}
