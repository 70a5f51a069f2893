/**
 * The stock: a line protocol in which the server speaks first, as SMTP and MySQL do. A mesh that
 * waits for the client's first bytes would wait here for good.
 */
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { endOnSigterm, marker } from './serve.ts';

const counts = new Map([
  ['kettle', 12],
  ['teapot', 7],
  ['strainer', 40],
]);

const server = createServer((socket) => {
  socket.on('error', () => socket.destroy());
  socket.setTimeout(30_000, () => socket.destroy());
  socket.write(`220 stock ready ${marker}\r\n`);
  const lines = createInterface({ input: socket, crlfDelay: Infinity });
  lines.on('error', () => socket.destroy());
  lines.on('line', (line) => {
    const [verb = '', item = ''] = line.split(' ');
    if (verb === 'QUIT') socket.end('221 bye\r\n');
    else if (verb === 'COUNT') socket.write(`250 ${counts.get(item) ?? 0} ${marker}\r\n`);
    else socket.write('500 what?\r\n');
  });
});
server.listen(7000, '::', () => console.log('listening on 7000'));
endOnSigterm(() => server.close());
