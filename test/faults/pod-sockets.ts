/** Sockets of applications in pods, for scenarios that need more of them than the load offers. */
import { once } from 'node:events';
import { createServer, Socket } from 'node:net';
import { familyOf } from '#common/address.ts';
import { socket as newSocket } from '#common/sys/libc.ts';
import { inNetns } from '#common/sys/netns.ts';
import type { Undo } from './scenario.ts';

/** Serves in a namespace until it is undone. */
export async function serve(
  undo: Pick<Undo, 'after'>,
  at: { readonly fd: number; readonly port: number },
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
  inNetns(at.fd, () => server.listen({ port: at.port, backlog: 4096 }));
  await listening;
  undo.after(() => {
    for (const client of open) client.destroy();
    server.close();
  });
}

/** Begins a connection out of a namespace; its end by the other side leaves ours open. */
export function dial(
  undo: Pick<Undo, 'after'>,
  from: { readonly fd: number },
  to: { readonly address: string; readonly port: number },
): Socket {
  const fd = inNetns(from.fd, () => newSocket(familyOf(to.address)));
  const socket = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true });
  socket.on('error', () => socket.destroy());
  undo.after(() => void socket.destroy());
  socket.connect({ host: to.address, port: to.port });
  return socket;
}
