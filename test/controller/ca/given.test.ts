import { once } from 'node:events';
import { connect, createServer } from 'node:tls';
import { test, type Test } from 'tap';
import { identityOf } from '#common/identity.ts';
import { makeRequest, readRequest } from '#common/tls/csr.ts';
import { verifyChain } from '#common/tls/trust.ts';
import { readGiven, type GivenFiles } from '../../../controller/ca/given.ts';
import type { Authority } from '../../../controller/ca/state.ts';
import { openCa } from '../../helpers/ca.ts';
import {
  ecKeys,
  ed25519Keys,
  issue,
  makeAuthority,
  rsaKeys,
  type Keys,
} from '../../helpers/pki.ts';

const cart = identityOf('cluster.local', 'shop', 'cart');
const LIFE = 100 * 86_400;
const nowMs = Date.now();

/** A subject key identifier that no rule of ours would give. */
const ODD_ID = Buffer.from('301d0603551d0e04160414', 'hex');

function newAuthority(name: string, keys: Keys = ecKeys()) {
  const extensions = [Buffer.concat([ODD_ID, Buffer.alloc(20, name.charCodeAt(0))])];
  const root = makeAuthority(`${name} root`, { keys, until: LIFE });
  const issuing = makeAuthority(`${name} issuing`, { keys, issuer: root, until: LIFE, extensions });
  return { root, issuing };
}

function istio({ root, issuing }: ReturnType<typeof newAuthority>): GivenFiles {
  return {
    'ca-cert.pem': issuing.pem,
    'ca-key.pem': issuing.keyPem,
    'root-cert.pem': root.pem,
    'cert-chain.pem': issuing.pem + root.pem,
  };
}

