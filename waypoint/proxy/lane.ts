/**
 * The connections to one endpoint for one source.
 *
 * The endpoint judges a connection by its source, so none ever carries requests of two. The one used
 * last is used first, so that those too many grow old and end. HTTP/2 connections are filled before
 * another is opened.
 */
import type { Answerer, Exchange } from './exchange.ts';
import { Http1Client } from './http1-client.ts';
import { Http2Client } from './http2-client.ts';
import { MOST_CONNECTIONS, MOST_IDLE } from './limits.ts';
import type { Destination } from './router.ts';
import type { Shared } from './shared.ts';

export class Lane {
  readonly to: Destination;
  readonly source: string;
  readonly #shared: Shared;
  readonly #idle: Http1Client[] = [];
  readonly #sessions: Http2Client[] = [];
  #open = 0;

  constructor(shared: Shared, to: Destination, source: string) {
    this.#shared = shared;
    this.to = to;
    this.source = source;
  }

  get isEmpty(): boolean {
    return this.#open === 0;
  }

  take(exchange: Exchange): Answerer | undefined {
    if (this.to.protocol === 'http2') return this.#takeStream(exchange);
    const client = this.#idle.pop();
    if (client === undefined) return this.fresh(exchange);
    client.begin(exchange, true);
    return client;
  }

  /** A connection of HTTP/1.1 that was never used; undefined when there are too many. */
  fresh(exchange: Exchange): Http1Client | undefined {
    if (this.#open >= MOST_CONNECTIONS) return undefined;
    const client = Http1Client.open(this.#shared, this);
    if (client === undefined) return undefined;
    this.#open += 1;
    client.begin(exchange, false);
    return client;
  }

  /** Keeps a connection for later; false when there are enough, and it is to be closed. */
  giveBack(client: Http1Client): boolean {
    if (this.#idle.length >= MOST_IDLE) return false;
    this.#idle.push(client);
    return true;
  }

  /** A connection has ended. */
  remove(client: Http1Client | Http2Client): void {
    this.#open -= 1;
    if (client instanceof Http1Client) drop(this.#idle, client);
    else drop(this.#sessions, client);
  }

  /** A session takes no new streams; those that it has go on. */
  retire(client: Http2Client): void {
    drop(this.#sessions, client);
  }

  #takeStream(exchange: Exchange): Answerer | undefined {
    for (const session of this.#sessions) {
      const answerer = session.take(exchange);
      if (answerer !== undefined) return answerer;
    }
    if (this.#open >= MOST_CONNECTIONS) return undefined;
    const session = Http2Client.open(this.#shared, this);
    if (session === undefined) return undefined;
    this.#open += 1;
    this.#sessions.push(session);
    return session.take(exchange);
  }
}

function drop<T>(list: T[], one: T): void {
  const at = list.indexOf(one);
  if (at >= 0) list.splice(at, 1);
}
