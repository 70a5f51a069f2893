/**
 * When a root rotation may take its next step.
 *
 * Nobody may meet a certificate whose root it does not know. So the new root is known everywhere
 * before the first leaf under it is signed, and the old root is given up only when no leaf under it
 * is in use. A node that has pods and is not connected counts for as long as it may hold a leaf that
 * is valid: one that went away just after the phase began.
 */
import type { Phase } from './state.ts';

/** One connection of an agent, as the controller sees it. */
export interface AgentView {
  readonly node: string;
  /** Generation of the roots in force there; 0 before its first word of it. */
  readonly generation: number;
  /** Of the leaves in use there; undefined before its first word of it. */
  readonly authorities: readonly string[] | undefined;
}

/** Why the next step has to wait. */
export interface Blocker {
  readonly node: string;
  readonly reason: string;
}

export interface Situation {
  readonly phase: Phase;
  readonly generation: number;
  readonly current: string;
  readonly agents: readonly AgentView[];
  /** Those that have pods of the mesh. */
  readonly nodes: readonly string[];
  /** Until when a leaf lives at the latest that was signed when the phase began. */
  readonly leavesUntilMs: number;
  readonly nowMs: number;
}

/** Everything that stands between this phase and the next. */
export function blockersOf(situation: Situation): Blocker[] {
  const { phase, agents, nodes, leavesUntilMs, nowMs } = situation;
  if (phase === 'stable') return [];
  const here = new Set(agents.map(({ node }) => node));
  // The last step takes nothing from a node that is away: it holds no leaf under the old root.
  const mayBeAway = phase === 'retiring' || nowMs > leavesUntilMs;
  const away = mayBeAway ? [] : nodes.filter((node) => !here.has(node));
  const until = new Date(leavesUntilMs).toISOString();
  return [
    ...agents.flatMap((agent) => {
      const reason = reasonOf(agent, situation);
      return reason === undefined ? [] : [{ node: agent.node, reason }];
    }),
    ...away.map((node) => ({
      node,
      reason: `not connected, and may hold certificates until ${until}`,
    })),
  ];
}

function reasonOf(agent: AgentView, { phase, generation, current }: Situation): string | undefined {
  if (agent.generation < generation) return 'has not put the new roots in force';
  if (phase !== 'switched') return undefined;
  if (agent.authorities === undefined) return 'has not said which certificates it uses';
  const old = agent.authorities.filter((authority) => authority !== current).length;
  return old === 0
    ? undefined
    : `still uses ${old} certificate${old === 1 ? '' : 's'} of the old root`;
}

const NEXT: Readonly<Record<Phase, Phase>> = {
  stable: 'distributing',
  distributing: 'switched',
  switched: 'retiring',
  retiring: 'stable',
};

export function nextPhase(phase: Phase): Phase {
  return NEXT[phase];
}
