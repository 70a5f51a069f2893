/**
 * A server to run h2spec against: `node test/helpers/http2-spec-server.ts 8080`, then
 * `h2spec -h 127.0.0.1 -p 8080 --strict`.
 *
 * CONNECT is echoed. What HBONE answers with 400 gets 200 and a body here, since many cases of h2spec
 * look for DATA. Cases of 2.2.1 that cannot pass (140 of 146 do): http2/4.2/3, as we offer
 * frames of 1 MiB; http2/8.1.2.6/1 and /2, as a CONNECT has no content-length; generic/5/14 and /15 and
 * http2/6.10/1, as h2spec ignores that we offer no header table (with 4096 bytes they pass).
 */
import { createServer } from 'node:net';
import { attach } from './http2-transport.ts';
import { Echo, Recorder } from './http2-streams.ts';

const server = createServer({ allowHalfOpen: true }, (socket) => {
  const { outlet } = attach(socket, {
    role: 'server',
    owner: {
      onRequest(stream, request) {
        stream.respond(200);
        if ('invalid' in request) {
          const { sending } = new Recorder(stream, outlet);
          sending.send(Buffer.from('hello'));
          sending.end();
        } else {
          stream.owner = new Echo(stream, outlet);
        }
      },
    },
  });
  socket.on('end', () => socket.end());
});
server.listen(Number(process.argv[2] ?? 8080), '127.0.0.1');
