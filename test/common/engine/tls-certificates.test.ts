/**
 * Whom we let in: a table of certificates, each shown to us as a server and as a client.
 *
 * The owner here does what every owner must: it takes the identity by `peerIdentity` and accepts
 * the trust domain `cluster.local` alone. The peer is Node's `tls`, which checks nothing.
 */
import { test } from 'tap';
import type { Test } from 'tap';
import { createTlsContext } from '#common/engine/tls-context.ts';
import { peerIdentity, peerOfCertificate } from '#common/engine/tls-peer.ts';
import type { PeerCertificate } from '#common/engine/tls-peer.ts';
import { identityParts } from '#common/identity.ts';
import {
  contextOf,
  leaf,
  makeLoop,
  nodeClient,
  nodeServer,
  openClient,
  root,
  serve,
  turn,
} from '../../helpers/engine.ts';
import {
  chainPem,
  ecKeys,
  ed25519Keys,
  issue,
  makeAuthority,
  makeLeaf,
  node,
  rsaKeys,
  sequence,
} from '../../helpers/pki.ts';
import type { Issued } from '../../helpers/pki.ts';

interface Shown {
  readonly what: string;
  readonly chain: readonly Issued[];
  /** Why it must be refused; undefined for one that must be accepted. */
  readonly refused?: RegExp;
  readonly as?: 'client' | 'server';
}

const SPIFFE = 'spiffe://cluster.local/ns/shop/sa/cart';
const DAY = 86_400;
const OURS = /the certificate was refused/;
const intermediate = makeAuthority('issuing', { issuer: root });
const stranger = makeAuthority('root');
const notAnAuthority = makeLeaf(root, { name: 'middle' });
const otherName = node(
  0xa0,
  Buffer.concat([
    node(0x06, Buffer.from('2b060104018237140203', 'hex')),
    node(0xa0, node(0x0c, Buffer.from(SPIFFE))),
  ]),
);

function deep(length: number): Issued[] {
  const chain: Issued[] = [];
  let issuer = root;
  for (let i = 0; i < length; i += 1) {
    issuer = makeAuthority(`level ${i}`, { issuer });
    chain.unshift(issuer);
  }
  return [makeLeaf(issuer), ...chain];
}

const one = (what: string, certificate: Issued, refused?: RegExp): Shown =>
  refused === undefined ? { what, chain: [certificate] } : { what, chain: [certificate], refused };