/** Shakes hands over real TLS, both ends with this leaf, both trusting these roots. */
async function shakeHands(t: Test, cert: string, key: string, ca: string[]): Promise<boolean> {
  const server = createServer({ cert, key, ca, requestCert: true, minVersion: 'TLSv1.3' });
  server.on('secureConnection', (peer) => peer.end('x'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const at = server.address();
  const port = at === null || typeof at === 'string' ? 0 : at.port;
  const checkServerIdentity = () => undefined;
  const socket = connect({ port, host: '127.0.0.1', cert, key, ca, checkServerIdentity });
  const outcome = await new Promise<boolean>((resolve) => {
    socket.once('data', () => resolve(true));
    socket.once('error', () => resolve(false));
  });
  socket.destroy();
  return outcome;
}

for (const [what, keys] of [
  ['ECDSA', ecKeys()],
  ['RSA', rsaKeys(2048)],
] as const) {
  test(`CertificateAuthority signs under an ${what} intermediate of another CA`, async (t) => {
    const given = istio(newAuthority('other', keys));
    let files: GivenFiles | undefined;
    const read = async (): Promise<Authority | undefined> =>
      files && readGiven('cacerts', files, nowMs);
    const ca = await openCa(t.testdir({}), { given: read });
    const own = ca.trust.authority;
    files = given;
    await ca.refresh();
    t.match(ca.report(), { phase: 'distributing', roots: { length: 2 } });
    const done = () => ({ node: 'a', generation: ca.trust.generation });
    await ca.advance([{ ...done(), authorities: [own] }], () => ['a']);
    t.not(ca.trust.authority, own);
    const { csrPem, keyPem } = makeRequest(cart);
    const { chainPem } = ca.issue(cart, readRequest(csrPem).publicKey);
    const roots = [given['root-cert.pem'] ?? ''];
    t.equal(verifyChain(chainPem, roots, nowMs).authority, ca.trust.authority);
    t.equal(await shakeHands(t, chainPem, keyPem, roots), true, 'and OpenSSL thinks so too');
    t.equal(await shakeHands(t, chainPem, keyPem, [makeAuthority().pem]), false);
    await ca.advance([{ ...done(), authorities: [ca.trust.authority] }], () => ['a']);
    await ca.advance([{ ...done(), authorities: [ca.trust.authority] }], () => ['a']);
    t.match(ca.report(), { phase: 'stable', roots: { length: 1 } });
    await t.rejects(ca.rotate(), { code: 'CONFIG_INVALID' }, 'its root is not ours to replace');
  });
}

test('CertificateAuthority takes a renewed intermediate at once, and keeps it when it is taken away', async (t) => {
  const first = newAuthority('other');
  const signer = () => makeAuthority('renewed', { issuer: first.root, until: LIFE });
  let files: GivenFiles | undefined = istio(first);
  const read = async (): Promise<Authority | undefined> =>
    files && readGiven('cacerts', files, nowMs);
  const ca = await openCa(t.testdir({}), { given: read });
  const step = async () =>
    ca.advance([{ node: 'a', generation: ca.trust.generation, authorities: [] }], () => []);
  for (let i = 0; i < 3; i += 1) await step();
  t.equal(ca.report().phase, 'stable');
  const { publicKey } = readRequest(makeRequest(cart).csrPem);
  const before = ca.trust;
  const issuingOf = () => ca.issue(cart, publicKey).chainPem.split(/(?=-----BEGIN)/)[1];
  t.equal(issuingOf(), first.issuing.pem);

  const second = { root: first.root, issuing: signer() };
  files = istio(second);
  await ca.refresh();
  t.equal(issuingOf(), second.issuing.pem);
  t.strictSame(ca.trust, before, 'the root is the same, so agents need not know');

  files = { ...istio(second), 'ca-key.pem': first.root.keyPem };
  await ca.refresh();
  t.match(ca.givenProblem, /"ca-key.pem" of Secret "cacerts": it is not the key of "ca-cert.pem"/);
  t.equal(issuingOf(), second.issuing.pem, 'what is bad changes nothing');

  files = undefined;
  await ca.refresh();
  t.equal(ca.givenProblem, '');
  t.equal(issuingOf(), second.issuing.pem, 'what was taken stays');
  t.equal(await ca.rotate(), true, 'and a root of our own can take its place');
  for (let i = 0; i < 3; i += 1) await step();
  t.not(ca.trust.authority, before.authority);
});

test('readGiven() reads Istio’s names and cert-manager’s, and a chain below the issuing certificate', async (t) => {
  const made = newAuthority('other');
  const files = istio(made);
  const id = readGiven('cacerts', files, nowMs).id;
  const manager = {
    'tls.crt': made.issuing.pem + made.root.pem,
    'tls.key': files['ca-key.pem'] ?? '',
    'ca.crt': made.root.pem,
  };
  t.match(readGiven('cacerts', manager, nowMs), {
    id,
    issuingPem: made.issuing.pem,
    rootKeyPem: '',
  });
});

test('readGiven() refuses what a peer would refuse, by name', async (t) => {
  const made = newAuthority('other');
  const good = istio(made);
  const below = (over: Parameters<typeof issue>[0]): GivenFiles => {
    const issuing = issue({ name: 'x', authority: true, issuer: made.root, ...over });
    return { ...good, 'ca-cert.pem': issuing.pem, 'ca-key.pem': issuing.keyPem };
  };
  const ed = newAuthority('ed', ed25519Keys());
  const { 'ca-cert.pem': _, ...headless } = good;
  const rows: [string, GivenFiles, RegExp][] = [
    ['nothing', {}, /"ca-cert.pem" of Secret "cacerts": it is missing, and so is "tls.crt"/],
    ['no certificate', headless, /"ca-cert.pem" .*missing/],
    ['an empty one', { ...good, 'ca-cert.pem': '' }, /"ca-cert.pem" .*no certificate in it/],
    ['no root', { ...good, 'root-cert.pem': '' }, /"root-cert.pem" .*no certificate in it/],
    ['two roots', { ...good, 'root-cert.pem': made.root.pem.repeat(2) }, /one root, found 2/],
    ['a foreign root', { ...good, 'root-cert.pem': makeAuthority().pem }, /not signed by the root/],
    ['no key', { ...good, 'ca-key.pem': '' }, /"ca-key.pem" .*not a private key/],
    ['a foreign key', { ...good, 'ca-key.pem': makeAuthority().keyPem }, /not the key of/],
    ['a leaf', below({ authority: false }), /CA:TRUE is missing/],
    ['expired', below({ from: -7200, until: -3600 }), /"ca-cert.pem" .*expired at 20/],
    ['not yet valid', below({ from: 3600, until: 7200 }), /not valid before 20/],
    ['an odd key', istio(ed), /expected ECDSA, or RSA/],
    ['a short key', istio(newAuthority('rsa', rsaKeys(1024))), /expected ECDSA, or RSA of 2048/],
    [
      'a bare body',
      { ...good, 'ca-cert.pem': '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' },
      /"ca-cert.pem" .*cannot be read/,
    ],
  ];
  for (const [what, files, message] of rows) {
    t.throws(
      () => readGiven('cacerts', files, nowMs),
      { code: 'CERTIFICATE_INVALID', message },
      what,
    );
  }
  t.ok(readGiven('cacerts', good, nowMs), 'the good one passes');
});
