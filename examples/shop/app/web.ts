/** The shop's front: every checkout goes through all the other services. */
import { connect as connectHttp2 } from 'node:http2';
import type { ClientHttp2Session } from 'node:http2';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { call, marker, readAll, serve } from './serve.ts';

const PREFIX_BYTES = 5;
const url = (name: string, fallback: string): string => process.env[name] ?? fallback;

serve(8080, async ({ path, from }) => {
  if (path === '/') return { shop: 'open', from };
  if (!path.startsWith('/checkout/')) throw new Error(`there is no ${path}`);
  const customer = path.slice('/checkout/'.length);
  const catalog = Object(await call(`${url('CATALOG', 'http://catalog')}/items`));
  const item = Object(catalog.items[Math.floor(Math.random() * catalog.items.length)]);
  const cart = url('CART', 'http://cart');
  await call(`${cart}/${customer}`, { add: item.name });
  const stock = await count(item.name);
  const payment = await charge(item.cents);
  await call(`${cart}/${customer}`, { empty: true });
  return { customer, from, item, stock, payment, catalogBy: catalog.servedBy };
});

/** Asks the stock, which greets before it is asked. */
async function count(item: string): Promise<string> {
  const [host = 'stock', port = '7000'] = url('STOCK', 'stock:7000').split(':');
  const socket = connect({ host, port: Number(port) });
  socket.setTimeout(5000, () => socket.destroy(new Error('no answer from the stock within 5 s')));
  const failed = Promise.withResolvers<never>();
  socket.on('error', failed.reject);
  const reader = createInterface({ input: socket, crlfDelay: Infinity });
  reader.on('error', failed.reject);
  const lines = reader[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const line = await Promise.race([lines.next(), failed.promise]);
    if (line.done === true) throw new Error('the stock closed the connection');
    return line.value;
  };
  try {
    const greeting = await next();
    if (!greeting.startsWith('220 ')) throw new Error(`the stock greeted with "${greeting}"`);
    socket.write(`COUNT ${item} ${marker}\r\n`);
    const [, answer = ''] = (await next()).split(' ');
    return answer;
  } finally {
    socket.destroy();
  }
}

let session: ClientHttp2Session | undefined;

/** Calls payments in the shape of gRPC, all calls on one connection for as long as it lasts. */
async function charge(cents: number): Promise<unknown> {
  if (session === undefined || session.closed || session.destroyed) {
    session = connectHttp2(url('PAYMENTS', 'http://payments:50051'));
    session.on('error', (error) => console.log(`payments: ${error.message}`));
  }
  const stream = session.request({
    ':method': 'POST',
    ':path': '/shop.Payments/Charge',
    'content-type': 'application/grpc+json',
  });
  stream.setTimeout(5000, () => stream.destroy(new Error('no answer from payments within 5 s')));
  let status = 'no status';
  stream.on('trailers', (trailers) => (status = String(trailers['grpc-status'])));
  const body = Buffer.from(JSON.stringify({ cents, marker }));
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(body.length, 1);
  stream.end(Buffer.concat([prefix, body]));
  const answer = await readAll(stream);
  const message = answer.slice(PREFIX_BYTES);
  if (status !== '0') throw new Error(`payments: grpc-status ${status} ${message}`);
  return JSON.parse(message);
}
