/** A balance state whose clock and dice a test holds. */
import { BalanceState } from '#common/decide/balance-state.ts';
import { randomFrom } from './mesh-random.ts';

export interface BalanceRig {
  readonly state: BalanceState;
  /** Lets time go by. */
  readonly pass: (ms: number) => void;
}

export function balanceRig(seed = 1): BalanceRig {
  let now = 1000;
  return {
    state: new BalanceState({ now: () => now, random: randomFrom(seed) }),
    pass: (ms) => {
      now += ms;
    },
  };
}