const table: readonly Shown[] = [
  one('a workload’s certificate', makeLeaf(root)),
  one('one with a P-384 key', makeLeaf(root, { keys: ecKeys('P-384') })),
  one('one with an RSA key of 2048 bits', makeLeaf(root, { keys: rsaKeys(2048) })),
  one('one with an Ed25519 key', makeLeaf(root, { keys: ed25519Keys() })),
  one('one with a DNS name beside the URI', makeLeaf(root, { dns: ['cart.shop'] })),
  one('one without basic constraints', issue({ issuer: root, uris: [SPIFFE] })),
  { what: 'one under an issuing authority', chain: [makeLeaf(intermediate), intermediate] },
  { what: 'one three levels down', chain: deep(3) },
  one('an expired one', makeLeaf(root, { from: -2 * DAY, until: -DAY }), /expired/),
  one('one that expired a second ago', makeLeaf(root, { until: -1 }), /expired/),
  one('one that is not valid yet', makeLeaf(root, { from: DAY, until: 2 * DAY }), /not yet valid/),
  one('one of a stranger with our root’s name', makeLeaf(stranger), /signature failure/),
  one('a self-signed one', issue({ uris: [SPIFFE], authority: false }), /self-signed/),
  one('one whose issuer is not sent', makeLeaf(intermediate), /unable to get local issuer/),
  {
    what: 'one signed by a workload’s certificate',
    chain: [makeLeaf(notAnAuthority), notAnAuthority],
    refused: /invalid CA|verify failed/,
  },
  { what: 'one 20 levels down', chain: deep(20), refused: /chain too long|verify failed/ },
  {
    what: 'one for servers only, shown by a client',
    chain: [makeLeaf(root, { usages: ['serverAuth'] })],
    refused: /unsuitable certificate purpose/,
    as: 'client',
  },
  {
    what: 'one for clients only, shown by a server',
    chain: [makeLeaf(root, { usages: ['clientAuth'] })],
    refused: /unsuitable certificate purpose/,
    as: 'server',
  },
  one(
    'one with an RSA key of 1024 bits',
    makeLeaf(root, { keys: rsaKeys(1024) }),
    /too (small|weak)/,
  ),
  one('an authority’s certificate', makeLeaf(root, { authority: true }), OURS),
  one('one without names', makeLeaf(root, { uris: [], name: 'cart' }), OURS),
  one('one with a DNS name only', makeLeaf(root, { uris: [], dns: ['cart.shop'] }), OURS),
  one('one with two SPIFFE URIs', makeLeaf(root, { uris: [SPIFFE, `${SPIFFE}2`] }), OURS),
  one('one with the same URI twice', makeLeaf(root, { uris: [SPIFFE, SPIFFE] }), OURS),
  one('one with a web URI in front', makeLeaf(root, { uris: ['https://a.b', SPIFFE] }), OURS),
  one('one with a web URI behind', makeLeaf(root, { uris: [SPIFFE, 'https://a.b'] }), OURS),
  one(
    'one with a web URI only',
    makeLeaf(root, { uris: ['https://cluster.local/ns/a/sa/b'] }),
    OURS,
  ),
  one('one with an empty URI', makeLeaf(root, { uris: [''] }), OURS),
  one('one with NUL behind the URI', makeLeaf(root, { uris: [`${SPIFFE}\0evil`] }), OURS),
  one('one with NUL at the end', makeLeaf(root, { uris: [`${SPIFFE}\0`] }), OURS),
  one('one with a line break in the URI', makeLeaf(root, { uris: [`${SPIFFE}\n`] }), OURS),
  one('one with a comma in the URI', makeLeaf(root, { uris: [`${SPIFFE}, URI:x`] }), OURS),
  one('one with the ID as otherName', makeLeaf(root, { uris: [], names: [otherName] }), OURS),
  one('one with the ID as DNS name', makeLeaf(root, { uris: [], dns: [SPIFFE] }), OURS),
  one('one with a name of 8 KB', makeLeaf(root, { uris: [SPIFFE + 'x'.repeat(8192)] }), OURS),
  one(
    'one with 300 names',
    makeLeaf(root, { dns: Array.from({ length: 300 }, (_, i) => `d${i}`) }),
    OURS,
  ),
  one(
    'one larger than 16 KB',
    makeLeaf(root, { dns: ['x'.repeat(17_000)] }),
    /missing or too long/,
  ),
  one(
    'one of another trust domain',
    makeLeaf(root, { uris: [SPIFFE.replace('cluster', 'x')] }),
    OURS,
  ),
  one('one in upper case', makeLeaf(root, { uris: [SPIFFE.toUpperCase()] }), OURS),
  one(
    'one with the scheme in upper case',
    makeLeaf(root, { uris: [SPIFFE.replace('s', 'S')] }),
    OURS,
  ),
  one(
    'one with the domain in upper case',
    makeLeaf(root, { uris: [SPIFFE.replace('c', 'C')] }),
    OURS,
  ),
  one(
    'one with a percent sign',
    makeLeaf(root, { uris: [SPIFFE.replace('cart', 'c%61rt')] }),
    OURS,
  ),
  one('one with a trailing slash', makeLeaf(root, { uris: [`${SPIFFE}/`] }), OURS),
  one('one with a query', makeLeaf(root, { uris: [`${SPIFFE}?x`] }), OURS),
  one('one with a fragment', makeLeaf(root, { uris: [`${SPIFFE}#x`] }), OURS),
  one('one with a port', makeLeaf(root, { uris: [SPIFFE.replace('.local', '.local:80')] }), OURS),
  one('one with a user', makeLeaf(root, { uris: [SPIFFE.replace('//', '//a@')] }), OURS),
  one(
    'one without a service account',
    makeLeaf(root, { uris: ['spiffe://cluster.local/ns/a'] }),
    OURS,
  ),
  one('one with another path', makeLeaf(root, { uris: ['spiffe://cluster.local/a/b/c/d'] }), OURS),
  one(
    'one with an empty namespace',
    makeLeaf(root, { uris: ['spiffe://cluster.local/ns//sa/b'] }),
    OURS,
  ),
  one(
    'one with dots for a namespace',
    makeLeaf(root, { uris: ['spiffe://cluster.local/ns/../sa/b'] }),
    OURS,
  ),
];

async function show(t: Test, { chain, refused }: Shown, as: 'client' | 'server'): Promise<void> {
  const loop = makeLoop(t);
  const [shown = leaf, ...rest] = chain;
  const settings = {
    key: shown.keyPem,
    cert: chainPem(shown, ...rest),
    rejectUnauthorized: false,
    // Node would not even load weak keys otherwise.
    ciphers: 'DEFAULT:@SECLEVEL=0',
  };
  const owner =
    as === 'server'
      ? openClient(
          loop,
          contextOf(t),
          await nodeServer(t, { ...settings, ALPNProtocols: ['h2'] }, (s) => s.resume()),
        ).owner
      : undefined;
  const server = serve(t, loop, contextOf(t), { judge });
  if (owner !== undefined) owner.judge = judge;
  const client = as === 'client' ? nodeClient(t, server.port, settings) : undefined;
  client?.on('error', () => undefined);
  const ours = (): typeof owner => owner ?? server.owners[0];
  await turn(loop, () => ours()?.peer !== undefined || ours()?.closed === 1, 'a judgement');
  if (refused === undefined) t.equal(ours()?.error, undefined);
  else {
    await turn(loop, () => ours()?.closed === 1, 'the refusal');
    t.equal(ours()?.error?.code, 'TLS_FAILURE');
    t.match(ours()?.error?.message, refused);
  }
}

