/**
 * An agent reduced to what capture needs: it accepts what the rules lead to it and carries it on in
 * clear, outward to where it was bound for, inward to the application from the client's own
 * address. It notes every connection that it carried, and reports probes to a prover.
 */
import { createServer, type Server, Socket } from 'node:net';
import { familyOf } from '#common/address.ts';
import { socket } from '#common/sys/libc.ts';
import { inNetns } from '#common/sys/netns.ts';
import { bind } from '#common/sys/libc.ts';
import { mark, originalDestination, transparent } from '#common/sys/socket-options.ts';
import type { ProbeArrival, ProbeToken, Prover } from '../../node-agent/capture/proof.ts';
import { AGENT_MARK, CAPTURE_PORTS } from '../../node-agent/capture/rules.ts';

export interface Carried {
  readonly podUid: string;
  readonly direction: 'outbound' | 'inbound';
  readonly client: string;
  readonly address: string;
  readonly port: number;
}

export class RelayAgent {
  readonly carried: Carried[] = [];
  prover: Prover | undefined;
  readonly #servers = new Map<string, Server[]>();
  readonly #sockets = new Set<Socket>();
  readonly #tokens = new Set<string>();

  readonly expect = async (token: ProbeToken): Promise<void> => {
    this.#tokens.add(tokenKey(token));
  };
  readonly forget = (token: ProbeToken): void => {
    this.#tokens.delete(tokenKey(token));
  };

  /** Opens the listeners in a pod, as `enrol` wants it. */
  async listen(podUid: string, netns: number): Promise<void> {
    const servers = [
      this.#server(netns, podUid, 'outbound', CAPTURE_PORTS.outbound),
      this.#server(netns, podUid, 'inbound', CAPTURE_PORTS.inbound),
    ];
    this.#servers.set(podUid, await Promise.all(servers));
  }

  /** Takes no new connections in this pod; those that there are go on. */
  stopListening(podUid: string): void {
    for (const server of this.#servers.get(podUid) ?? []) server.close();
    this.#servers.delete(podUid);
  }

  /** Ends everything, as the death of the agent does. */
  stop(): void {
    for (const podUid of this.#servers.keys()) this.stopListening(podUid);
    for (const open of this.#sockets) open.destroy();
  }

  async #server(
    netns: number,
    podUid: string,
    direction: Carried['direction'],
    port: number,
  ): Promise<Server> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) =>
      this.#accept(netns, podUid, direction, client),
    );
    const listening = new Promise((resolve) => server.once('listening', resolve));
    // Without a host, or Node would look that up first and listen after we have left.
    inNetns(netns, () => server.listen({ port, backlog: 1024 }));
    await listening;
    return server;
  }

  #accept(netns: number, podUid: string, direction: Carried['direction'], client: Socket): void {
    client.on('error', () => client.destroy());
    const bound = originalDestination(fdOf(client));
    // Who has reset it meanwhile has no address any more.
    const from = client.remoteAddress?.replace(/^::ffff:/, '');
    if (bound === undefined || from === undefined) {
      client.destroy();
      return;
    }
    const token = { podUid, ...bound };
    if (this.#tokens.has(tokenKey(token))) {
      const arrival: ProbeArrival = { ...token, direction, sourcePort: client.remotePort ?? 0 };
      this.prover?.arrived(arrival);
      client.destroy();
      return;
    }
    this.carried.push({ podUid, direction, client: from, ...bound });
    const fd = inNetns(netns, () => socket(familyOf(bound.address)));
    mark(fd, AGENT_MARK);
    if (direction === 'inbound' && familyOf(from) === familyOf(bound.address)) {
      transparent(fd, familyOf(from));
      bind(fd, from, 0);
    }
    const upstream = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true });
    upstream.connect({ host: bound.address, port: bound.port });
    this.#join(client, upstream);
  }

  #join(client: Socket, upstream: Socket): void {
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      this.#sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => this.#sockets.delete(one));
      one.pipe(other);
    }
  }
}

function tokenKey({ podUid, address, port }: ProbeToken): string {
  return `${podUid} ${address} ${port}`;
}

/** Node offers no public way from a socket to its descriptor; this is the private one. */
function fdOf(open: Socket): number {
  const handle: unknown = Reflect.get(open, '_handle');
  const fd: unknown = handle instanceof Object ? Reflect.get(handle, 'fd') : undefined;
  if (typeof fd !== 'number') throw new TypeError('Cannot find a descriptor: the socket is closed');
  return fd;
}
