/**
 * Payments: an HTTP/2 service without TLS, in the shape of gRPC (length-prefixed messages, status in
 * the trailers). One connection carries many calls. Each charge is written to the ledger.
 */
import { createServer } from 'node:http2';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { call, endOnSigterm, marker, readAll } from './serve.ts';

const PREFIX_BYTES = 5;

const server = createServer((incoming, response) => void charge(incoming, response));
server.listen(50_051, '::', () => console.log('listening on 50051'));
endOnSigterm(() => server.close());

async function charge(incoming: Http2ServerRequest, response: Http2ServerResponse): Promise<void> {
  try {
    const message = await readAll(incoming);
    if (incoming.url !== '/shop.Payments/Charge') {
      return answer(response, '12', { error: `there is no ${incoming.url}` });
    }
    const { cents } = Object(JSON.parse(message.slice(PREFIX_BYTES)));
    const entry = await call(process.env['LEDGER'] ?? 'http://ledger/', { cents });
    answer(response, '0', { charged: cents, ledger: entry });
  } catch (error) {
    answer(response, '14', { error: String(error) });
  }
}

function answer(response: Http2ServerResponse, status: string, body: object): void {
  response.setHeader('content-type', 'application/grpc+json');
  response.addTrailers({ 'grpc-status': status });
  response.end(frame({ ...body, marker }));
}

function frame(message: object): Buffer {
  const body = Buffer.from(JSON.stringify(message));
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(body.length, 1);
  return Buffer.concat([prefix, body]);
}
