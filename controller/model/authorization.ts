/**
 * AuthorizationPolicy as a policy on the fields of a connection.
 *
 * A part that needs HTTP never makes a policy weaker: an ALLOW rule that has one is left out (it
 * would admit too much), a DENY or AUDIT rule loses that part and so becomes wider. A DENY rule of
 * HTTP parts alone would deny everything: it is marked `refused` for whoever can still refuse the
 * resource, and denies everything where nobody could. Every such cut is a warning.
 */
import type { Clause, Match, Policy, Rule } from '#common/mesh/policy.ts';
import type { ModelOptions, ModelWarning } from './diff.ts';
import { DRY_RUN, isOn } from './names.ts';
import type { AuthorizationPolicyObject, AuthorizationRule } from './objects.ts';
import { keyOf } from './objects.ts';
import { conditionMatch, fieldsMatch, type Part } from './policy-fields.ts';
import { hasLabels } from './store.ts';

/** A finding about one rule; `refused` ones have no faithful meaning without HTTP. */
export interface RuleFinding {
  /** `spec.rules[0].to[1].operation`. */
  readonly field: string;
  readonly message: string;
  readonly refused: boolean;
}

export interface CompiledPolicy {
  readonly policy: Policy;
  readonly findings: readonly RuleFinding[];
}

export function buildAuthorization(
  object: AuthorizationPolicyObject,
  options: ModelOptions,
): CompiledPolicy {
  const { meta } = object;
  const findings: RuleFinding[] = [];
  const inRoot = meta.namespace === options.rootNamespace;
  const rules = object.rules.flatMap((rule, i) => {
    const compiled = compileRule(rule, `spec.rules[${i}]`, { object, options, findings });
    return compiled === undefined ? [] : [compiled];
  });
  return {
    policy: {
      key: `authorization/${keyOf(meta)}`,
      layer: 'authorization',
      name: meta.name,
      namespace: meta.namespace,
      scope: hasLabels(object.selector) ? 'selector' : inRoot ? 'mesh' : 'namespace',
      action: object.action === 'ALLOW' ? 'allow' : object.action === 'DENY' ? 'deny' : 'audit',
      dryRun: isOn(meta, DRY_RUN),
      rules,
    },
    findings,
  };
}

export function warningsOf(
  object: AuthorizationPolicyObject,
  compiled: CompiledPolicy,
): ModelWarning[] {
  const name = `AuthorizationPolicy ${keyOf(object.meta)}`;
  return compiled.findings.map(({ field, message }) => ({ object: name, field, message }));
}

interface Compilation {
  readonly object: AuthorizationPolicyObject;
  readonly options: ModelOptions;
  readonly findings: RuleFinding[];
}

function compileRule(rule: AuthorizationRule, path: string, into: Compilation): Rule | undefined {
  const { object, options, findings } = into;
  const parts = [
    ...groupOf(rule.from, (fields, i) =>
      fieldsMatch(fields, `${path}.from[${i}].source`, object.meta.namespace, options),
    ),
    ...groupOf(rule.to, (fields, i) =>
      fieldsMatch(fields, `${path}.to[${i}].operation`, object.meta.namespace, options),
    ),
    ...(rule.when ?? []).map((condition, i) => [
      conditionMatch(condition, `${path}.when[${i}]`, object.meta.namespace, options),
    ]),
  ];
  const http = parts.flat().flatMap((part) => part.http);
  if (http.length > 0 && object.action === 'ALLOW') {
    findings.push({
      field: http[0] ?? path,
      message: `needs HTTP, which is not looked at here; the whole ${path} is left out, so it allows nothing`,
      refused: false,
    });
    return undefined;
  }
  const clauses = parts.flatMap((group) => clauseOf(group, object.action === 'ALLOW'));
  if (http.length > 0) {
    const isAll = clauses.length === 0;
    findings.push({
      field: http[0] ?? path,
      message: isAll
        ? `needs HTTP, which is not looked at here; without it ${path} would match every connection`
        : `needs HTTP, which is not looked at here; ${path} is judged without it, so it matches more`,
      refused: isAll,
    });
  }
  return { name: path.slice('spec.'.length), clauses };
}

function groupOf<T>(
  items: readonly T[] | undefined,
  match: (item: T, i: number) => Part,
): Part[][] {
  return items === undefined ? [] : [items.map(match)];
}

/**
 * The clause of OR-ed parts. When a part of a denial lost all it said, the OR is always true and so
 * is no clause at all: a match with no field would match nothing, and the denial would vanish. In an
 * ALLOW rule a blank part was written blank, and must go on to match nothing.
 */
function clauseOf(parts: readonly Part[], isAllow: boolean): Clause[] {
  const matches = parts.map((part) => part.match);
  return !isAllow && matches.some(isBlank) ? [] : [{ matches }];
}

function isBlank(match: Match): boolean {
  return Object.keys(match).length === 0;
}
