/**
 * The rules in the node's own namespace, as plain data: what makes the node's health probes pass
 * by the mesh, and nothing else. Pure.
 *
 * A probe is a connection of a process on the node (`--socket-exists`) to a captured pod of this
 * node (the set). It gets a source address that exists nowhere else, which the pod's rules let
 * pass; a packet that comes to the node with that source is forged and goes no further.
 */
import type { Family } from '#common/address.ts';
import type { Saved } from './parse.ts';
import { AGENT_MARK, type ChainPlan, MARK_MASK, type Plan, PROBE_SOURCE } from './rules.ts';

export const PROBE_SETS: Readonly<Record<Family, string>> = {
  4: 'plumbline-probes-v4',
  6: 'plumbline-probes-v6',
};

export function planHost(family: Family): Plan {
  const source = PROBE_SOURCE[family];
  const width = family === 4 ? 32 : 128;
  const notAgent = `-m mark ! --mark 0x${AGENT_MARK.toString(16)}/0x${MARK_MASK.toString(16)}`;
  const toPods = `-m set --match-set ${PROBE_SETS[family]} dst`;
  return [
    {
      table: 'raw',
      chains: [
        chain('PREROUTING', `-s ${source}/${width} -m comment --comment "forged probe" -j DROP`),
      ],
    },
    {
      table: 'nat',
      chains: [
        chain(
          'POSTROUTING',
          `-p tcp -m owner --socket-exists ${toPods} ${notAgent} ` +
            `-m comment --comment "probe of the node" -j SNAT --to-source ${source}`,
        ),
      ],
    },
  ];
}

function chain(from: string, spec: string): ChainPlan {
  return { name: `PLUMB_${from}`, from, rules: [{ spec }] };
}

/**
 * Says whether one table is as planned. Others on a node insist on the first place (Calico does),
 * so here any place will do for the jump.
 */
export function hostTableIsRight(
  chains: readonly ChainPlan[],
  saved: Saved,
  table: string,
): boolean {
  const found = saved.get(table);
  return chains.every(({ name, from, rules }) => {
    const there = found?.get(name);
    const jumps = found?.get(from)?.filter(({ spec }) => spec === `-j ${name}`).length;
    return (
      jumps === 1 &&
      there?.length === rules.length &&
      rules.every(({ spec }, i) => there[i]?.spec === spec)
    );
  });
}

export interface SetMember {
  readonly address: string;
  readonly podUid: string;
}

/** Reads what `ipset save` prints about one set. */
export function parseSet(text: string, set: string): readonly SetMember[] {
  return text.split('\n').flatMap((line) => {
    const [, name, address = '', podUid = ''] =
      /^add (\S+) (\S+)(?: comment "([^"]*)")?/.exec(line) ?? [];
    return name === set ? [{ address, podUid }] : [];
  });
}
