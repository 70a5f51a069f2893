import { createSecretKey } from 'node:crypto';
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose';
import type { CryptoKey, JWTPayload, KeyObject } from 'jose';
import { test } from 'tap';
import { DEFAULT_TOKEN_PLACES } from '#common/mesh/token-rule.ts';
import type { TokenRule } from '#common/mesh/token-rule.ts';
import { TokenVerifier } from '../../../waypoint/tokens/token-verifier.ts';
import type { TokenCheck } from '../../../waypoint/tokens/token-verifier.ts';
import { request } from '../../helpers/routes.ts';

const NOW_MS = Date.UTC(2026, 10, 1);
const NOW = NOW_MS / 1000;
const SECRET = createSecretKey(Buffer.from('a secret that somebody put beside the public keys'));

interface Setup {
  readonly rule: TokenRule;
  readonly clock: { ms: number };
  readonly verifier: TokenVerifier;
  readonly sign: (payload: JWTPayload, how?: Signing) => Promise<string>;
}

interface Signing {
  readonly alg?: string;
  readonly kid?: string;
  readonly key?: CryptoKey | KeyObject;
}

async function setUp(more: Partial<TokenRule> = {}): Promise<Setup> {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const jwks = JSON.stringify({
    keys: [
      { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256' },
      { kty: 'oct', kid: 'shared', k: SECRET.export().toString('base64url') },
    ],
  });
  const rule: TokenRule = {
    issuer: 'https://id.example',
    audiences: [],
    jwks,
    places: DEFAULT_TOKEN_PLACES,
    clockSkewMs: 60_000,
    ...more,
  };
  const clock = { ms: NOW_MS };
  const verifier = new TokenVerifier([rule], () => clock.ms);
  const sign = (payload: JWTPayload, how: Signing = {}): Promise<string> =>
    new SignJWT({ iss: rule.issuer, sub: 'ann', exp: NOW + 600, ...payload })
      .setProtectedHeader({ alg: how.alg ?? 'ES256', kid: how.kid ?? 'k1' })
      .sign(how.key ?? privateKey);
  return { rule, clock, verifier, sign };
}

function bearer(token: string): ReturnType<typeof request> {
  return request('/', { authorization: `Bearer ${token}` });
}

async function reasonOf(check: TokenCheck | Promise<TokenCheck>): Promise<string> {
  const found = await check;
  return found.kind === 'invalid' ? found.reason : found.kind;
}

test('TokenVerifier takes a token that is good, and shows policy what is in it', async (t) => {
  const { verifier, sign } = await setUp();
  const check = await verifier.verify(bearer(await sign({ aud: ['shop'], role: 'admin' })));
  t.match(check, {
    kind: 'valid',
    token: { issuer: 'https://id.example', subject: 'ann', claims: { role: 'admin' } },
  });
  t.equal((await verifier.verify(request('/'))).kind, 'none');
  t.equal((await verifier.verify(request('/', { authorization: 'Basic YTpi' }))).kind, 'none');
});

test('TokenVerifier refuses a token that is not good in every respect', async (t) => {
  const { verifier, sign, rule } = await setUp({ audiences: ['shop'] });
  const other = await generateKeyPair('ES256');
  const good = { aud: 'shop' };
  const [head = '', body = '', signature = ''] = (await sign(good)).split('.');
  const forged = Buffer.from(JSON.stringify({ iss: rule.issuer, aud: 'shop', sub: 'root' }));
  const table: readonly (readonly [name: string, token: string, reason: RegExp])[] = [
    ['good', await sign(good), /^valid$/],
    ['expired', await sign({ ...good, exp: NOW - 61 }), /has expired/],
    ['within the skew', await sign({ ...good, exp: NOW - 59 }), /^valid$/],
    ['not valid yet', await sign({ ...good, nbf: NOW + 61 }), /not valid yet/],
    ['for somebody else', await sign({ aud: 'bank' }), /claim "aud" does not fit/],
    ['for nobody', await sign({}), /claim "aud" does not fit/],
    [
      'of another issuer',
      await sign({ ...good, iss: 'https://evil' }),
      /no rule takes tokens of the issuer "https:\/\/evil"/,
    ],
    ['by another key', await sign(good, { key: other.privateKey }), /signature is not right/],
    ['by a key nobody knows', await sign(good, { kid: 'k9' }), /no key of its issuer/],
    [
      'with another body',
      [head, forged.toString('base64url'), signature].join('.'),
      /signature is not right/,
    ],
    ['without a signature', [head, body, ''].join('.'), /signature is not right/],
    [
      'by a shared secret',
      await sign(good, { alg: 'HS256', kid: 'shared', key: SECRET }),
      /algorithm is not allowed/,
    ],
    [
      'by none',
      new UnsecuredJWT({ ...good, iss: rule.issuer }).encode(),
      /cannot be checked|not allowed/,
    ],
    ['no token', 'abc', /no token that can be read/],
    ['too long', `${head}.${'a'.repeat(20_000)}.${signature}`, /longer than/],
  ];
  for (const [name, token, reason] of table) {
    t.match(await reasonOf(verifier.verify(bearer(token))), reason, name);
  }
});

test('TokenVerifier looks for tokens where the rule says', async (t) => {
  const { verifier, sign } = await setUp({
    places: [
      { kind: 'header', name: 'x-token', prefix: '' },
      { kind: 'cookie', name: 'session' },
      { kind: 'parameter', name: 'token' },
    ],
  });
  const token = await sign({});
  t.equal(await reasonOf(verifier.verify(request('/', { 'x-token': token }))), 'valid');
  t.equal(
    await reasonOf(verifier.verify(request('/', { cookie: `a=1; session=${token}` }))),
    'valid',
  );
  t.equal(await reasonOf(verifier.verify(request(`/?token=${token}`))), 'valid');
  t.equal(await reasonOf(verifier.verify(bearer(token))), 'none');
  const plain = await setUp();
  const lower = request('/', { authorization: `bearer ${await plain.sign({})}` });
  t.equal(await reasonOf(plain.verifier.verify(lower)), 'valid', 'schemes have no case');
});

test('TokenVerifier answers at once for a token that it knows, until that ends', async (t) => {
  const { verifier, sign, clock } = await setUp();
  const token = await sign({ exp: NOW + 30 });
  const asked = bearer(token);
  t.ok(verifier.verify(asked) instanceof Promise);
  await verifier.verify(asked);
  t.match(verifier.verify(asked), { kind: 'valid' });
  clock.ms += 59_000;
  t.match(verifier.verify(asked), { kind: 'valid' });
  clock.ms += 31_001;
  t.match(await reasonOf(verifier.verify(asked)), /has expired/);
});

test('TokenVerifier refuses keys that are none', async (t) => {
  const { rule } = await setUp();
  const made = (jwks: string) => () => new TokenVerifier([{ ...rule, jwks }], () => NOW_MS);
  t.throws(made('{'), { code: 'OBJECT_INVALID', message: /no JSON/ });
  t.throws(made('{"keys":{}}'), { code: 'OBJECT_INVALID', message: /a list "keys"/ });
  t.throws(made('{"keys":[{"kty":"oct","k":"eA"}]}'), {
    code: 'OBJECT_INVALID',
    message: /no public key/,
  });
  t.doesNotThrow(made(rule.jwks));
});
