/**
 * Checks the tokens of requests: signature, issuer, audience, times.
 *
 * A request without a token passes as one without a token (policy says whether that is enough); a
 * token that is not good in every respect refuses the request. Only signatures by public keys count,
 * so neither `none` nor a shared secret can be slipped in. A good token is remembered for a while,
 * since the same one comes with every request of its owner.
 */
import { createLocalJWKSet, decodeJwt, errors, jwtVerify } from 'jose';
import type { JSONWebKeySet, JWTPayload, JWTVerifyGetKey } from 'jose';
import type { Token } from '#common/decide/http-facts.ts';
import { MeshError } from '#common/errors.ts';
import type { TokenRule } from '#common/mesh/token-rule.ts';
import type { RequestView } from '../routing/request.ts';
import { textAt } from './token-places.ts';

export type TokenCheck =
  | { readonly kind: 'none' }
  | { readonly kind: 'valid'; readonly token: Token }
  /** `reason` names the claim or the key, and never shows the token. */
  | { readonly kind: 'invalid'; readonly reason: string };

type Source = Pick<RequestView, 'header' | 'query'>;

const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];
const TOKEN_MAX = 16_384;
const REMEMBERED_MAX = 10_000;
const REMEMBERED_MS = 60_000;
const NONE: TokenCheck = { kind: 'none' };

interface Issuer {
  readonly rule: TokenRule;
  readonly keys: JWTVerifyGetKey;
}

export class TokenVerifier {
  readonly #issuers = new Map<string, Issuer>();
  readonly #now: () => number;
  readonly #remembered = new Map<
    string,
    { readonly check: TokenCheck; readonly untilMs: number }
  >();

  /** Throws `OBJECT_INVALID` for keys that are no key set. `now` is the wall clock. */
  constructor(rules: readonly TokenRule[], now: () => number) {
    this.#now = now;
    for (const rule of rules) this.#issuers.set(rule.issuer, { rule, keys: keysOf(rule) });
  }

  /** Checks at once when the answer is known; else the promise of it. */
  verify(request: Source): TokenCheck | Promise<TokenCheck> {
    const text = this.#find(request);
    if (text === undefined) return NONE;
    const known = this.#remembered.get(text);
    if (known !== undefined && this.#now() < known.untilMs) return known.check;
    return this.#check(text);
  }

  #find(request: Source): string | undefined {
    for (const { rule } of this.#issuers.values()) {
      for (const place of rule.places) {
        const text = textAt(place, request);
        if (text !== undefined) return text;
      }
    }
    return undefined;
  }

  async #check(text: string): Promise<TokenCheck> {
    if (text.length > TOKEN_MAX) return invalid(`it is longer than ${TOKEN_MAX} characters`);
    const name = issuerOf(text);
    if (name === undefined) return invalid('it is no token that can be read');
    const issuer = this.#issuers.get(name);
    if (issuer === undefined) return invalid(`no rule takes tokens of the issuer "${name}"`);
    const { rule, keys } = issuer;
    try {
      const { payload } = await jwtVerify(text, keys, {
        algorithms: ALGORITHMS,
        issuer: rule.issuer,
        clockTolerance: rule.clockSkewMs / 1000,
        currentDate: new Date(this.#now()),
        ...(rule.audiences.length > 0 ? { audience: [...rule.audiences] } : {}),
      });
      return this.#remember(text, rule, payload);
    } catch (error) {
      return invalid(whyNot(error));
    }
  }

  #remember(text: string, rule: TokenRule, payload: JWTPayload): TokenCheck {
    const { sub = '', exp } = payload;
    const token: Token = { issuer: rule.issuer, subject: sub, claims: payload };
    const check: TokenCheck = { kind: 'valid', token };
    const endMs = exp === undefined ? Infinity : exp * 1000 + rule.clockSkewMs;
    if (this.#remembered.size >= REMEMBERED_MAX) {
      const [oldest = ''] = this.#remembered.keys();
      this.#remembered.delete(oldest);
    }
    this.#remembered.delete(text);
    this.#remembered.set(text, { check, untilMs: Math.min(this.#now() + REMEMBERED_MS, endMs) });
    return check;
  }
}

/** Keys of the set that sign in public; a shared secret among them is left out. */
function keysOf({ issuer, jwks }: TokenRule): JWTVerifyGetKey {
  const refuse = (what: string, cause?: unknown): MeshError =>
    new MeshError('OBJECT_INVALID', `Cannot use the keys of the issuer "${issuer}": ${what}`, {
      cause,
    });
  let parsed: unknown;
  try {
    parsed = JSON.parse(jwks);
  } catch (cause) {
    throw refuse('they are no JSON', cause);
  }
  if (!isKeySet(parsed)) throw refuse('expected a mapping with a list "keys" of keys');
  const keys = parsed.keys.filter(({ kty }) => kty !== 'oct');
  if (keys.length === 0) throw refuse('there is no public key among them');
  return createLocalJWKSet({ keys });
}

function isKeySet(value: unknown): value is JSONWebKeySet {
  if (typeof value !== 'object' || value === null || !('keys' in value)) return false;
  const { keys } = value;
  return (
    Array.isArray(keys) &&
    keys.every(
      (one: unknown) =>
        typeof one === 'object' && one !== null && 'kty' in one && typeof one.kty === 'string',
    )
  );
}

function issuerOf(text: string): string | undefined {
  try {
    return decodeJwt(text).iss ?? '';
  } catch {
    return undefined;
  }
}

function whyNot(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'it has expired';
  if (error instanceof errors.JWTClaimValidationFailed) {
    return error.claim === 'nbf'
      ? 'it is not valid yet'
      : `its claim "${error.claim}" does not fit`;
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'its signature is not right';
  if (error instanceof errors.JWKSNoMatchingKey) return 'no key of its issuer is the one it names';
  if (error instanceof errors.JWKSMultipleMatchingKeys) return 'it does not say which key it means';
  if (error instanceof errors.JOSEAlgNotAllowed) return 'its algorithm is not allowed';
  if (error instanceof errors.JOSEError) return `it cannot be checked (${error.code})`;
  throw error;
}

function invalid(reason: string): TokenCheck {
  return { kind: 'invalid', reason };
}
