/**
 * The server of the scenarios: tells every caller who answered and whom it saw.
 *
 * 8080 HTTP; 9090 TCP, a greeting line and then an echo; 50051 gRPC health in HTTP/2 without TLS. What
 * it sends carries the marker that watchers of wires look for. SIGTERM: no new connection, the kept ones
 * are told to close, and it ends when they have, or after 2 s.
 */
import { createServer as createHttp } from 'node:http';
import { createServer as createHttp2 } from 'node:http2';
import type { ServerHttp2Stream } from 'node:http2';
import { createServer as createTcp } from 'node:net';

const MARKER = 'PLAIN-PAYLOAD-7f3a91';
const { POD: pod = '', NODE: node = '' } = process.env;
let ending = false;

const http = createHttp((request, response) => {
  if (ending) response.setHeader('connection', 'close');
  const from = request.socket.remoteAddress ?? '';
  if (request.url !== '/healthz') console.log(`${request.method} ${request.url} from ${from}`);
  response.end(JSON.stringify({ pod, node, from, marker: MARKER }));
}).listen(8080, '0.0.0.0');

const tcp = createTcp((socket) => {
  socket.on('error', () => undefined);
  socket.write(`${JSON.stringify({ pod, node, from: socket.remoteAddress, marker: MARKER })}\n`);
  socket.pipe(socket);
}).listen(9090, '0.0.0.0');

// grpc.health.v1.Health/Check: a message with one field, status SERVING.
const SERVING = Buffer.from([0, 0, 0, 0, 2, 0x08, 0x01]);
const grpc = createHttp2().listen(50_051, '0.0.0.0');
grpc.on('sessionError', () => undefined);
grpc.on('stream', (stream: ServerHttp2Stream) => {
  stream.on('error', () => undefined);
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(SERVING);
});

process.on('SIGTERM', () => {
  ending = true;
  http.close();
  tcp.close();
  grpc.close();
  setTimeout(() => process.exit(0), 2000);
});
console.log('listening');
