import { execFileSync } from 'node:child_process';
import type { KeyObject } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { test } from 'tap';
import { identityOf } from '#common/identity.ts';
import { identityIn, readCertificate, renewalTime } from '#common/tls/certificate.ts';
import { makeRequest, readRequest } from '#common/tls/csr.ts';
import {
  embed,
  extension,
  integer,
  OID,
  octets,
  oid,
  pem,
  sequence,
  set,
  signed,
  tagged,
  uriName,
  utf8,
  type Asn1,
} from '#common/tls/der-write.ts';
import { readElement, childrenOf, readOid } from '#common/tls/der-read.ts';
import { isController, readRoots, splitPem, verifyChain } from '#common/tls/trust.ts';
import { ed25519Keys, ecKeys, makeAuthority, makeLeaf, node, rsaKeys } from '../../helpers/pki.ts';

const cart = identityOf('cluster.local', 'shop', 'cart');

test('identityIn() finds one identity, and nothing in certificates that name it otherwise', async (t) => {
  const root = makeAuthority();
  const table: [string, Parameters<typeof makeLeaf>[1], string | undefined][] = [
    ['one URI', {}, cart],
    ['no name', { uris: [] }, undefined],
    ['DNS only', { uris: [], dns: ['cart.shop'] }, undefined],
    ['DNS beside', { dns: ['cart.shop'] }, undefined],
    ['two URIs', { uris: [cart, 'spiffe://cluster.local/ns/shop/sa/web'] }, undefined],
    ['the same twice', { uris: [cart, cart] }, undefined],
    ['NUL at the end', { uris: [`${cart}\0`] }, undefined],
    ['NUL inside', { uris: [`${cart}\0.evil`] }, undefined],
    ['upper-case scheme', { uris: [cart.replace('spiffe', 'SPIFFE')] }, undefined],
    ['upper-case host', { uris: [cart.replace('cluster', 'Cluster')] }, undefined],
    ['percent', { uris: [cart.replace('cart', 'c%61rt')] }, undefined],
    ['slash at the end', { uris: [`${cart}/`] }, undefined],
    ['dot segments', { uris: ['spiffe://cluster.local/ns/shop/../bank/sa/cart'] }, undefined],
    ['query', { uris: [`${cart}?a=b`] }, undefined],
    ['comma, as in printed names', { uris: [`x, URI:${cart}`] }, undefined],
    ['latin-1', { uris: [cart.replace('cart', 'c\u00e4rt')] }, undefined],
    ['empty', { uris: [''] }, undefined],
    ['8 KB', { uris: [`spiffe://cluster.local/ns/shop/sa/${'a'.repeat(8192)}`] }, undefined],
    ['OTHERNAME', { uris: [], names: [node(0xa0, Buffer.from(cart))] }, undefined],
    ['OTHERNAME beside', { names: [node(0xa0, Buffer.from('x'))] }, undefined],
    ['other trust domain', { uris: ['spiffe://x.y/ns/a/sa/b'] }, 'spiffe://x.y/ns/a/sa/b'],
  ];
  for (const [name, options, expected] of table) {
    t.equal(identityIn(readCertificate(makeLeaf(root, options).pem)), expected, name);
  }
});

test('isController() takes only the one name that no workload can have', async (t) => {
  const root = makeAuthority();
  const named = (...uris: string[]): boolean =>
    isController(readCertificate(makeLeaf(root, { uris }).pem));
  t.equal(named('spiffe://cluster.local/plumbline/controller'), true);
  t.equal(named(cart), false);
  t.equal(named('spiffe://cluster.local/plumbline/controller', cart), false);
  t.equal(named('spiffe://cluster.local/plumbline/controller\0'), false);
  t.equal(named(), false);
});

