/**
 * The two kernel back ends behind the name iptables, and which of them a pod uses.
 *
 * Both can hold rules in one namespace at once. The one with chains of ours wins, then the one that
 * holds anything, then nft; what the other holds is reported, never touched.
 */
import type { Family } from '#common/address.ts';
import { MeshError } from '#common/errors.ts';
import type { Command } from './command.ts';
import { isCaptured } from './compare.ts';
import { isEmpty, parseSave, type Saved } from './parse.ts';

export type Flavour = 'nft' | 'legacy';

export const FAMILIES: readonly Family[] = [4, 6];

/** Which programs there are for each flavour that this machine has. */
export type Programs = ReadonlyMap<Flavour, (family: Family, verb: 'save' | 'restore') => string>;

/** Finds out once, when the agent starts, which flavours are installed. */
export async function findPrograms(command: Command): Promise<Programs> {
  const programs = new Map<Flavour, (family: Family, verb: 'save' | 'restore') => string>();
  for (const flavour of ['nft', 'legacy'] as const) {
    const name = (family: Family, verb: string): string =>
      `${family === 4 ? 'iptables' : 'ip6tables'}-${flavour}-${verb}`;
    if (await runs(command, name(4, 'restore'))) programs.set(flavour, name);
  }
  if (programs.size > 0) return programs;
  const version = await command({ program: 'iptables', args: ['-V'] });
  const plain = (family: Family, verb: string): string =>
    `${family === 4 ? 'iptables' : 'ip6tables'}-${verb}`;
  return new Map([[version.includes('nf_tables') ? 'nft' : 'legacy', plain]]);
}

async function runs(command: Command, program: string): Promise<boolean> {
  try {
    await command({ program, args: ['-V'] });
    return true;
  } catch {
    return false; // Not installed, which is what was asked.
  }
}

export type Rules = Readonly<Record<Family, Saved>>;

export interface Backend {
  readonly flavour: Flavour;
  /** The rules of every family that the namespace has. */
  read(): Promise<Rules>;
  restore(family: Family, input: string): Promise<void>;
}

/** Binds the programs of one flavour to a namespace. */
export function openBackend(
  command: Command,
  programs: Programs,
  where: {
    readonly flavour: Flavour;
    readonly netns?: number;
    readonly families: readonly Family[];
  },
): Backend {
  const { flavour, families } = where;
  const program = programs.get(flavour);
  if (program === undefined) {
    throw new MeshError('CAPTURE_FAILED', `Cannot use "${flavour}" iptables: not installed`);
  }
  const netns = where.netns === undefined ? {} : { netns: where.netns };
  const save = async (family: Family): Promise<Saved> =>
    families.includes(family)
      ? parseSave(await command({ program: program(family, 'save'), args: ['-c'], ...netns }))
      : new Map();
  return {
    flavour,
    read: async () => {
      const [four, six] = await Promise.all([save(4), save(6)]);
      return { 4: four, 6: six };
    },
    restore: async (family, input) => {
      const args = ['--noflush', '-w', LOCK_WAIT_SECONDS];
      await command({ program: program(family, 'restore'), args, input, ...netns });
    },
  };
}

const LOCK_WAIT_SECONDS = '5';

/** What one flavour holds in a namespace. */
export interface Holding {
  readonly backend: Backend;
  readonly rules: Rules;
}

/** Picks the flavour to use; `other` is what stands beside it, if anything does. */
export function chooseBackend(holdings: readonly Holding[]): {
  readonly used: Holding;
  readonly other: Flavour | undefined;
} {
  const filled = holdings.filter(({ rules }) => FAMILIES.some((f) => !isEmpty(rules[f])));
  const used =
    filled.find(({ rules }) => FAMILIES.some((f) => isCaptured(rules[f]))) ??
    (filled.length === 1 ? filled[0] : holdings.find(({ backend }) => backend.flavour === 'nft')) ??
    holdings[0];
  if (used === undefined) {
    throw new MeshError('CAPTURE_FAILED', 'Cannot capture any pod: iptables is not installed');
  }
  return { used, other: filled.find((holding) => holding !== used)?.backend.flavour };
}
