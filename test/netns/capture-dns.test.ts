/** DNS capture in a real kernel: rules 6, 7, 11 and 12 of the capture plan, by UDP and TCP. */
import { createServer } from 'node:net';
import { once } from 'node:events';
import { test } from 'tap';
import { SOCK_DGRAM } from '#common/sys/constants.ts';
import { bind, closeFd, recvFrom, sendTo, socket } from '#common/sys/libc.ts';
import { inNetns } from '#common/sys/netns.ts';
import { whenReadable } from '#common/sys/raw-sockets.ts';
import { newSlab } from '#common/sys/slab.ts';
import { mark } from '#common/sys/socket-options.ts';
import { findPrograms } from '../../node-agent/capture/backend.ts';
import { Capture } from '../../node-agent/capture/capture.ts';
import { createCommand } from '../../node-agent/capture/command.ts';
import { AGENT_MARK } from '../../node-agent/capture/rules.ts';
import { PLAIN } from '../helpers/capture-golden.ts';
import { createNet, needsRoot as skip } from '../helpers/netns.ts';
import { greet } from '../helpers/pod-apps.ts';
import { silent } from '../helpers/silent-log.ts';

const command = createCommand();
const slab = newSlab(512);

function udp(t: { after: (undo: () => void) => void }, netns: number, family: 4 | 6): number {
  const fd = inNetns(netns, () => socket(family, SOCK_DGRAM));
  t.after(() => void closeFd(fd));
  return fd;
}

function say(fd: number, text: string, to: { address: string; port: number }): void {
  const length = slab.bytes.write(text);
  sendTo(fd, slab, length, to);
}

async function hear(fd: number) {
  if (!(await whenReadable(fd, 2000))) return undefined;
  const { length, from } = recvFrom(fd, slab);
  return { text: slab.bytes.toString('utf8', 0, length), from };
}

for (const flavour of ['nft', 'legacy'] as const) {
  test(
    `DNS queries reach the agent, and its own the resolver (${flavour})`,
    { skip },
    async (t) => {
      const all = await findPrograms(command);
      const programs = new Map([...all].filter(([name]) => name === flavour));
      const net = createNet(t, 'cap');
      const pod = net.node(1).pod('pod');
      const resolver = net.node(2).pod('resolver');
      const capture = new Capture(
        { command, programs, log: silent, netns: pod.fd },
        { ...PLAIN, dnsCapture: true },
      );
      await capture.enrol(() => {});
      for (const [family, loopback, address] of [
        [4, '127.0.0.1', resolver.address4 ?? ''],
        [6, '::1', resolver.address6 ?? ''],
      ] as const) {
        const upstream = udp(t, resolver.fd, family);
        bind(upstream, address, 53);
        const agent = udp(t, pod.fd, family);
        bind(agent, loopback, 15_053);
        const app = udp(t, pod.fd, family);
        const own = udp(t, pod.fd, family);
        mark(own, AGENT_MARK);

        say(app, 'who is shop?', { address, port: 53 });
        const asked = await hear(agent);
        t.equal(asked?.text, 'who is shop?');
        const from = asked?.from ?? { address: '', port: 0 };
        // From the very port of the application, to the same resolver: the tuple that clashed once.
        bind(own, family === 4 ? '0.0.0.0' : '::', from.port + 1);
        say(own, 'forwarded', { address, port: 53 });
        const forwarded = await hear(upstream);
        t.equal(forwarded?.text, 'forwarded');
        say(upstream, 'answer', forwarded?.from ?? from);
        t.equal((await hear(own))?.text, 'answer');
        say(agent, 'shop is here', from);
        t.match(await hear(app), { text: 'shop is here', from: { address, port: 53 } });

        const tcp = createServer((client) => client.end('by tcp\n'));
        const listening = once(tcp, 'listening');
        inNetns(pod.fd, () => tcp.listen(15_053));
        await listening;
        t.equal(await greet(pod.fd, address, 53), 'by tcp');
        tcp.close();
      }
      await capture.verify();
      t.equal(capture.udpPackets, 0, 'DNS is carried, so it does not count as passed');
    },
  );
}
