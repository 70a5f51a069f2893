/**
 * Which tokens (JWT) a waypoint or gateway takes, of one issuer: a rule of a RequestAuthentication.
 *
 * Plain data. Keys are here in full: the controller fetches them, so a waypoint asks nobody.
 */
export interface TokenRule {
  readonly issuer: string;
  /** One of them must be among those of the token; empty for any. */
  readonly audiences: readonly string[];
  /** A JSON Web Key Set. */
  readonly jwks: string;
  /** Where a token is looked for, in this order. */
  readonly places: readonly TokenPlace[];
  readonly clockSkewMs: number;
}

export type TokenPlace =
  | { readonly kind: 'header'; readonly name: string; readonly prefix: string }
  | { readonly kind: 'cookie' | 'parameter'; readonly name: string };

/** Where a token is looked for when its rule does not say. */
export const DEFAULT_TOKEN_PLACES: readonly TokenPlace[] = [
  { kind: 'header', name: 'authorization', prefix: 'Bearer ' },
  { kind: 'parameter', name: 'access_token' },
];

export const DEFAULT_CLOCK_SKEW_MS = 60_000;
