/**
 * Plain sockets of applications inside test pods: servers and connections with half-close left on.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, Socket } from 'node:net';
import { familyOf } from '#common/address.ts';
import { socket } from '#common/sys/libc.ts';
import { inNetns } from '#common/sys/netns.ts';

interface Test {
  after(undo: () => void | Promise<void>): void;
}

/** Serves in a namespace; what it accepts is destroyed when the test ends. */
export async function serve(
  t: Test,
  at: { readonly netns: number; readonly port: number },
  onConnection: (client: Socket) => void,
): Promise<void> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    open.add(client);
    client.on('error', () => client.destroy());
    client.on('close', () => open.delete(client));
    onConnection(client);
  });
  const listening = once(server, 'listening');
  // Without a host, or Node would look that up first and listen after we have left.
  inNetns(at.netns, () => server.listen({ port: at.port, backlog: 1024 }));
  await listening;
  t.after(() => {
    for (const client of open) client.destroy();
    server.close();
  });
}

/** Begins a connection out of a namespace; errors are kept in `errored`, not thrown. */
export function dial(t: Test, netns: number, address: string, port: number): Socket {
  const fd = inNetns(netns, () => socket(familyOf(address)));
  const made = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true });
  made.on('error', () => {});
  made.setNoDelay(true);
  made.connect({ host: address, port });
  t.after(() => {
    made.destroy();
  });
  return made;
}

/** Everything that comes until the end of the stream, which stays open for writing. */
export async function readAll(from: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  // Not `for await`: it destroys the socket when the reading side has ended.
  from.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(from, 'end');
  return Buffer.concat(chunks);
}

/** How a connection ended: `end` for a FIN, or the error's code. */
export async function ending(of: Socket): Promise<string> {
  const over = Promise.withResolvers<string>();
  of.on('error', (error) => over.resolve('code' in error ? String(error.code) : error.message));
  of.on('end', () => over.resolve('end'));
  of.on('close', () => over.resolve('close'));
  of.resume();
  return over.promise;
}

/** The SHA-256 of all that comes, read with a pause after each piece. */
export async function hashSlowly(from: Socket, pauseMs: number): Promise<string> {
  const hash = createHash('sha256');
  from.on('data', (chunk: Buffer) => {
    hash.update(chunk);
    if (pauseMs === 0) return;
    from.pause();
    setTimeout(() => from.resume(), pauseMs);
  });
  await once(from, 'end');
  return hash.digest('hex');
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
