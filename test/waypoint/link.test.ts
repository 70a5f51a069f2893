/**
 * Links: the test plays the agent at both ends, with the same session class over real abstract sockets.
 */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { test, type Test } from 'tap';
import type { ConnectRequest, InvalidRequest } from '#common/hbone/headers.ts';
import type { Stream, StreamOwner } from '#common/hbone/stream.ts';
import { openLinkListener } from '../../waypoint/listeners.ts';
import { attach, type Attached } from '../helpers/http2-transport.ts';
import { Recorder } from '../helpers/http2-streams.ts';
import {
  eventually,
  http1Backend,
  routesTo,
  startProxy,
  type Proxy,
} from '../helpers/waypoint-rig.ts';

const SOURCE = 'spiffe://cluster.local/ns/shop/sa/web';
const OTHER = 'spiffe://cluster.local/ns/shop/sa/other';

let names = 0;
function newName(): string {
  names += 1;
  return `plumb-test-${process.pid}-${names}`;
}

/** The agent's end for what goes out: joins each CONNECT with a TCP connection, or refuses it. */
class Agent {
  readonly asked: ConnectRequest[] = [];
  status = 200;
  sessions: Attached[] = [];

  async listen(t: Test, name: string): Promise<void> {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      const attached = attach(socket, {
        role: 'server',
        owner: { onRequest: (stream, request) => this.#onRequest(stream, request, attached) },
      });
      this.sessions.push(attached);
    });
    server.listen(`\0${name}`);
    await once(server, 'listening');
    t.after(() => {
      for (const { socket } of this.sessions) socket.destroy();
      server.close();
    });
  }

  #onRequest(stream: Stream, request: ConnectRequest | InvalidRequest, { outlet }: Attached): void {
    if ('invalid' in request) {
      stream.respond(400);
      return;
    }
    this.asked.push(request);
    if (this.status !== 200) {
      stream.respond(this.status, { reason: 'POLICY_DENIED' });
      return;
    }
    const [host = '', port = ''] = request.authority.split(':');
    const socket = connect(Number(port), host);
    stream.respond(200);
    const user = new Recorder(stream, outlet);
    const owner: StreamOwner = {
      onResponse: () => undefined,
      onData: (bytes, from, to) => {
        socket.write(Buffer.from(bytes.subarray(from, to)));
        stream.consumed(to - from);
      },
      onEnd: () => void socket.end(),
      onReset: () => void socket.destroy(),
      onSendRoom: () => user.sending.go(),
      onLost: () => void socket.destroy(),
    };
    stream.owner = owner;
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => user.sending.send(chunk));
    socket.on('end', () => user.sending.end());
  }
}

interface Rig {
  readonly proxy: Proxy;
  readonly agent: Agent;
  /** A link of the agent to the waypoint. */
  readonly dial: () => Promise<Attached>;
  readonly states: boolean[];
}

async function setUp(t: Test, agentUid = process.getuid?.() ?? 0): Promise<Rig> {
  const name = newName();
  const agent = new Agent();
  await agent.listen(t, `${name}/out`);
  const backend = await http1Backend(t, (request, response) => {
    response.end(
      JSON.stringify([
        request.url,
        request.headers.forwarded,
        request.headers['x-forwarded-client-cert'],
      ]),
    );
  });
  const states: boolean[] = [];
  const proxy = await startProxy(t, routesTo(backend), {
    listeners: [],
    linkListener: openLinkListener(`\0${name}/in/0`),
    linkOut: `\0${name}/out`,
    agentUid,
    onMessage: (message) => {
      if (message.kind === 'link') states.push(message.isUp);
    },
  });
  const dial = async (): Promise<Attached> => {
    const socket: Socket = connect({ path: `\0${name}/in/0`, allowHalfOpen: true });
    socket.on('error', () => undefined);
    socket.on('end', () => socket.end());
    await once(socket, 'connect');
    t.after(() => {
      socket.destroy();
    });
    return attach(socket, { role: 'client', owner: {} });
  };
  return { proxy, agent, dial, states };
}

