/**
 * Filters of a rule or of a backend as the waypoint does them, and what is wrong with the others.
 */
import type { HeaderFilter, RouteFilter } from '#common/mesh/route.ts';
import { isFixedHeader } from '#common/mesh/route-limits.ts';
import { resolveBackend } from './route-backends.ts';
import type { ParentKind } from './route-backends.ts';
import type { FilterSpec, HeaderChanges, MatchSpec, RouteObject } from './route-objects.ts';
import type { Fault } from './route-status.ts';
import type { RouteWorld } from './route-world.ts';

/** Where the findings of a rule go. */
export interface Findings {
  /** With any of these the rule is left out. */
  readonly unsupported: Fault[];
  readonly references: Fault[];
}

export interface RuleContext {
  readonly route: RouteObject;
  readonly parent: ParentKind;
  readonly world: RouteWorld;
  readonly findings: Findings;
}

export function compileFilters(
  specs: readonly FilterSpec[],
  path: string,
  matches: readonly MatchSpec[],
  context: RuleContext,
): RouteFilter[] {
  const { findings } = context;
  const types = specs.map(({ type }) => type);
  const wrong = (i: number, message: string): void => {
    findings.unsupported.push({ field: `${path}[${i}]`, reason: 'UnsupportedValue', message });
  };
  return specs.flatMap((spec, i): RouteFilter[] => {
    const field = `${path}[${i}]`;
    switch (spec.type) {
      case 'RequestHeaderModifier':
      case 'ResponseHeaderModifier':
        return [headerFilter(spec, field, findings)];
      case 'RequestRedirect':
      case 'URLRewrite': {
        if (spec.type === 'URLRewrite' && types.includes('RequestRedirect')) {
          wrong(i, 'RequestRedirect and URLRewrite in one rule; expected one of them');
        }
        const isPrefix = spec.path?.kind === 'prefix';
        if (isPrefix && !matches.every((one) => one.path.kind === 'prefix')) {
          wrong(i, 'ReplacePrefixMatch beside a match that is not PathPrefix');
        }
        if (spec.type === 'URLRewrite') {
          return [{ kind: 'rewrite', hostname: spec.hostname, path: spec.path }];
        }
        const { type: _, ...rest } = spec;
        return [{ kind: 'redirect', ...rest }];
      }
      case 'RequestMirror': {
        const { backend, share } = spec;
        const resolved = resolveBackend(backend, `${field}.requestMirror.backendRef`, context);
        if (resolved.fault !== undefined) {
          // A mirror that cannot be reached harms nobody: the requests go on without it.
          findings.references.push(resolved.fault);
          return [];
        }
        const { service, name } = resolved;
        return [{ kind: 'mirror', service, port: backend.port, share, name }];
      }
      case 'CORS': {
        const { type: _, ...rest } = spec;
        return [{ kind: 'cors', ...rest }];
      }
      case 'ExternalAuth':
      case 'ExtensionRef':
        wrong(i, `a filter of type ${spec.type}, which is not done here`);
        break;
    }
    return [];
  });
}

/** Backends may change headers, and no more. */
export function compileBackendFilters(
  specs: readonly FilterSpec[],
  path: string,
  findings: Findings,
): HeaderFilter[] {
  return specs.flatMap((spec, i) => {
    if (spec.type === 'RequestHeaderModifier' || spec.type === 'ResponseHeaderModifier') {
      return [headerFilter(spec, `${path}[${i}]`, findings)];
    }
    findings.unsupported.push({
      field: `${path}[${i}]`,
      reason: 'UnsupportedValue',
      message: `a filter of type ${spec.type} at a backend; expected one that changes headers`,
    });
    return [];
  });
}

function headerFilter(
  spec: { readonly type: string } & HeaderChanges,
  field: string,
  findings: Findings,
): HeaderFilter {
  const lower = (name: string): string => name.toLowerCase();
  const set = spec.set.map(({ name, value }) => ({ name: lower(name), value }));
  const add = spec.add.map(({ name, value }) => ({ name: lower(name), value }));
  const remove = spec.remove.map(lower);
  const names = [...set, ...add].map(({ name }) => name).concat(remove);
  const wrong = (message: string): void => {
    findings.unsupported.push({ field, reason: 'UnsupportedValue', message });
  };
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) wrong(`header "${twice}" twice; expected one change for each`);
  const fixed = names.find(isFixedHeader);
  if (fixed !== undefined) {
    wrong(`header "${fixed}" frames the message or says who calls; no filter may change it`);
  }
  const kind = spec.type === 'RequestHeaderModifier' ? 'request-headers' : 'response-headers';
  return { kind, set, add, remove };
}