const judge = (peer: PeerCertificate): boolean => {
  const identity = peerIdentity(peer);
  return identity !== undefined && identityParts(identity).trustDomain === 'cluster.local';
};

for (const shown of table) {
  for (const as of ['client', 'server'] as const) {
    if (shown.as !== undefined && shown.as !== as) continue;
    const verb = shown.refused === undefined ? 'accepts' : 'refuses';
    test(`TlsConnection ${verb} ${shown.what} from a ${as}`, async (t) => show(t, shown, as));
  }
}

test('TlsConnection refuses a client that shows no certificate', async (t) => {
  const loop = makeLoop(t);
  const server = serve(t, loop, contextOf(t));
  const client = nodeClient(t, server.port, { rejectUnauthorized: false });
  let failure = '';
  client.on('error', (error: Error & { code?: string }) => (failure = error.code ?? ''));
  await turn(loop, () => failure !== '' && server.owners[0]?.closed === 1, 'the refusal');
  t.match(failure, /CERTIFICATE_REQUIRED/);
  t.match(server.owners[0]?.error?.message, /peer did not return a certificate/);
});

test('TlsConnection accepts either of two roots, as during a rotation', async (t) => {
  const next = makeAuthority('next');
  for (const issuer of [root, next]) {
    const loop = makeLoop(t);
    const server = serve(t, loop, contextOf(t, leaf, [root, next]));
    const { conn, owner } = openClient(loop, contextOf(t, makeLeaf(issuer)), server.port);
    t.after(() => conn.destroy());
    await turn(loop, () => server.owners[0]?.peer !== undefined, 'the handshake');
    t.equal(owner.error, undefined);
  }
});

test('createTlsContext() refuses what it cannot use, and says what', async (t) => {
  const good = { chainPem: leaf.pem, keyPem: leaf.keyPem, rootsPem: [root.pem] };
  const bad: readonly [string, Partial<typeof good>, RegExp][] = [
    ['another key', { keyPem: makeLeaf(root).keyPem }, /key values mismatch/],
    ['no key', { keyPem: '' }, /read the private key/],
    ['no chain', { chainPem: '' }, /read the certificate chain/],
    ['half a certificate', { chainPem: leaf.pem.slice(0, 300) }, /read the certificate chain/],
    ['a broken second certificate', { chainPem: leaf.pem + root.pem.slice(0, 99) }, /chain/],
    ['no roots', { rootsPem: [] }, /there are none/],
    ['an empty root', { rootsPem: [''] }, /there are none/],
    ['a broken root', { rootsPem: [root.pem, root.pem.slice(0, 99)] }, /read the roots/],
  ];
  for (const [what, part, message] of bad) {
    const wanted = { code: 'CERTIFICATE_INVALID', message };
    t.throws(() => createTlsContext({ ...good, ...part }), wanted, what);
  }
  const context = createTlsContext(good);
  context.dispose();
  context.dispose();
  t.throws(() => context.client.handle, TypeError, 'a context that was disposed of');
});

test('peerOfCertificate() reads what Node’s own certificate shows, and no broken DER', async (t) => {
  const peer = peerOfCertificate(leaf.der);
  t.strictSame(peer?.uris, [SPIFFE]);
  t.equal(peer?.fingerprint.length, 64);
  t.ok(Math.abs((peer?.notAfter ?? 0) - Date.now() - 3_600_000) < 60_000);
  for (let cut = 0; cut < leaf.der.length; cut += 1) {
    t.equal(peerOfCertificate(leaf.der.subarray(0, cut)), undefined);
  }
  t.equal(peerOfCertificate(Buffer.concat([leaf.der, Buffer.alloc(1)])), undefined, 'a byte more');
  t.equal(peerOfCertificate(sequence()), undefined);
});

test('peerOfCertificate() survives any one changed byte', async (t) => {
  for (let at = 0; at < leaf.der.length; at += 1) {
    for (const value of [0x00, 0x7f, 0x80, 0xff]) {
      const der = Buffer.from(leaf.der);
      der[at] = value;
      const peer = peerOfCertificate(der);
      for (const uri of peer?.uris ?? []) t.match(uri, /^[\x21-\x7e]+$/);
    }
  }
});
