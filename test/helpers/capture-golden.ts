/**
 * The golden files of capture: every rule of a plan in the form of `iptables-save`, which is also
 * what the kernel must print once the plan is loaded.
 */
import type { CaptureOptions } from '#common/mesh/workload.ts';
import type { Family } from '#common/address.ts';
import type { Saved } from '../../node-agent/capture/parse.ts';
import type { Plan } from '../../node-agent/capture/rules.ts';

export const PLAIN: CaptureOptions = {
  excludeInboundPorts: [],
  excludeOutboundPorts: [],
  excludeOutboundCidrs: [],
  dnsCapture: false,
  failClosed: true,
  cutExisting: false,
};

export const EVERYTHING: CaptureOptions = {
  excludeInboundPorts: [9100, 9200],
  excludeOutboundPorts: [25, 53],
  excludeOutboundCidrs: ['10.1.2.3/16', '192.168.0.7', 'fd12:3456::1/48', '2001:4860:4860::8888'],
  dnsCapture: true,
  failClosed: true,
  cutExisting: false,
};

export const GOLDEN: readonly {
  readonly file: string;
  readonly family: Family;
  readonly options: CaptureOptions;
}[] = [
  { file: 'plain-v4.rules', family: 4, options: PLAIN },
  { file: 'plain-v6.rules', family: 6, options: PLAIN },
  { file: 'everything-v4.rules', family: 4, options: EVERYTHING },
  { file: 'everything-v6.rules', family: 6, options: EVERYTHING },
  { file: 'fail-open-v4.rules', family: 4, options: { ...PLAIN, failClosed: false } },
];

/** Spells a plan as the golden files do: jumps, then rules, a table at a time. */
export function spellPlan(plan: Plan): string {
  return plan
    .flatMap(({ table, chains }) => [
      `*${table}`,
      ...chains.map(({ name, from }) => `-A ${from} -j ${name}`),
      ...chains.flatMap(({ name, rules }) => rules.map(({ spec }) => `-A ${name} ${spec}`)),
      '',
    ])
    .join('\n');
}

/** Spells what the kernel holds in the same form; chains come in the order of the plan. */
export function spellSaved(plan: Plan, saved: Saved): string {
  return plan
    .flatMap(({ table, chains }) => {
      const rules = (chain: string): readonly string[] =>
        (saved.get(table)?.get(chain) ?? []).map(({ spec }) => `-A ${chain} ${spec}`);
      return [
        `*${table}`,
        ...chains.flatMap(({ from }) => rules(from)),
        ...chains.flatMap(({ name }) => rules(name)),
        '',
      ];
    })
    .join('\n');
}
