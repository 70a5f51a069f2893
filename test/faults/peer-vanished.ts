/** R12: a pod's network vanishes without a FIN; then FIN and RST of a whole node are lost. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Netns } from '../helpers/netns.ts';
import { descriptors, ms, msUntil } from './measure.ts';
import { LEFT, onBench, RIGHT } from './world.ts';

const FREED_MS = 60_000;
const SLACK = 8;

export const scenario = onBench({
  name: 'peer-vanished',
  title: 'R12: pods vanish without a FIN, FIN and RST are lost; what stood is freed',
  world: ({ quick }) => ({ isLight: quick }),
  run: async (world) => {
    const { mesh } = world;
    const gone = mesh.pod('shop/b3');
    const to = async (): Promise<number> => {
      const all = await mesh.agent(1).ask<{ destination: { address: string } }[]>('/connections');
      return all.filter(({ destination }) => gone.addresses.includes(destination.address)).length;
    };
    const before = await to();
    gone.exec('ip link set eth0 down');
    // The clients try again and again: what must go are the connections that stood.
    const lostBefore = mesh.agent(1).access({ code: 'TUNNEL_LOST' }).length;
    const lost = (): number => mesh.agent(1).access({ code: 'TUNNEL_LOST' }).length - lostBefore;
    const vanished = await msUntil(() => lost() >= before, FREED_MS + 5000);
    gone.exec('ip link set eth0 up; ip route replace default via 10.66.0.1');

    const far = mesh.net.node(2);
    // Node 2 serves tunnels of its own pods too; those end when they are idle.
    const near = LEFT.flatMap((name) => mesh.pod(`shop/${name}`).addresses);
    const openTunnels = (): number =>
      RIGHT.flatMap((name) => peersAt15008(mesh.pod(`shop/${name}`))).filter((peer) =>
        near.includes(peer),
      ).length;
    await world.settled().catch(() => undefined);
    const tunnels = openTunnels();
    const held = descriptors(mesh.agent(2));
    for (const program of ['iptables', 'ip6tables'])
      for (const flag of ['FIN', 'RST'])
        far.exec(`${program} -I FORWARD -p tcp --tcp-flags ${flag} ${flag} -j DROP`);
    await world.take();
    await world.load.stop();
    await mesh.agent(1).end('SIGKILL');
    await delay(100);
    const freed = await msUntil(async () => openTunnels() === 0, FREED_MS + 5000);
    await delay(500);
    return {
      figures: {
        'connections to the vanished pod': before,
        'all of them freed after': ms(vanished),
        'tunnels whose ends were lost': tunnels,
        'freed after': ms(freed),
        'descriptors before and after': `${held} and ${descriptors(mesh.agent(2))}`,
      },
      marks: {
        'connections to a vanished pod end within 60 s': before > 0 && vanished <= FREED_MS,
        'tunnels without FIN or RST end within 60 s': tunnels > 0 && freed <= FREED_MS,
        'no descriptor is left': descriptors(mesh.agent(2)) <= held + SLACK,
      },
    };
  },
});

/** Addresses of who has a connection to the tunnel port of a pod. */
function peersAt15008(pod: Netns): string[] {
  const lines = pod.exec('ss -Htn state established sport = :15008').split('\n');
  return lines
    .map((line) => /\[?(?:::ffff:)?([0-9a-f.:]+?)\]?:\d+\s*$/.exec(line.trim())?.[1] ?? '')
    .filter((address) => address !== '');
}
