/** Asks a server once, http://… or tcp://…, on a new connection, and prints what it said: one line of JSON. */
import { get } from 'node:http';
import { connect } from 'node:net';

const url = new URL(process.argv[2] ?? '');
const timeout = 8000;

if (url.protocol === 'http:') {
  const call = get(url, { agent: false, timeout }, (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (part: string) => (text += part));
    response.on('end', () => finish(text));
    response.on('error', fail);
  });
  call.on('timeout', () => call.destroy(new Error('no answer')));
  call.on('error', fail);
} else {
  const socket = connect({ host: url.hostname, port: Number(url.port) });
  socket.setTimeout(timeout, () => socket.destroy(new Error('no answer')));
  let text = '';
  socket.setEncoding('utf8').on('data', (part: string) => {
    text += part;
    if (text.includes('\n')) finish(text);
  });
  socket.on('end', () => fail(new Error('closed without an answer')));
  socket.on('error', fail);
}

function finish(text: string): void {
  console.log(text.trim());
  process.exit(0);
}

function fail(error: Error): void {
  console.error(`FAILED ${error.message}`);
  process.exit(1);
}
