/** Callers that open connections and then do nothing, or next to nothing, with them. */
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { Socket } from 'node:net';
import { test } from 'tap';
import { socket } from '#common/sys/libc.ts';
import { inNetns } from '#common/sys/netns.ts';
import { HANDSHAKE_TIMEOUT_MS } from '../../node-agent/data/limits.ts';
import { Mesh } from '../helpers/mesh.ts';
import { documents, namespace, nodes, pod } from '../helpers/mesh-yaml.ts';
import { needsRoot as skip } from '../helpers/netns.ts';
import { greet, greeter } from '../helpers/pod-apps.ts';
import { eventually } from '../helpers/program.ts';

const SILENT = 300;
const SLOW = 100;
/** The head of a TLS record that holds a ClientHello, and no more. */
const HEAD = Buffer.from('1603010200010001fc0303', 'hex');

test('silent and slow handshakes are ended, and hold up nobody', { skip }, async (t) => {
  const yaml = documents(
    nodes(2),
    namespace('shop'),
    namespace('outside', {}),
    pod('web', { node: 1 }),
    pod('cart', { node: 2 }),
    pod('stranger', { node: 1 }, 'outside'),
  );
  const mesh = await Mesh.start(t, 'atk', { yaml });
  const [web, cart, stranger] = ['shop/web', 'shop/cart', 'outside/stranger'].map((name) =>
    mesh.pod(name),
  );
  if (web === undefined || cart === undefined || stranger === undefined) throw new TypeError();
  await greeter(t, cart.fd, 8080);
  const to = cart.address4 ?? '';
  const { pid } = mesh.agent(2);
  const descriptors = (): number => readdirSync(`/proc/${pid}/fd`).length;
  const before = descriptors();
  const callers = Array.from({ length: SILENT + SLOW }, () => {
    const fd = inNetns(stranger.fd, () => socket(4));
    const caller = new Socket({ fd, readable: true, writable: true });
    caller.on('error', () => {}).resume();
    caller.connect({ host: to, port: 15_008 });
    return caller;
  });
  t.after(() => {
    for (const caller of callers) caller.destroy();
  });
  await Promise.all(callers.map(async (caller) => once(caller, 'connect')));
  const start = performance.now();
  let sent = 0;
  const drip = setInterval(() => {
    for (const caller of callers.slice(SILENT)) caller.write(HEAD.subarray(sent, sent + 1));
    sent = (sent + 1) % HEAD.length;
  }, 500);
  t.after(() => clearInterval(drip));
  await eventually('they are all taken', async () => {
    // Some of those that were open before may have gone meanwhile.
    if (descriptors() < before + SILENT + SLOW - 20)
      throw new Error(`${descriptors()} descriptors`);
  });
  t.equal(await greet(web.fd, to, 8080), web.address4, 'who means it is served meanwhile');
  await Promise.all(
    callers.map(async (caller) => {
      if (!caller.closed) await new Promise((resolve) => caller.once('close', resolve));
    }),
  );
  const ms = performance.now() - start;
  t.ok(ms < HANDSHAKE_TIMEOUT_MS + 5000, `all of them were ended after ${Math.round(ms)} ms`);
  await eventually('no descriptor is left', async () => {
    if (descriptors() > before + 8) throw new Error(`${descriptors()} are open, not ${before}`);
  });
});
