/**
 * What policy may look at in a request: the facts of its connection, and those of the request.
 */
import { parseAddress } from '../address.ts';
import { factsOf } from './facts.ts';
import type { Address, Connection, Facts } from './facts.ts';

/** A token whose signature, issuer and times have been checked. */
export interface Token {
  readonly issuer: string;
  readonly subject: string;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** A request, as policy sees it. */
export interface HttpCall {
  readonly connection: Connection;
  readonly method: string;
  /** Without a port. */
  readonly host: string;
  /** Normalised, without the query. */
  readonly path: string;
  /** Canonical text of the address from which the call came in the first place. */
  readonly remoteAddress: string;
  readonly token: Token | undefined;
  header(name: string): string | undefined;
}

export interface HttpFacts extends Facts {
  readonly method: string;
  /** Lower case. */
  readonly host: string;
  readonly path: string;
  readonly remote: Address;
  /** `<issuer>/<subject>`; undefined without a token. */
  readonly requestPrincipal: string | undefined;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly header: (name: string) => string | undefined;
}

const NO_CLAIMS: Readonly<Record<string, unknown>> = Object.freeze({});

/** A connection has many requests, and the same facts for all of them. */
const factsByConnection = new WeakMap<Connection, Facts>();

export function httpFactsOf(call: HttpCall): HttpFacts {
  const { token, remoteAddress, connection } = call;
  let facts = factsByConnection.get(connection);
  if (facts === undefined) {
    facts = factsOf(connection);
    factsByConnection.set(connection, facts);
  }
  const isSource = remoteAddress === facts.source.text;
  return {
    principal: facts.principal,
    namespace: facts.namespace,
    account: facts.account,
    source: facts.source,
    destination: facts.destination,
    port: facts.port,
    method: call.method,
    host: call.host.toLowerCase(),
    path: call.path,
    remote: isSource ? facts.source : { text: remoteAddress, bytes: parseAddress(remoteAddress) },
    requestPrincipal: token && `${token.issuer}/${token.subject}`,
    claims: token?.claims ?? NO_CLAIMS,
    header: (name) => call.header(name),
  };
}

/** The texts that stand in a token at `path`: of a list, each item; empty when there is nothing. */
export function claimTexts(
  claims: Readonly<Record<string, unknown>>,
  path: readonly string[],
): readonly string[] {
  let found: unknown = claims;
  for (const name of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name)) return [];
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- an object that has this name as its own
    found = (found as Record<string, unknown>)[name];
  }
  const all: unknown[] = Array.isArray(found) ? found : [found];
  return all.flatMap((one) => {
    if (typeof one === 'string') return [one];
    return typeof one === 'number' || typeof one === 'boolean' ? [`${one}`] : [];
  });
}
