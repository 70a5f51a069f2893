/** Bytes of tunnelled connections: all of them, in order, ended the way they were ended. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'tap';
import { dial, ending, hashSlowly, readAll, serve, sha256 } from '../helpers/data-sockets.ts';
import { World } from '../helpers/data-world.ts';
import { needsRoot } from '../helpers/netns.ts';

const BULK = randomBytes(24 * 1024 * 1024);

async function setUp(t: { after(undo: () => void | Promise<void>): void }) {
  const world = new World(t);
  const web = await world.pod('web', { node: 1 });
  const cart = await world.pod('cart', { node: 2 });
  return { world, web, cart, address: cart.address4 ?? '' };
}

test('bulk in both directions at once arrives whole', { skip: needsRoot }, async (t) => {
  const { world, web, cart, address } = await setUp(t);
  const atServer = Promise.withResolvers<string>();
  await serve(t, { netns: cart.fd, port: 9000 }, (client) => {
    client.end(BULK);
    hashSlowly(client, 0).then(atServer.resolve, atServer.reject);
  });
  const client = dial(t, web.fd, address, 9000);
  client.end(BULK);
  t.equal(await hashSlowly(client, 0), sha256(BULK));
  t.equal(await atServer.promise, sha256(BULK));
  for (const node of [1, 2]) {
    t.match(await world.record(node), {
      bytesSent: BULK.length,
      bytesReceived: BULK.length,
      ending: 'closed',
      flag: '-',
      error: undefined,
    });
  }
});

test('a slow reader gets every byte', { skip: needsRoot }, async (t) => {
  const { web, cart, address } = await setUp(t);
  await serve(t, { netns: cart.fd, port: 9000 }, (client) => client.end(BULK.subarray(0, 9 << 20)));
  const client = dial(t, web.fd, address, 9000);
  t.equal(await hashSlowly(client, 2), sha256(BULK.subarray(0, 9 << 20)));
});

test('writes of one byte arrive in order', { skip: needsRoot }, async (t) => {
  const { web, cart, address } = await setUp(t);
  const bytes = BULK.subarray(0, 20_000);
  await serve(t, { netns: cart.fd, port: 9000 }, (client) => client.pipe(client));
  const client = dial(t, web.fd, address, 9000);
  for (let i = 0; i < bytes.length; i += 1) client.write(bytes.subarray(i, i + 1));
  client.end();
  t.equal(sha256(await readAll(client)), sha256(bytes));
});

test('a client that half-closes gets a late answer whole (V14)', { skip: needsRoot }, async (t) => {
  const { web, cart, address } = await setUp(t);
  await serve(t, { netns: cart.fd, port: 9000 }, (client) => {
    const chunks: Buffer[] = [];
    client.on('data', (chunk: Buffer) => chunks.push(chunk));
    client.on('end', () => {
      const answer = Buffer.concat([...chunks, BULK.subarray(0, 1 << 20)]);
      setTimeout(() => client.end(answer), 500);
    });
  });
  const client = dial(t, web.fd, address, 9000);
  client.end('question');
  const answer = await readAll(client);
  t.equal(answer.subarray(0, 8).toString(), 'question');
  t.equal(sha256(answer.subarray(8)), sha256(BULK.subarray(0, 1 << 20)));
});

test(
  'a server that half-closes first still gets what follows (V15)',
  { skip: needsRoot },
  async (t) => {
    const { web, cart, address } = await setUp(t);
    const atServer = Promise.withResolvers<Buffer>();
    await serve(t, { netns: cart.fd, port: 9000 }, (client) => {
      client.end('all I say');
      readAll(client).then(atServer.resolve, atServer.reject);
    });
    const client = dial(t, web.fd, address, 9000);
    t.equal((await readAll(client)).toString(), 'all I say');
    client.end(BULK.subarray(0, 3 << 20));
    t.equal(sha256(await atServer.promise), sha256(BULK.subarray(0, 3 << 20)));
  },
);

test('a reset of the server reaches the client as a reset', { skip: needsRoot }, async (t) => {
  const { world, web, cart, address } = await setUp(t);
  await serve(t, { netns: cart.fd, port: 9000 }, (client) => {
    client.once('data', () => client.resetAndDestroy());
  });
  const client = dial(t, web.fd, address, 9000);
  client.write('go');
  t.equal(await ending(client), 'ECONNRESET');
  t.match(await world.record(1), { ending: 'reset by destination' });
  t.match(await world.record(2), { ending: 'reset by destination' });
});

test('a reset of the client reaches the server as a reset', { skip: needsRoot }, async (t) => {
  const { world, web, cart, address } = await setUp(t);
  const atServer = Promise.withResolvers<string>();
  await serve(t, { netns: cart.fd, port: 9000 }, (client) => {
    client.write('hello');
    ending(client).then(atServer.resolve, atServer.reject);
  });
  const client = dial(t, web.fd, address, 9000);
  await once(client, 'data');
  client.resetAndDestroy();
  t.equal(await atServer.promise, 'ECONNRESET');
  t.match(await world.record(1), { ending: 'reset by source' });
  t.match(await world.record(2), { ending: 'reset by source' });
});

test(
  'a stalled reader holds back its own stream only, within its window',
  { skip: needsRoot },
  async (t) => {
    const { world, web, cart, address } = await setUp(t);
    let sent = 0;
    await serve(t, { netns: cart.fd, port: 9000 }, (client) => {
      const pour = (): void => {
        while (client.writable && client.write(BULK.subarray(0, 65_536))) sent += 65_536;
      };
      client.on('drain', pour);
      pour();
    });
    await serve(t, { netns: cart.fd, port: 9001 }, (client) => client.pipe(client));
    const stalled = dial(t, web.fd, address, 9000);
    stalled.pause();
    await once(stalled, 'connect');
    // It pours until nothing moves any more: windows and socket buffers are full.
    let before = -1;
    await world.until(async () => {
      const still = sent === before && sent > 0;
      before = sent;
      await new Promise((done) => setTimeout(done, 200));
      return still;
    });
    t.ok(sent < 40 << 20, `${sent} bytes were taken for a reader that reads nothing`);
    const other = dial(t, web.fd, address, 9001);
    other.end(BULK);
    t.equal(await hashSlowly(other, 0), sha256(BULK));
    t.equal(world.plane(1).totals().tunnelsOpen, 1, 'both are in one tunnel');
  },
);
