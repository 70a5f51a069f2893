/** R27: the resolver behind captured DNS is dead, slow, or answers cut short; and many questions. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { inNetns } from '#common/sys/netns.ts';
import { Mesh } from '../helpers/mesh.ts';
import { documents, namespace, nodes, pod, service } from '../helpers/mesh-yaml.ts';
import { descriptors, ms } from './measure.ts';
import { judge, type Scenario, type Undo, undoing } from './scenario.ts';
import { quantile } from './load-tally.ts';

const RESOLVER = '10.66.0.53';
const AMBIENT = { 'plumbline.dev/dataplane-mode': 'ambient', 'plumbline.dev/dns-capture': 'true' };
const TRUNCATED = 0x02;
const ANSWER_MS = 2000;

async function udp(undo: Undo, netns: number, at?: { address: string; port: number }) {
  const made = createSocket({
    type: 'udp4',
    recvBufferSize: 8 << 20,
    // Nothing to look up, so that the socket is made and bound before we leave.
    lookup: (host, _options, found) => found(null, host, 4),
  });
  const bound = once(made, 'listening');
  inNetns(netns, () => made.bind({ port: at?.port ?? 0, address: at?.address ?? '0.0.0.0' }));
  await bound;
  undo.after(() => void made.close());
  return made;
}

function question(id: number, name: string): Buffer {
  const labels = name.split('.').map((label) => `${String.fromCharCode(label.length)}${label}`);
  const head = Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([head, Buffer.from(`${labels.join('')}\0`), Buffer.from([0, 1, 0, 1])]);
}

/** Asks many at a rate, and says how many were answered and how fast. */
async function ask(client: Socket, name: string, count: number, perSecond: number) {
  const sentAt = new Map<number, number>();
  const took: number[] = [];
  let truncated = 0;
  const take = (message: Buffer, _from: RemoteInfo): void => {
    const at = sentAt.get(message.readUInt16BE(0));
    if (at === undefined) return;
    sentAt.delete(message.readUInt16BE(0));
    took.push(performance.now() - at);
    if ((message.readUInt8(2) & TRUNCATED) !== 0) truncated += 1;
  };
  client.on('message', take);
  const startedAt = performance.now();
  for (let i = 0; i < count;) {
    // Not more at once than fits into our own buffer as answers.
    const due = Math.min(count, i + 64, ((performance.now() - startedAt) / 1000) * perSecond);
    for (; i < due; i += 1) {
      sentAt.set(i & 0xffff, performance.now());
      client.send(question(i & 0xffff, name), 53, RESOLVER);
    }
    await delay(1);
  }
  const spentMs = performance.now() - startedAt;
  await delay(ANSWER_MS / 2);
  client.off('message', take);
  took.sort((x, y) => x - y);
  return { answered: took.length, truncated, p99: quantile(took, 0.99), spentMs };
}

export const scenario: Scenario = {
  name: 'dns-upstream',
  title: 'R27: the resolver is dead, slow, cuts answers short; 10,000 questions a second',
  run: async ({ quick, prefix = 'fltdns' }) =>
    undoing(async (undo) => {
      const directory = mkdtempSync('/dev/shm/plumb-dns-');
      undo.after(() => rmSync(directory, { recursive: true, force: true }));
      writeFileSync(`${directory}/resolv.conf`, `nameserver ${RESOLVER}\n`);
      const mesh = await Mesh.start(undo, prefix, {
        yaml: documents(
          nodes(2),
          namespace('shop', AMBIENT),
          namespace('outside', {}),
          pod('web', { node: 1 }),
          pod('cart', { node: 2 }),
          pod('resolver', { node: 2, labels: { 'test/host': '53' } }, 'outside'),
          service('cart', 'cart', 80, { clusterIPs: ['10.32.0.10', 'fd00:32::10'] }),
        ),
        agentFlags: ['--drain', '500ms', '--resolv-conf', `${directory}/resolv.conf`],
      });
      const upstream = await udp(undo, mesh.pod('outside/resolver').fd, {
        address: RESOLVER,
        port: 53,
      });
      let mood: 'well' | 'dead' | 'slow' | 'short' = 'well';
      upstream.on('message', (message, { address, port }) => {
        if (mood === 'dead') return;
        const answer = Buffer.from(message);
        answer.writeUInt8(0x80 | (mood === 'short' ? TRUNCATED : 0), 2);
        const send = (): void => upstream.send(answer, port, address);
        if (mood === 'slow') setTimeout(send, 500);
        else send();
      });
      const client = await udp(undo, mesh.pod('shop/web').fd);
      const agent = mesh.agent(1);
      const before = descriptors(agent);
      const own = 'cart.shop.svc.cluster.local';
      const many = quick ? 4000 : 100_000;
      const perSecond = quick ? 4000 : 10_000;
      mood = 'dead';
      const [dead, whileDead] = await Promise.all([
        ask(client, 'example.com', 500, 500),
        ask(await udp(undo, mesh.pod('shop/web').fd), own, many, perSecond),
      ]);
      mood = 'slow';
      const slow = await ask(client, 'example.com', 200, 400);
      mood = 'short';
      const short = await ask(client, 'example.com', 200, 400);
      mood = 'well';
      const well = await ask(client, 'example.com', 500, 500);
      await delay(6000);
      const after = descriptors(agent);
      return judge({
        figures: {
          'own names asked while the resolver is dead': many,
          'questions a second': Math.round((many * 1000) / whileDead.spentMs),
          'of them answered': whileDead.answered,
          'their p99': ms(whileDead.p99),
          'foreign names answered meanwhile': `${dead.answered} of 500`,
          'by a slow resolver': `${slow.answered} of 200, p99 ${ms(slow.p99)}`,
          'cut short, and handed on so': `${short.truncated} of 200`,
          'by a resolver that is well again': `${well.answered} of 500`,
          'descriptors before and after': `${before} and ${after}`,
        },
        marks: {
          'own names go on': whileDead.answered >= many * 0.999,
          'a slow answer is an answer': slow.answered === 200,
          'a short answer says so': short.truncated === 200,
          'it recovers': well.answered === 500,
          'no socket is left': after <= before + 8,
        },
      });
    }),
};
