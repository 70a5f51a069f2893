/**
 * Small HTTP servers for people and tools: admin, metrics, readiness, queries.
 *
 * Every path is in a table, `/` lists the table, everything else is 404. Request bodies, waiting
 * times and headers are bounded, and so are connections, in all and from one address: whoever can
 * reach the node can reach some of these servers, and must not use up its descriptors. A server on loopback answers only requests that name it as local
 * (`Host`), so that a web page cannot reach it through DNS rebinding; one on a Unix socket is guarded
 * by the mode of its file; one that tells more than anybody may know is behind TLS and asks who calls.
 */
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer, Server as TlsServer } from 'node:https';
import { once } from 'node:events';
import type { Part } from './lifecycle.ts';
import type { Logger } from './log.ts';
import { PublishedSocket } from './published-socket.ts';

export interface Request {
  readonly query: URLSearchParams;
  readonly body: string;
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal;
}

export interface Reply {
  readonly status?: number;
  readonly type?: string;
  readonly body: string | Buffer;
}

export interface AdminRoute {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** One sentence for the index. */
  readonly about: string;
  readonly answer: (request: Request) => Reply | Promise<Reply>;
}

export type ListenAt =
  | { readonly host: string; readonly port: number; readonly localOnly: boolean }
  | { readonly path: string };

/** Who calls, before anything else of the request is looked at. */
export interface Caller {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

/** The server's own certificate; asked for anew every `renewMs`. */
export interface AdminTls {
  readonly credentials: () => { readonly cert: string; readonly key: string };
  readonly renewMs: number;
}

export interface AdminServerOptions {
  readonly name: string;
  readonly routes: readonly AdminRoute[];
  readonly listen: readonly ListenAt[];
  readonly log: Logger;
  readonly maxBodyBytes?: number;
  readonly tls?: AdminTls;
  /** Resolves with the reply that refuses a caller, with undefined for one that may go on. */
  readonly admit?: (caller: Caller) => Promise<Reply | undefined>;
}

const LONGEST_BODY_BYTES = 64 * 1024;
const REQUEST_TIMEOUT_MS = 10_000;
/** How long a client beyond this machine may take none of its answer. */
const STALLED_MS = 30_000;
/** Of one server. */
export const MOST_CONNECTIONS = 256;
/** Of them, from one address beyond this machine. */
export const MOST_FROM_ONE = 16;
const LOCAL_HOST = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/;

/** Spells a value as a JSON reply. */
export function json(value: unknown, status = 200): Reply {
  return { status, type: 'application/json', body: `${JSON.stringify(value, null, 2)}\n` };
}

export function text(body: string, status = 200): Reply {
  return { status, type: 'text/plain; charset=utf-8', body };
}

export class AdminServer implements Part {
  readonly name: string;
  readonly #options: AdminServerOptions;
  readonly #routes: ReadonlyMap<string, AdminRoute>;
  readonly #servers: Server[] = [];
  #renewal: NodeJS.Timeout | undefined;
  readonly #sockets: PublishedSocket[] = [];

  constructor(options: AdminServerOptions) {
    this.name = options.name;
    this.#options = options;
    this.#routes = new Map(options.routes.map((route) => [`${route.method} ${route.path}`, route]));
  }

