/**
 * What the proxy asks of whoever decides about requests.
 *
 * A decision is made once the head is known, from the narrowest view that routing needs; the proxy
 * carries it out and knows nothing of routes, policies or balancing.
 */
import { formatForwarded } from '#common/hbone/hints.ts';
import type { Fields } from './fields.ts';

export interface RequestView {
  readonly method: string;
  /** Host name of the authority: lower case, without a port. */
  readonly host: string;
  /** As it came, without the query. */
  readonly path: string;
  /** Without its `?`; '' for none. */
  readonly query: string;
  /** Value of a header by its lower-case name; several of one name are joined by `, `. */
  header(name: string): string | undefined;
}

/** Who asks, and for what, as the connection tells: the same for all its requests. */
export interface Caller {
  /** Identity that the agent has verified; '' where nobody has. */
  readonly source: string;
  /** Who it is for the application, as `forwarded` spells it; '' when nobody knows. */
  readonly forwarded: string;
  /** The same as `x-forwarded-client-cert` spells it; '' without a verified identity. */
  readonly clientCert: string;
  /** Where the connection was bound for: `VIP:port`, `podIP:port` or `host:port`; '' at a listener. */
  readonly authority: string;
}

/** What a connection tells of its client; `address` is an `address:port` or ''. */
export function callerOf(source: string, address: string, authority: string): Caller {
  const forwarded = address === '' ? '' : formatForwarded(address);
  return { source, authority, forwarded, clientCert: source === '' ? '' : `URI=${source}` };
}

/** An endpoint; the same object for as long as it is the same endpoint, since pools go by it. */
export interface Destination {
  readonly address: string;
  readonly port: number;
  readonly protocol: 'http1' | 'http2';
}

export interface Forward {
  readonly kind: 'forward';
  readonly to: Destination;
  /** From the whole head to the whole response; 0 for no limit. */
  readonly timeoutMs: number;
  /** Path and query to send instead; undefined: as it came. */
  readonly target?: string;
  /** Host to send instead of the one that came. */
  readonly host?: string;
  /** Changes the fields of the request, those of the response. */
  readonly onRequest?: (fields: Fields) => void;
  readonly onResponse?: (fields: Fields) => void;
  /** Called once for each, however it ends; `status` is 0 when there was no answer. */
  readonly onEnd?: (ending: Ending, status: number) => void;
}

/** How a request that was sent on has ended; `abandoned` is no fault of the endpoint. */
export type Ending = 'answered' | 'connect-failed' | 'failed' | 'timeout' | 'abandoned';

export interface Answer {
  readonly kind: 'answer';
  readonly status: number;
  /** Code that says why, for people and programs. */
  readonly reason: string;
  readonly headers?: readonly (readonly [name: string, value: string])[];
}

export interface Router {
  decide(request: RequestView, caller: Caller): Forward | Answer;
}
