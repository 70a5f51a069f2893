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
import { CERTIFICATES, SPIFFE, type Shown } from '../../helpers/certificate-table.ts';
import { chainPem, makeAuthority, makeLeaf, sequence } from '../../helpers/pki.ts';

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

for (const shown of CERTIFICATES) {
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
