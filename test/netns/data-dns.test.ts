/** DNS capture in a real pod: the mesh's names answered here, the rest by the resolver, unchanged. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'tap';
import { SOCK_DGRAM } from '#common/sys/constants.ts';
import { bind, socket } from '#common/sys/libc.ts';
import { inNetns } from '#common/sys/netns.ts';
import { dial, serve } from '../helpers/data-sockets.ts';
import { World } from '../helpers/data-world.ts';
import { captureOptions, service } from '../helpers/mesh-build.ts';
import { needsRoot } from '../helpers/netns.ts';
import { writeName } from '../../node-agent/data/dns-message.ts';

/** Node's own `bind` looks its address up first, and would be out of the namespace by then. */
async function bindIn(of: Socket, netns: number, port: number): Promise<void> {
  const fd = inNetns(netns, () => socket(4, SOCK_DGRAM));
  bind(fd, '0.0.0.0', port);
  const listening = once(of, 'listening'); // It comes within `bind`.
  of.bind({ fd });
  await listening;
}

function query(name: string): Buffer {
  const head = Buffer.from('beef01000001000000000000', 'hex');
  return Buffer.concat([head, writeName(name), Buffer.from('00010001', 'hex')]);
}

test(
  'a captured pod gets the mesh from us and the world from its resolver',
  { skip: needsRoot },
  async (t) => {
    const world = new World(t);
    world.services = [service('cart', { addresses: ['10.32.0.7'] })];
    const outside = await world.pod('dns', { node: 2, isPlain: true });
    const asked: Buffer[] = [];
    const answer = (question: Buffer): Buffer =>
      Buffer.concat([question, Buffer.from('!answered')]);
    const udp = createSocket('udp4');
    t.after(() => {
      udp.close();
    });
    udp.on('message', (message, from) => {
      asked.push(message);
      udp.send(answer(message), from.port, from.address);
    });
    await bindIn(udp, outside.fd, 53);
    await serve(t, { netns: outside.fd, port: 53 }, (client) => {
      client.on('data', (bytes: Buffer) => {
        const message = answer(bytes.subarray(2));
        const length = Buffer.alloc(2);
        length.writeUInt16BE(message.length);
        client.write(Buffer.concat([length, message]));
      });
    });
    const dns = {
      resolvers: [{ address: outside.address4 ?? '', port: 53 }],
      clusterDomain: 'cluster.local',
    };
    const web = await world.pod('web', {
      node: 1,
      options: { dns },
      capture: { ...captureOptions, dnsCapture: true },
    });
    await world.until(() =>
      world.planes.every((plane) => plane.totals().version === world.version),
    );

    const ask = async (bytes: Buffer): Promise<Buffer> => {
      const client = createSocket('udp4');
      await bindIn(client, web.fd, 0);
      const reply = once(client, 'message', { signal: AbortSignal.timeout(8_000) });
      client.send(bytes, 53, outside.address4);
      const [message] = await reply;
      client.close();
      if (!Buffer.isBuffer(message)) throw new TypeError('no datagram');
      return message;
    };

    const ours = await ask(query('cart.shop.svc.cluster.local'));
    t.equal(ours.readUInt16BE(6), 1);
    t.strictSame([...ours.subarray(-4)], [10, 32, 0, 7]);
    t.equal(asked.length, 0, 'nobody else was asked');

    const theirs = query('example.org');
    t.strictSame(await ask(theirs), answer(theirs));
    t.strictSame(asked.pop(), theirs, 'byte for byte');

    const odd = Buffer.from('beef2800000100000000000000', 'hex');
    t.strictSame(await ask(odd), answer(odd), 'what we do not understand as well');
    asked.pop();

    const tcp = dial(t, web.fd, outside.address4 ?? '', 53);
    for (const [question, isOurs] of [
      [query('cart'), true],
      [theirs, false],
    ] as const) {
      const framed = Buffer.concat([Buffer.from([0, question.length]), question]);
      tcp.write(framed);
      const [bytes] = await once(tcp, 'data');
      if (!Buffer.isBuffer(bytes)) throw new TypeError('no bytes');
      if (isOurs) t.strictSame([...bytes.subarray(-4)], [10, 32, 0, 7]);
      else t.strictSame(bytes.subarray(2), answer(question));
    }
    t.equal(asked.length, 0, 'over TCP both times');

    outside.remove();
    t.strictSame([...(await ask(query('cart'))).subarray(-4)], [10, 32, 0, 7], 'resolver gone');
    const failed = await ask(query('example.org'));
    t.equal(failed.readUInt16BE(2) & 0xf, 2, 'SERVFAIL, not silence');
  },
);
