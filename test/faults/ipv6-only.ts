/** R28: faults R1 to R5 with pods that have IPv6 alone. */
import type { Options, Result, Scenario } from './scenario.ts';
import { scenario as killed } from './agent-killed.ts';
import { scenario as replaced } from './agent-replaced.ts';
import { scenario as damaged } from './capture-damaged.ts';
import { scenario as enrolment } from './enrolment.ts';
import { scenario as frozen } from './peer-frozen.ts';

export const scenario: Scenario = {
  name: 'ipv6-only',
  title: 'R28: R1 to R5 again, with pods that have IPv6 alone',
  run: async (options: Options): Promise<Result> => {
    // What waits half a minute for silence waits no differently over IPv6.
    const all = options.quick
      ? [replaced, damaged]
      : [killed, replaced, frozen, damaged, enrolment];
    const figures: Record<string, number | string> = {};
    const reasons: string[] = [];
    for (const one of all) {
      const result = await one.run({ ...options, family: '6' });
      for (const [what, figure] of Object.entries(result.figures))
        figures[`${one.name}: ${what}`] = figure;
      if (!result.passed) reasons.push(`${one.name}: ${result.why ?? ''}`);
    }
    return reasons.length === 0
      ? { figures, passed: true }
      : { figures, passed: false, why: reasons.join('; ') };
  },
};
