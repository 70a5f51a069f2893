/** The application under attack, in its pod: one port echoes, one sends without end. */
import { createServer } from 'node:net';

if (import.meta.main) {
  const [echo = '0', source = '0'] = process.argv.slice(2);
  createServer((socket) => socket.on('error', () => undefined).pipe(socket)).listen(Number(echo));
  const block = Buffer.alloc(65_536, 0x62);
  createServer((socket) => {
    const fill = (): void => {
      while (!socket.destroyed && socket.write(block));
    };
    socket.on('error', () => undefined).on('drain', fill);
    fill();
  }).listen(Number(source));
}
