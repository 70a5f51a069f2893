/**
 * What policy may look at in a connection, worked out once for all rules.
 *
 * Without an identity there is no principal, namespace or account: nothing that asks for one can
 * match, and nothing that excludes one can exclude.
 */
import { parseAddress } from '../address.ts';
import { identityParts } from '../identity.ts';
import type { Identity } from '../identity.ts';

/** An inbound connection, as policy sees it. */
export interface Connection {
  /** What the peer's certificate says; undefined for a connection in clear. */
  readonly identity: Identity | undefined;
  /** Canonical text of the TCP peer. */
  readonly sourceAddress: string;
  readonly destinationAddress: string;
  /** The port of the application, after a service port has been resolved. */
  readonly destinationPort: number;
}

export interface Facts {
  /** The identity without `spiffe://`. */
  readonly principal: string | undefined;
  readonly namespace: string | undefined;
  /** `<namespace>/<service account>`. */
  readonly account: string | undefined;
  readonly source: Address;
  readonly destination: Address;
  readonly port: number;
}

/** An address that is none has no bytes: no CIDR holds it, and every exclusion does. */
export interface Address {
  readonly text: string;
  readonly bytes: Uint8Array | undefined;
}

export function factsOf(connection: Connection): Facts {
  const { identity, sourceAddress, destinationAddress, destinationPort } = connection;
  const parts = identity === undefined ? undefined : identityParts(identity);
  return {
    principal: identity?.slice('spiffe://'.length),
    namespace: parts?.namespace,
    account: parts === undefined ? undefined : `${parts.namespace}/${parts.serviceAccount}`,
    source: { text: sourceAddress, bytes: parseAddress(sourceAddress) },
    destination: { text: destinationAddress, bytes: parseAddress(destinationAddress) },
    port: destinationPort,
  };
}
