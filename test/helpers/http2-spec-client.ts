/**
 * A client to run h2specd against: `h2specd --exec "node test/helpers/http2-spec-client.ts"`, which
 * appends a URL; dials its port, opens a CONNECT and stays until the server has had enough.
 * Cases of 2.2.1 that cannot pass (53 of 57 do): 4.2/2, as we offer frames of 1 MiB; 5.1/8 and /9, as
 * our direction of a CONNECT is still open, so that only the stream is at fault; 6.10/1, as h2specd
 * ignores that we offer no header table.
 */
import { connect } from 'node:net';
import { attach } from './http2-transport.ts';
import { Recorder } from './http2-streams.ts';

const { port } = new URL(process.argv.at(-1) ?? '');
const socket = connect(Number(port), '127.0.0.1');
const { session, outlet } = attach(socket, {
  role: 'client',
  owner: {
    onReady: () => {
      const { sending } = new Recorder(session.open({ authority: '10.0.0.7:80' }), outlet);
      sending.send(Buffer.from('hello'));
    },
  },
});