test('readCertificate() refuses what is no certificate', async (t) => {
  for (const input of ['', 'x', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n']) {
    t.throws(() => readCertificate(input), { code: 'CERTIFICATE_INVALID' });
  }
  t.throws(() => readCertificate('x'.repeat(40_000)), { code: 'CERTIFICATE_INVALID' });
});

test('verifyChain() takes a leaf, its issuer and a root, within their lives', async (t) => {
  const root = makeAuthority('root');
  const issuing = makeAuthority('issuing', { issuer: root });
  const leaf = makeLeaf(issuing);
  const other = makeAuthority('root');
  const nowMs = Date.now();
  const verdict = (chain: string, roots = [root.pem], at = nowMs): string => {
    try {
      return verifyChain(chain, roots, at).authority;
    } catch (error) {
      return error instanceof Error ? error.message : '';
    }
  };
  const good = leaf.pem + issuing.pem;
  t.equal(verdict(good), readCertificate(root.pem).fingerprint);
  t.equal(verdict(good, [other.pem, root.pem]), readCertificate(root.pem).fingerprint);
  const notCa = makeLeaf(root, { name: 'issuing' });
  const expired = makeLeaf(issuing, { from: -7200, until: -3600 });
  const table: [string, string, RegExp][] = [
    ['another root of the same name', verdict(good, [other.pem]), /none of the roots/],
    ['no root', verdict(good, []), /no certificate/],
    ['a leaf as root', verdict(good, [leaf.pem]), /no CA certificate/],
    ['the leaf alone', verdict(leaf.pem), /must be a leaf and its issuing/],
    ['three', verdict(good + root.pem), /must be a leaf and its issuing/],
    ['the wrong way round', verdict(issuing.pem + leaf.pem), /wrong one is a CA/],
    ['a leaf by a leaf', verdict(makeLeaf(notCa).pem + notCa.pem), /wrong one is a CA/],
    ['not signed by it', verdict(makeLeaf(other).pem + issuing.pem), /not signed by the issuing/],
    ['expired', verdict(expired.pem + issuing.pem), /has expired/],
    ['an hour early', verdict(good, [root.pem], nowMs - 3_600_000), /not valid yet/],
    ['nothing', verdict(''), /must be a leaf/],
  ];
  for (const [name, found, expected] of table) t.match(found, expected, name);
});

test('splitPem() and readRoots() bound what they read', async (t) => {
  const { pem: one } = makeAuthority();
  t.equal(splitPem(`some text\n${one}# more\n${one}`).length, 2);
  t.throws(() => splitPem(one.repeat(17)), { code: 'CERTIFICATE_INVALID' });
  t.throws(() => splitPem('x'.repeat(300_000)), { code: 'CERTIFICATE_INVALID' });
  t.throws(() => readRoots([]), { code: 'CERTIFICATE_INVALID' });
});

test('renewalTime() lies between half and seven tenths of the life', async (t) => {
  const life = { notBeforeMs: 1000, notAfterMs: 2000 };
  t.equal(renewalTime(life, 0), 1500);
  t.equal(renewalTime(life, 1), 1700);
});

test('makeRequest() makes what OpenSSL verifies, and readRequest() reads', async (t) => {
  const { csrPem, keyPem } = makeRequest(cart);
  const { uri, publicKey } = readRequest(csrPem);
  t.equal(uri, cart);
  t.equal(publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  t.match(keyPem, /^-----BEGIN PRIVATE KEY-----/);
  const directory = t.testdir({});
  writeFileSync(`${directory}/csr.pem`, csrPem);
  const text = execFileSync(
    'openssl',
    ['req', '-in', `${directory}/csr.pem`, '-noout', '-text', '-verify'],
    {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  t.match(text, /Subject:\s*\n/);
  t.match(text, `URI:${cart}`);
});

interface Odd {
  readonly key?: { readonly publicKey: KeyObject; readonly privateKey: KeyObject };
  readonly signer?: KeyObject;
  readonly version?: number;
  readonly subject?: Asn1;
  readonly extensions?: readonly Asn1[];
  readonly attributes?: readonly Asn1[];
}

/** A request that may be wrong in one way. */
function odd(options: Odd = {}): string {
  const { publicKey, privateKey } = options.key ?? ecKeys();
  const wanted = sequence(...(options.extensions ?? [uriName(cart)]));
  const info = sequence(
    integer(Uint8Array.of(options.version ?? 0)),
    options.subject ?? sequence(),
    embed(publicKey.export({ type: 'spki', format: 'der' })),
    tagged(0, [...(options.attributes ?? [sequence(oid(OID.extensionRequest), set(wanted))])]),
  );
  return pem('CERTIFICATE REQUEST', signed(info, options.signer ?? privateKey));
}

test('readRequest() refuses every request that is not exactly as ours', async (t) => {
  t.equal(readRequest(odd()).uri, cart);
  const dns = extension(OID.subjectAltName, false, sequence(tagged(2, Buffer.from('a.b'))));
  const name = sequence(set(sequence(oid(OID.commonName), utf8('cart'))));
  const both = extension(
    OID.subjectAltName,
    true,
    sequence(tagged(6, Buffer.from(cart)), tagged(6, Buffer.from(cart))),
  );
  const request = sequence(oid(OID.extensionRequest), set(sequence(uriName(cart))));
  const table: [string, string, RegExp][] = [
    ['signed by another key', odd({ signer: ecKeys().privateKey }), /signature is not by its key/],
    ['P-384', odd({ key: ecKeys('P-384') }), /must be ECDSA P-256/],
    ['RSA', odd({ key: rsaKeys(2048), signer: ecKeys().privateKey }), /must be ECDSA P-256/],
    ['Ed25519', odd({ key: ed25519Keys(), signer: ecKeys().privateKey }), /must be ECDSA P-256/],
    ['version 1', odd({ version: 1 }), /not version 0/],
    ['a subject', odd({ subject: name }), /subject must be empty/],
    ['no name', odd({ extensions: [] }), /exactly one name/],
    ['a DNS name', odd({ extensions: [dns] }), /exactly one name/],
    ['two URIs', odd({ extensions: [both] }), /exactly one name/],
    ['names twice', odd({ extensions: [uriName(cart), dns] }), /stands twice/],
    ['no attribute', odd({ attributes: [] }), /expected an attribute/],
    ['two attributes', odd({ attributes: [request, request] }), /one attribute/],
    ['another', odd({ attributes: [sequence(oid('1.2.3'), set())] }), /one attribute/],
    ['no PEM', 'x', /not one PEM block/],
    ['two blocks', odd() + odd(), /not one PEM block/],
    ['too long', 'x'.repeat(9000), /longer than/],
    ['not DER', pem('CERTIFICATE REQUEST', Buffer.from('hello')), /Cannot read DER/],
    [
      'bytes after',
      pem('CERTIFICATE REQUEST', Buffer.concat([derOf(odd()), Buffer.of(0)])),
      /after/,
    ],
    ['nothing', pem('CERTIFICATE REQUEST', Buffer.of(0x30, 0)), /expected/],
    ['no key', pem('CERTIFICATE REQUEST', noKey()), /public key cannot be read/],
  ];
  for (const [what, csr, found] of table) {
    t.throws(() => readRequest(csr), { code: 'CERTIFICATE_INVALID', message: found }, what);
  }
});

function derOf(csrPem: string): Buffer {
  return Buffer.from(csrPem.replaceAll(/-----[^-]+-----|\n/g, ''), 'base64');
}

function noKey(): Buffer {
  const info = sequence(
    integer(Uint8Array.of(0)),
    sequence(),
    sequence(octets(Buffer.of(1))),
    tagged(0, []),
  );
  return signed(info, ecKeys().privateKey);
}

test('readRequest() throws nothing but its own error, whatever the bytes', async (t) => {
  const good = derOf(odd());
  let seed = 7;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  let refused = 0;
  for (let i = 0; i < 5000; i += 1) {
    const bytes = Buffer.from(good);
    for (let n = 1 + random(3); n > 0; n -= 1) bytes[random(bytes.length)] = random(256);
    const cut = random(4) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes;
    try {
      readRequest(pem('CERTIFICATE REQUEST', cut));
    } catch (error) {
      refused += 1;
      const code = error instanceof Error && 'code' in error ? error.code : String(error);
      if (code !== 'CERTIFICATE_INVALID') t.fail(`threw ${String(error)}`);
    }
  }
  t.ok(refused > 4900, `${refused} refused`);
});

test('der-read takes only DER', async (t) => {
  const table: [string, number[]][] = [
    ['nothing', []],
    ['no length', [0x30]],
    ['too short', [0x30, 2, 1]],
    ['indefinite', [0x30, 0x80, 0, 0]],
    ['a long length that could be short', [0x30, 0x81, 1, 0]],
    ['a length of four bytes', [0x30, 0x84, 0, 0, 0, 1, 0]],
    ['a tag of two bytes', [0x3f, 0x81, 0x01, 0]],
  ];
  for (const [what, bytes] of table) {
    t.throws(() => readElement(Buffer.from(bytes)), { code: 'CERTIFICATE_INVALID' }, what);
  }
  const many = Buffer.concat(Array.from({ length: 200 }, () => Buffer.of(5, 0)));
  const list = readElement(Buffer.concat([Buffer.of(0x30, 0x82, 1, 0x90), many]));
  t.throws(() => childrenOf(list), { code: 'CERTIFICATE_INVALID' }, 'too many');
  const big = readElement(Buffer.of(6, 6, 0x2a, 0xff, 0xff, 0xff, 0xff, 0x7f));
  t.throws(() => readOid(big), { code: 'CERTIFICATE_INVALID' }, 'an arc out of range');
  t.equal(readOid(readElement(Buffer.from('06082a8648ce3d040302', 'hex'))), OID.ecdsaWithSha256);
});