async function get(link: Attached, path: string, source?: string): Promise<string> {
  await eventually(() => link.session.ready, 'the link');
  const forwarded = 'for="10.0.0.9:4000"';
  const stream = link.session.open({
    authority: '10.32.0.1:80',
    forwarded,
    ...(source !== undefined && { source }),
  });
  const user = new Recorder(stream, link.outlet);
  user.sending.send(Buffer.from(`GET ${path} HTTP/1.1\r\nHost: cart\r\nConnection: close\r\n\r\n`));
  await eventually(
    () => user.heard.includes('end') || user.heard.some((line) => line.startsWith('reset')),
    'the answer',
  );
  return Buffer.concat(user.chunks).toString('latin1');
}

test('a connection of the agent is served, and goes out for the caller that the agent names', async (t) => {
  const { agent, dial, states, proxy } = await setUp(t);
  await eventually(() => states.at(-1) === true, 'the link out');
  const link = await dial();
  const text = await get(link, '/one', SOURCE);
  t.match(text, /^HTTP\/1\.1 200 OK/);
  t.ok(text.includes(JSON.stringify(['/one', 'for="10.0.0.9:4000"', `URI=${SOURCE}`])), text);
  t.match(agent.asked, [{ source: SOURCE, authority: /^127\.0\.0\.1:\d+$/ }]);
  t.equal(proxy.counters.read('linksOpen'), 2);
});

test('connections to an endpoint are shared by requests of one source, never of two', async (t) => {
  const { agent, dial, states } = await setUp(t);
  await eventually(() => states.at(-1) === true, 'the link out');
  const link = await dial();
  for (const source of [SOURCE, SOURCE, OTHER, SOURCE, OTHER, undefined]) {
    t.match(await get(link, '/', source), /200 OK/);
  }
  t.strictSame(
    agent.asked.map(({ source }) => source),
    [SOURCE, OTHER, undefined],
  );
});

test('what the agent refuses is told to the client by status', async (t) => {
  const { agent, dial, states } = await setUp(t);
  await eventually(() => states.at(-1) === true, 'the link out');
  const link = await dial();
  agent.status = 401;
  t.match(await get(link, '/', SOURCE), /^HTTP\/1\.1 403 [^]*POLICY_DENIED/);
  agent.status = 503;
  t.match(await get(link, '/', SOURCE), /^HTTP\/1\.1 503 [^]*CONNECT_FAILED/);
  agent.status = 200;
  t.match(await get(link, '/', SOURCE), /200 OK/);
});

test('a link that is lost is dialled again; while it is away nothing goes round it', async (t) => {
  const { agent, dial, states } = await setUp(t);
  await eventually(() => states.at(-1) === true, 'the link out');
  const link = await dial();
  for (const { socket } of agent.sessions.splice(0)) socket.destroy();
  await eventually(() => states.at(-1) === false, 'its loss');
  const during = await get(link, '/', SOURCE);
  await eventually(() => states.at(-1) === true, 'the next link');
  t.match(during, /^HTTP\/1\.1 (503|200)/);
  t.match(await get(link, '/', SOURCE), /200 OK/);
});

test('nobody but the agent is listened to', async (t) => {
  const { dial, states, proxy } = await setUp(t, 12_345);
  const link = await dial();
  await eventually(() => link.socket.destroyed, 'the end of the link');
  t.equal(link.session.ready, false);
  await eventually(() => proxy.logged.some(({ message }) => message === 'link refused'), 'the log');
  t.strictSame(states, [], 'nor is a stranger dialled');
  t.equal(proxy.counters.read('linksOpen'), 0);
});

test('frames that break HTTP/2 end their link alone', async (t) => {
  const { dial, states, proxy } = await setUp(t);
  await eventually(() => states.at(-1) === true, 'the link out');
  const bad = await dial();
  bad.socket.write(Buffer.alloc(100, 0xff));
  await eventually(() => bad.socket.destroyed, 'the end of the link');
  const good = await dial();
  t.match(await get(good, '/', SOURCE), /200 OK/);
  t.strictSame(proxy.logged, []);
});
