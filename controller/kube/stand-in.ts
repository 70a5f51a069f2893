/**
 * What holds in place of a policy that cannot be read: the strictest thing that it could have meant.
 *
 * It follows from the object alone and not from what was known before, so both replicas and one that
 * was just started agree. A bad ALLOW policy allows nothing (others that select the same may), any
 * other bad AuthorizationPolicy denies all, a bad PeerAuthentication is STRICT, a bad NetworkPolicy
 * isolates. A selector that cannot be read selects the whole namespace. An AUDIT policy and one in dry
 * run decide nothing, so nothing stands for them; nor for kinds that only add to the mesh. Pure.
 */
import type { Labels, MeshKind, MeshObject, Meta } from '../model/objects.ts';
import { isMapping } from './schema.ts';
import { labelSelector, workloadSelector } from './schemas/shared.ts';

export function standIn(kind: MeshKind, meta: Meta, spec: unknown): MeshObject | undefined {
  const raw = isMapping(spec) ? spec : {};
  const { action } = raw;
  if (kind === 'AuthorizationPolicy') {
    const selector = selectorOf(raw);
    if (action === 'AUDIT') return undefined;
    // Absent it means ALLOW; anything but the two words may have meant to deny.
    return action === undefined || action === 'ALLOW'
      ? { kind, meta, selector, action: 'ALLOW', rules: [] }
      : { kind, meta, selector, action: 'DENY', rules: [EVERYTHING] };
  }
  if (kind === 'PeerAuthentication') {
    return { kind, meta, selector: selectorOf(raw), mode: 'STRICT', portModes: {} };
  }
  if (kind === 'NetworkPolicy') {
    const podSelector = labelSelector.read(raw['podSelector'], [], ignore) ?? EVERY_POD;
    return { kind, meta, podSelector, ingress: [] };
  }
  return undefined;
}

const EVERYTHING = { from: undefined, to: undefined, when: undefined };
const EVERY_POD = { matchLabels: {}, matchExpressions: [] };

function selectorOf(spec: Readonly<Record<string, unknown>>): Labels | undefined {
  return workloadSelector.read(spec['selector'], [], ignore);
}

function ignore(): void {}
