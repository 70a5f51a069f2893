/**
 * Who a workload is: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`.
 *
 * An identity is a branded string, so it can key a Map and be logged as it is, yet no other string
 * passes for one: the only ways in are `identityOf` and `parseIdentity`, which accepts exactly that
 * shape, byte for byte: no percent-decoding, no case folding, no empty part.
 */
declare const brand: unique symbol;
export type Identity = string & { readonly [brand]: 'Identity' };

export interface IdentityParts {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** SPIFFE-ID section 2.1 for the trust domain; the two path segments are Kubernetes names. */
const SHAPE =
  /^spiffe:\/\/([a-z0-9._-]{1,255})\/ns\/([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)\/sa\/([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)$/;

export function identityOf(
  trustDomain: string,
  namespace: string,
  serviceAccount: string,
): Identity {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the brand is minted here
  return `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}` as Identity;
}

/** Returns `uri` as an identity, or undefined when it has any other shape. */
export function parseIdentity(uri: string): Identity | undefined {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the brand is minted here
  return SHAPE.test(uri) ? (uri as Identity) : undefined;
}

/** Takes an identity apart. */
export function identityParts(identity: Identity): IdentityParts {
  const [, , trustDomain = '', , namespace = '', , serviceAccount = ''] = identity.split('/');
  return { trustDomain, namespace, serviceAccount };
}
