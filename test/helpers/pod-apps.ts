/**
 * Small servers and clients inside test pods, run in this process: sockets are made in the pod's
 * namespace, the rest happens here, so that a test sees both ends at once.
 */
import { once } from 'node:events';
import { createServer, type Server, Socket } from 'node:net';
import { familyOf } from '#common/address.ts';
import { localOf, socket } from '#common/sys/libc.ts';
import { inNetns } from '#common/sys/netns.ts';
import { MARKER } from './wire-watch.ts';

/** What the tests need of tap's `t`. */
interface Test {
  after(undo: () => void | Promise<void>): void;
}

/**
 * Serves in a namespace: sends `<marker> <client address>` and a line end, then echoes. The marker is
 * what a wire watch looks for; `PodClient` takes it away again.
 */
export async function greeter(
  t: Test,
  netns: number,
  port: number,
): Promise<{ readonly clients: string[] }> {
  const clients: string[] = [];
  const open = new Set<Socket>();
  const server: Server = createServer((client) => {
    const from = (client.remoteAddress ?? '').replace(/^::ffff:/, '');
    clients.push(from);
    open.add(client);
    client.on('error', () => client.destroy());
    client.on('close', () => open.delete(client));
    client.write(`${MARKER} ${from}\n`);
    client.pipe(client);
  });
  const listening = once(server, 'listening');
  // Without a host, or Node would look that up first and listen after we have left.
  inNetns(netns, () => server.listen({ port, backlog: 1024 }));
  await listening;
  t.after(() => {
    for (const client of open) client.destroy();
    server.close();
  });
  return { clients };
}

/** A connection out of a namespace. */
export class PodClient {
  readonly socket: Socket;
  readonly fd: number;
  #text = '';

  constructor(netns: number, address: string, port: number) {
    this.fd = inNetns(netns, () => socket(familyOf(address)));
    this.socket = new Socket({ fd: this.fd, readable: true, writable: true });
    this.socket.setEncoding('utf8');
    this.socket.on('data', (text: string) => (this.#text += text));
    this.socket.on('error', () => {});
    this.socket.connect({ host: address, port });
  }

  get localPort(): number {
    return localOf(this.fd)?.port ?? 0;
  }

  /** Waits for the next line; rejects when the connection ends or nothing comes. */
  async line(timeoutMs = 3000): Promise<string> {
    const signal = AbortSignal.timeout(timeoutMs);
    for (;;) {
      const end = this.#text.indexOf('\n');
      if (end >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 1);
        return line.replace(`${MARKER} `, '');
      }
      if (this.socket.errored !== null) throw this.socket.errored;
      if (this.socket.destroyed) throw new Error('Cannot read a line: the connection has ended');
      await Promise.race([
        once(this.socket, 'data', { signal }),
        once(this.socket, 'close', { signal }),
      ]);
    }
  }

  /** Sends a line and waits for its echo. */
  async echo(line: string): Promise<boolean> {
    this.socket.write(`${MARKER} ${line}\n`);
    return (await this.line()) === line;
  }

  end(): void {
    this.socket.destroy();
  }
}

/** Connects, and returns the address from which the greeter saw it; rejects when refused. */
export async function greet(netns: number, address: string, port: number): Promise<string> {
  const client = new PodClient(netns, address, port);
  try {
    return await client.line();
  } finally {
    client.end();
  }
}
