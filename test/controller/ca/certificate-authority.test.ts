import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { test, type Test } from 'tap';
import { identityOf } from '#common/identity.ts';
import { readCertificate } from '#common/tls/certificate.ts';
import { makeRequest, readRequest } from '#common/tls/csr.ts';
import { splitPem, verifyChain } from '#common/tls/trust.ts';
import type { CertificateAuthority } from '../../../controller/ca/certificate-authority.ts';
import type { AgentView } from '../../../controller/ca/rotation.ts';
import { openCa } from '../../helpers/ca.ts';

const cart = identityOf('cluster.local', 'shop', 'cart');
const { publicKey } = readRequest(makeRequest(cart).csrPem);
const DAY = 86_400_000;

/** An agent that has done all that is asked of it. */
function done(ca: CertificateAuthority): AgentView {
  const { generation, authority } = ca.trust;
  return { node: 'a', generation, authorities: [authority] };
}

const nodes =
  (...names: string[]) =>
  () =>
    names;

test('CertificateAuthority makes leaves as peers expect them', async (t) => {
  const ca = await openCa(t.testdir({}));
  const nowMs = Date.now();
  const { chainPem } = ca.issue(cart, publicKey);
  const [leafPem = '', issuingPem = ''] = splitPem(chainPem);
  const leaf = readCertificate(leafPem);
  t.strictSame(leaf.uris, [cart]);
  t.equal(leaf.otherNames, 0);
  t.equal(leaf.isCa, false);
  t.equal(leaf.x509.subject, undefined, 'an empty subject');
  t.strictSame(leaf.x509.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  t.ok(Math.abs(nowMs - 120_000 - leaf.notBeforeMs) < 2000, 'two minutes ago');
  t.ok(Math.abs(nowMs + DAY - leaf.notAfterMs) < 2000, '24 hours');
  t.equal(leaf.x509.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  t.equal(readCertificate(issuingPem).isCa, true);
  t.equal(readCertificate(ca.trust.roots[0] ?? '').isCa, true);
  const serials = new Set(
    Array.from({ length: 20 }, () => {
      const [one = ''] = splitPem(ca.issue(cart, publicKey).chainPem);
      return readCertificate(one).serial;
    }),
  );
  t.equal(serials.size, 20);
});

test('CertificateAuthority is the same after a restart, and its keys are for its owner alone', async (t) => {
  const directory = t.testdir({});
  const first = await openCa(directory);
  const again = await openCa(directory);
  t.strictSame(again.trust, first.trust);
  t.equal(statSync(`${directory}/ca.json`).mode & 0o777, 0o600);
  t.equal(readFileSync(`${directory}/roots.pem`, 'utf8'), first.trust.roots.join(''));
  t.notMatch(readFileSync(`${directory}/roots.pem`, 'utf8'), /PRIVATE/);
  const { chainPem } = first.issue(cart, publicKey);
  t.equal(verifyChain(chainPem, again.trust.roots, Date.now()).authority, again.trust.authority);
});

test('CertificateAuthority does not start over what it cannot read', async (t) => {
  const directory = t.testdir({});
  await openCa(directory);
  await t.rejects(openCa(directory, { trustDomain: 'other' }), { code: 'CONFIG_INVALID' });
  chmodSync(`${directory}/ca.json`, 0o640);
  await t.rejects(openCa(directory), { code: 'STATE_UNREADABLE', message: /mode 640/ });
  writeFileSync(`${directory}/ca.json`, '{"format":1}');
  chmodSync(`${directory}/ca.json`, 0o600);
  await t.rejects(openCa(directory), { code: 'STATE_UNREADABLE', message: /damaged/ });
});

test('CertificateAuthority renews its issuing certificate, and agents need not know', async (t) => {
  const directory = t.testdir({});
  let nowMs = Date.now();
  const ca = await openCa(directory, { now: () => nowMs });
  const before = ca.trust;
  const issuingOf = (): string => splitPem(ca.issue(cart, publicKey).chainPem)[1] ?? '';
  const issuing = issuingOf();
  await ca.refresh();
  t.equal(issuingOf(), issuing);
  nowMs += 200 * DAY;
  await ca.refresh();
  t.not(issuingOf(), issuing);
  t.strictSame(ca.trust, before);
  const { chainPem } = ca.issue(cart, publicKey);
  t.equal(verifyChain(chainPem, before.roots, nowMs).authority, before.authority);
});

test('CertificateAuthority begins a rotation by itself when its root is past half of its life', async (t) => {
  let nowMs = Date.now();
  const ca = await openCa(t.testdir({}), { now: () => nowMs });
  nowMs += 6 * 365 * DAY;
  await ca.refresh();
  t.equal(ca.report().phase, 'distributing');
});

test('CertificateAuthority never signs under a root that is not known everywhere', async (t) => {
  const heard: number[] = [];
  const ca = await openCa(t.testdir({}), { onTrust: ({ roots }) => heard.push(roots.length) });
  const old = ca.trust.authority;
  ca.issue(cart, publicKey);
  const behind = done(ca);
  t.equal(await ca.rotate(), true);
  t.equal(await ca.rotate(), false, 'once at a time');
  t.equal(ca.trust.roots.length, 2);

  await ca.advance([behind], nodes('a'));
  t.match(ca.report(), {
    phase: 'distributing',
    waitingFor: [{ node: 'a', reason: /has not put the new roots/ }],
  });
  await ca.advance([], nodes('a'));
  t.match(ca.report(), { phase: 'distributing', waitingFor: [{ reason: /not connected/ }] });
  t.equal(ca.issue(cart, publicKey).authority, old);

  await ca.advance([{ ...done(ca), authorities: [old] }], nodes('a'));
  t.match(ca.report(), { phase: 'switched', waitingFor: [] });
  t.not(ca.trust.authority, old);
  t.equal(ca.issue(cart, publicKey).authority, ca.trust.authority);

  await ca.advance([{ ...done(ca), authorities: [ca.trust.authority, old] }], nodes('a'));
  t.match(ca.report().waitingFor, [{ reason: 'still uses 1 certificate of the old root' }]);
  await ca.advance([{ ...done(ca), authorities: undefined }], nodes('a'));
  t.match(ca.report().waitingFor, [{ reason: /has not said/ }]);
  t.equal(ca.trust.roots.length, 2, 'the old root is still trusted');

  await ca.advance([done(ca)], nodes('a'));
  t.match(ca.report(), { phase: 'retiring' });
  t.equal(ca.trust.roots.length, 1);
  await ca.advance([done(ca)], nodes('a'));
  t.match(ca.report(), { phase: 'stable', waitingFor: [] });
  t.strictSame(heard, [2, 2, 1]);
});

test('CertificateAuthority waits for a node that is away as long as it may hold certificates', async (t) => {
  let nowMs = Date.now();
  const directory = t.testdir({});
  const ca = await openCa(directory, { now: () => nowMs });
  ca.issue(cart, publicKey);
  await ca.rotate();
  const again = await openCa(directory, { now: () => nowMs });
  await again.advance([], nodes('away'));
  t.match(again.report(), { phase: 'distributing', waitingFor: [{ node: 'away' }] });
  const gone = await openCa(directory, { now: () => nowMs });
  await gone.advance([], nodes());
  t.match(gone.report(), { phase: 'switched' }, 'a node without pods holds nothing of use');
  nowMs += 26 * 3_600_000;
  const later = await openCa(directory, { now: () => nowMs });
  await later.advance([], nodes('away'));
  t.match(later.report(), { phase: 'retiring' });
});

test('CertificateAuthority goes on with a rotation after a crash, and forgets the old keys', async (t) => {
  const directory = t.testdir({});
  const ca = await openCa(directory);
  const [old = ''] = ca.trust.roots;
  await ca.rotate();
  const again = await openCa(directory);
  t.strictSame(again.trust, ca.trust);
  for (let i = 0; i < 3; i += 1) await again.advance([done(again)], nodes('a'));
  t.equal(again.report().phase, 'stable');
  const kept = readFileSync(`${directory}/ca.json`, 'utf8');
  t.equal(JSON.parse(kept).authorities.length, 1);
  t.notOk(kept.includes(JSON.stringify(old).slice(1, -1)));
  t.equal(readFileSync(`${directory}/roots.pem`, 'utf8'), again.trust.roots.join(''));
});

test('CertificateAuthority waits between steps for handshakes that have begun', async (t: Test) => {
  const ca = await openCa(t.testdir({}), { settleMs: 50 });
  await ca.rotate();
  await ca.advance([done(ca)], nodes('a'));
  t.equal(ca.report().phase, 'distributing');
  await new Promise((resolve) => setTimeout(resolve, 60));
  await ca.advance([{ ...done(ca), generation: 0 }], nodes('a'));
  await ca.advance([done(ca)], nodes('a'));
  t.equal(ca.report().phase, 'distributing', 'the wait begins anew when somebody falls behind');
  await new Promise((resolve) => setTimeout(resolve, 60));
  await ca.advance([done(ca)], nodes('a'));
  t.equal(ca.report().phase, 'switched');
});
