/** R21: a fifth of a core for an agent. */
import { cannotLimit, limitCpu } from './cgroup.ts';
import { ms } from './measure.ts';
import { onBench } from './world.ts';

const CORES = 0.2;
const HEALTH_MS = 1000;
/** In the short form, whose machine may be busy with other tests. */
const HEALTH_QUICK_MS = 4000;

export const scenario = onBench({
  name: 'cpu-limited',
  title: 'R21: 0.2 of a core for an agent: slower, but healthy, and not killed',
  world: () => ({ load: { bulkMibPerSecond: 4 } }),
  run: async (world, { quick }, undo) => {
    const { mesh } = world;
    const reason = cannotLimit('cpu');
    if (reason !== false) return { figures: { 'not run': reason }, marks: {} };
    const before = await world.during(quick ? 1000 : 5000);
    const agent = mesh.agent(1);
    const { pid } = agent;
    limitCpu(undo, pid, CORES);
    await world.take();
    const health: number[] = [];
    const until = performance.now() + (quick ? 3000 : 60_000);
    const node = mesh.net.node(1);
    let unhealthy = 0;
    while (performance.now() < until) {
      const startedAt = performance.now();
      const isHealthy = node.succeeds('curl -sf -m 5 http://127.0.0.1:15021/healthz/ready');
      health.push(performance.now() - startedAt);
      if (!isHealthy) unhealthy += 1;
      await world.mesh.proof(1);
    }
    const limited = await world.take();
    return {
      figures: {
        'p50 and p99 before': `${ms(before.p50Ms)} and ${ms(before.p99Ms)}`,
        'p50 and p99 with 0.2 of a core': `${ms(limited.p50Ms)} and ${ms(limited.p99Ms)}`,
        requests: limited.requests,
        'of them failed': limited.failed,
        'health asked': health.length,
        'slowest answer': ms(Math.max(...health)),
      },
      marks: {
        'health answers in time':
          unhealthy === 0 && Math.max(...health) <= (quick ? HEALTH_QUICK_MS : HEALTH_MS),
        'it is not started anew': agent.pid === pid,
        'nothing fails': limited.failed === 0 && limited.requests > 0,
      },
    };
  },
});
