/** S10 on the controller: peers that connect and then say nothing, or one byte at a time. */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { test } from 'tap';
import { eventually, podOn, startRig } from '../../helpers/control-rig.ts';

const EACH = 150;
/** The deadline for a handshake and for a request is 10 s, looked at every 5 s. */
const LATEST_MS = 20_000;

test('PushServer ends peers that are silent or slow, and serves agents meanwhile', async (t) => {
  const rig = await startRig(t, { nodes: ['a', 'b'] });
  rig.change(podOn('a', 'cart'));
  const at = { host: '127.0.0.1', port: rig.port };
  const silent = Array.from({ length: EACH }, () => connectTcp(at));
  const slow = Array.from({ length: EACH }, () => connectTls({ ...at, rejectUnauthorized: false }));
  const peers: readonly Socket[] = [...silent, ...slow];
  for (const peer of peers) peer.on('error', () => undefined).resume();
  t.after(() => {
    for (const peer of peers) peer.destroy();
  });
  await Promise.all([
    ...silent.map(async (peer) => once(peer, 'connect')),
    ...slow.map(async (peer) => once(peer, 'secureConnect')),
  ]);
  const started = performance.now();
  const head = 'GET /v1/agent HTTP/1.1\r\nhost: controller\r\nx-slow: '.padEnd(4000, 'y');
  let sent = 0;
  const drip = setInterval(() => {
    for (const peer of slow) if (!peer.destroyed) peer.write(head[sent] ?? 'y');
    sent += 1;
  }, 250);
  t.after(() => clearInterval(drip));
  const before = performance.now();
  const { held } = await rig.agent('a');
  await eventually(() => held.version === 1, 'an agent has its snapshot');
  t.ok(performance.now() - before < 3000, 'it did not wait for them');
  await eventually(() => peers.every(({ closed }) => closed), 'all of them are ended', LATEST_MS);
  const ms = Math.round(performance.now() - started);
  t.ok(ms > 4000, `not at once, which would be some other fault: after ${ms} ms`);
  rig.change(podOn('a', 'pay'));
  await eventually(() => held.version === 2, 'the agent is served as before');
});
