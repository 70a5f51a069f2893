/** Claims about the agents themselves: replaced, killed, and what they count. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Claim } from './claim.ts';
import { insist, Load, SHOP } from './claim.ts';
import { sumOf } from './metrics-text.ts';

const CALL_EVERY_MS = 10;
const RECOVERY_MS = 20_000;

export const replaced: Claim = {
  title: 'the agent of a node is replaced by a successor, and no call fails',
  show: async ({ guide }) => {
    const { agent, space } = guide.nodeOf(guide.pod(SHOP.web));
    const before = agent.pid;
    const load = new Load(CALL_EVERY_MS, async () => {
      const { status } = await guide.get({
        from: SHOP.customer,
        host: 'web',
        port: 80,
        marker: SHOP.secret,
      });
      return status === 200;
    });
    try {
      await guide.until(() => (load.ok > 20 ? true : undefined), 5000);
      await agent.replace();
      const then = load.ok;
      await guide.until(() => (load.ok > then + 20 ? true : undefined), 5000);
    } finally {
      await load.stop();
    }
    insist(agent.pid !== before && agent.pid !== 0, 'there is no successor');
    insist(
      load.failed === 0,
      `${load.failed} of ${load.ok + load.failed} failed: ${load.lastError}`,
    );
    return [`${space.name}: pid ${before} → ${agent.pid}; ${load.ok} calls meanwhile, 0 failed`];
  },
};

export const killed: Claim = {
  title: 'the agent of a node is killed: its pods fail closed, the others go on, it comes back',
  show: async ({ guide, wire }) => {
    const { agent, space } = guide.nodeOf(guide.pod(SHOP.web));
    const before = agent.pid;
    const elsewhere = new Load(CALL_EVERY_MS, async () => {
      const { status } = await guide.get({
        from: SHOP.customer,
        host: 'cart',
        port: 80,
        path: '/x',
      });
      return status === 200 || status === 502;
    });
    const reach = async (): Promise<true | undefined> =>
      guide.get({ from: SHOP.web, host: 'cart', port: 80, path: '/x', marker: SHOP.secret }).then(
        () => true,
        () => undefined,
      );
    try {
      await guide.until(() => (elsewhere.ok > 10 ? true : undefined), 5000);
      agent.kill();
      await guide.until(() => (agent.pid === before ? undefined : true), 2000);
      const closed = (await reach()) === undefined;
      insist(closed, 'a captured pod got through without its agent');
      const began = performance.now();
      insist((await guide.until(reach, RECOVERY_MS)) === true, 'web reaches nobody any more');
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      await delay(200);
      await elsewhere.stop();
      const all = elsewhere.ok + elsewhere.failed;
      insist(
        elsewhere.failed === 0,
        `${elsewhere.failed} of ${all} failed: ${elsewhere.lastError}`,
      );
      wire.look();
      insist(wire.seen(SHOP.secret) === 0, 'something went out in clear meanwhile');
      return [
        `${space.name}: pid ${before} killed; a call of web to cart was refused, not sent in clear`,
        `pid ${agent.pid} took over: web reached cart again after ${seconds} s`,
        `on the other node ${elsewhere.ok} calls went on meanwhile, 0 failed`,
      ];
    } finally {
      await elsewhere.stop();
    }
  },
};

export const metrics: Claim = {
  title: 'metrics say the same',
  show: async ({ guide }) => {
    const samples = await guide.until(async () => {
      const all = await guide.metrics();
      return sumOf(all, 'plumb_pods_labelled') === sumOf(all, 'plumb_pods_proven')
        ? all
        : undefined;
    }, RECOVERY_MS);
    insist(samples !== undefined, 'plumb_pods_labelled - plumb_pods_proven is not 0');
    const line = (name: string, labels: Readonly<Record<string, string>> = {}): string => {
      const value = sumOf(samples, name, labels);
      insist(value > 0, `${name} is ${value}`);
      const shown = Object.entries(labels).map(([key, one]) => `${key}="${one}"`);
      return `${name}${shown.length === 0 ? '' : `{${shown.join(',')}}`} ${value}`;
    };
    const mutual = { connection_security_policy: 'mutual_tls' };
    return [
      line('istio_tcp_connections_opened_total', { reporter: 'destination', ...mutual }),
      line('istio_tcp_sent_bytes_total', { reporter: 'destination', ...mutual }),
      line('istio_tcp_connections_failed_total', { response_flags: 'DENY' }),
      `plumb_pods_labelled - plumb_pods_proven = ${sumOf(samples, 'plumb_pods_labelled')} - ${sumOf(samples, 'plumb_pods_proven')} = 0`,
    ];
  },
};
