/**
 * The victim's other client, a process of its own in a pod of the mesh: eight connections, each with
 * one kilobyte under way at a time. It wants a thousand round trips a second, a tenth of what two
 * cores can do, so that what an attacker costs beside the agent (its own CPU) is not counted as harm.
 * It writes the number of round trips so far, ten times a second.
 */
import { connect } from 'node:net';

const CONNECTIONS = 8;
/** Of one connection; round trips that were missed are not made up for. */
const PERIOD_MS = 8;
const MESSAGE = Buffer.alloc(1024, 0x61);

if (import.meta.main) {
  const [host = '', port = '0'] = process.argv.slice(2);
  let trips = 0;
  let lost = 0;
  const open = (): void => {
    const socket = connect({ host, port: Number(port), noDelay: true });
    let waiting = MESSAGE.length;
    let next = 0;
    const send = (): void => {
      next = Math.max(next + PERIOD_MS, performance.now());
      if (!socket.destroyed) socket.write(MESSAGE);
    };
    socket.on('connect', send);
    socket.on('data', ({ length }) => {
      waiting -= length;
      if (waiting > 0) return;
      trips += 1;
      waiting = MESSAGE.length;
      setTimeout(send, Math.max(0, next - performance.now()));
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      lost += 1;
      setTimeout(open, 50);
    });
  };
  for (let i = 0; i < CONNECTIONS; i += 1) open();
  setInterval(() => console.log(JSON.stringify({ trips, lost })), 100);
}