  async start(): Promise<void> {
    for (const at of this.#options.listen) {
      const localOnly = 'localOnly' in at && at.localOnly;
      const socket = 'path' in at ? new PublishedSocket(at.path) : undefined;
      await socket?.sweep();
      const server = this.#create((request, response) => {
        void this.#serve(request, response, localOnly);
      });
      server.maxConnections = MOST_CONNECTIONS;
      if ('host' in at && !localOnly) limitEach(server);
      if (socket !== undefined) server.listen(socket.own);
      else if ('host' in at) server.listen({ port: at.port, host: at.host, reusePort: true });
      await once(server, 'listening');
      // The directory is root's alone (0700), so the moment before chmod opens nothing.
      socket?.publish();
      if (socket !== undefined) this.#sockets.push(socket);
      this.#servers.push(server);
    }
    const { tls } = this.#options;
    if (tls !== undefined) this.#renewal = setInterval(() => this.renew(), tls.renewMs).unref();
  }

  /** Where it listens on TCP: of use when a port was 0. */
  get addresses(): { readonly host: string; readonly port: number }[] {
    return this.#servers.flatMap((server) => {
      const at = server.address();
      return at === null || typeof at === 'string' ? [] : [{ host: at.address, port: at.port }];
    });
  }

  /** Takes a new certificate for connections from now on. */
  renew(): void {
    const { tls } = this.#options;
    for (const server of this.#servers) {
      if (server instanceof TlsServer && tls !== undefined) {
        server.setSecureContext({ ...tls.credentials(), minVersion: 'TLSv1.3' });
      }
    }
  }

  async stop(): Promise<void> {
    clearInterval(this.#renewal);
    for (const socket of this.#sockets.splice(0)) socket.withdraw();
    for (const server of this.#servers.splice(0)) {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    }
  }

  #create(serve: (request: IncomingMessage, response: ServerResponse) => void): Server {
    const { tls } = this.#options;
    if (tls === undefined) return createServer(TIMEOUTS, serve);
    return createTlsServer({ ...TIMEOUTS, ...tls.credentials(), minVersion: 'TLSv1.3' }, serve);
  }

  async #serve(
    request: IncomingMessage,
    response: ServerResponse,
    localOnly: boolean,
  ): Promise<void> {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    response.on('error', () => gone.abort());
    try {
      const reply = await this.#answer(request, localOnly, gone.signal);
      response.writeHead(reply.status ?? 200, {
        'content-type': reply.type ?? 'text/plain; charset=utf-8',
        'x-content-type-options': 'nosniff',
      });
      response.end(reply.body);
    } catch (error) {
      this.#options.log.warn('admin request failed', {
        server: this.name,
        path: request.url,
        error,
      });
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' });
      response.end(`${error instanceof Error ? error.message : String(error)}\n`);
    }
  }

  async #answer(request: IncomingMessage, localOnly: boolean, signal: AbortSignal): Promise<Reply> {
    if (localOnly && !LOCAL_HOST.test(request.headers.host ?? '')) {
      return text('this server answers only requests for localhost\n', 403);
    }
    const [path = '/', search = ''] = (request.url ?? '/').split('?', 2);
    const { method = '', headers } = request;
    const refusal = await this.#options.admit?.({ method, path, headers });
    if (refusal !== undefined) return refusal;
    if (path === '/') return text(this.#index());
    const route = this.#routes.get(`${request.method} ${path}`);
    if (route === undefined) {
      const other = this.#options.routes.find((one) => one.path === path);
      if (other !== undefined) return text(`use ${other.method} for ${path}\n`, 405);
      return text(`no such path "${path}"; GET / lists all\n`, 404);
    }
    const body = await readBody(request, this.#options.maxBodyBytes ?? LONGEST_BODY_BYTES);
    if (body === undefined) return text('the request body is too large\n', 413);
    return route.answer({ query: new URLSearchParams(search), body, signal });
  }

  #index(): string {
    const lines = this.#options.routes.map(
      ({ method, path, about }) => `${method} ${path}  ${about}`,
    );
    return `${this.name}\n${lines.join('\n')}\n`;
  }
}

const TIMEOUTS = {
  headersTimeout: REQUEST_TIMEOUT_MS,
  requestTimeout: REQUEST_TIMEOUT_MS,
  connectionsCheckingInterval: REQUEST_TIMEOUT_MS / 2,
};

/** Lets no address have more than its share of the connections, nor keep one without using it. */
function limitEach(server: Server): void {
  const open = new Map<string, number>();
  server.setTimeout(STALLED_MS);
  server.on('connection', (socket) => {
    const from = socket.remoteAddress ?? '';
    const count = (open.get(from) ?? 0) + 1;
    if (count > MOST_FROM_ONE) {
      socket.destroy();
      return;
    }
    open.set(from, count);
    socket.once('close', () => {
      const left = (open.get(from) ?? 1) - 1;
      if (left === 0) open.delete(from);
      else open.set(from, left);
    });
  });
}

async function readBody(request: IncomingMessage, most: number): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) throw new TypeError('a request body is read as bytes');
    length += chunk.length;
    if (length > most) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
