import { generateKeyPairSync } from 'node:crypto';
import { test, type Test } from 'tap';
import { hasCode } from '#common/errors.ts';
import { identityOf, type Identity } from '#common/identity.ts';
import type { HeldLeaf } from '#common/control/messages.ts';
import { makeRequest, readRequest } from '#common/tls/csr.ts';
import type { Credentials } from '#common/tls/certificate.ts';
import { CertificateStore } from '../../../node-agent/identity/certificate-store.ts';
import { issueCredentials } from '../../../node-agent/identity/issue.ts';
import type { KeptKey } from '../../../node-agent/identity/key-files.ts';
import { openCa } from '../../helpers/ca.ts';
import { silent } from '../../helpers/silent-log.ts';

const cart = identityOf('cluster.local', 'shop', 'cart');
const web = identityOf('cluster.local', 'shop', 'web');
const HOUR = 3_600_000;
const { signal } = new AbortController();

/** A store on a clock that stands still until the test turns it, with a real CA behind it. */
async function setUp(t: Test) {
  let nowMs = Date.now();
  const ca = await openCa(t.testdir({}), { now: () => nowMs });
  let held: Promise<void> = Promise.resolve();
  const failures: Error[] = [];
  const asked: Identity[] = [];
  const applied: { credentials: Credentials; roots: readonly string[] }[] = [];
  const discarded: Identity[] = [];
  const reports: (readonly HeldLeaf[])[] = [];
  const files = new Map<string, KeptKey>();
  const sleepers = new Set<{ untilMs: number; wake: () => void }>();
  const store = new CertificateStore({
    issue: async (identity, given) => {
      asked.push(identity);
      const failure = failures.shift();
      if (failure !== undefined) throw failure;
      const request = async (_: Identity, csrPem: string) => {
        const { chainPem, authority } = ca.issue(identity, readRequest(csrPem).publicKey);
        return { type: 'certificate' as const, id: 1, chain: chainPem, authority };
      };
      const roots = (): readonly string[] => ca.trust.roots;
      return issueCredentials({ request, roots, now: () => nowMs }, identity, given);
    },
    apply: async (credentials, roots) => {
      applied.push({ credentials, roots });
      await held;
    },
    discard: (identity) => void discarded.push(identity),
    onLeaves: (leaves) => void reports.push(leaves),
    keys: {
      load: () => [...files.values()],
      save: async (key) => void files.set(key.identity, key),
      remove: async (identity) => void files.delete(identity),
    },
    roots: () => ca.trust.roots,
    log: silent,
    now: () => nowMs,
    sleep: async (ms, stopped) =>
      new Promise((resolve) => {
        if (stopped.aborted) {
          resolve();
          return;
        }
        const sleeper = { untilMs: nowMs + ms, wake: resolve };
        sleepers.add(sleeper);
        stopped.addEventListener('abort', () => resolve(), { once: true });
      }),
    random: () => 0,
  });
  t.after(() => store.stop());
  /** From now on nothing comes into force, until the function that is returned is called. */
  const hold = (): (() => void) => {
    const gate = Promise.withResolvers<void>();
    held = gate.promise;
    return gate.resolve;
  };
  const rest = async (): Promise<void> => {
    for (let i = 0; i < 20; i += 1) await new Promise(setImmediate);
  };
  /** Turns the clock on in steps of ten seconds, waking who sleeps no longer than that. */
  const pass = async (ms: number, step = 10_000): Promise<void> => {
    for (const end = nowMs + ms; nowMs < end;) {
      nowMs = Math.min(nowMs + step, end);
      for (const sleeper of sleepers) {
        if (sleeper.untilMs > nowMs) continue;
        sleepers.delete(sleeper);
        sleeper.wake();
      }
      await rest();
    }
  };
  const jump = (ms: number): void => void (nowMs += ms);
  const now = (): number => nowMs;
  return {
    ca,
    store,
    failures,
    asked,
    applied,
    discarded,
    reports,
    files,
    rest,
    pass,
    jump,
    now,
    hold,
  };
}

test('CertificateStore asks once, however many callers wait', async (t) => {
  const { store, asked, applied, reports } = await setUp(t);
  store.want(new Set([cart]));
  const [x, y] = await Promise.all([store.get(cart, signal), store.get(cart, signal)]);
  t.equal(x, y);
  t.strictSame(asked, [cart]);
  t.equal(applied.length, 1, 'in force before anybody hears of it');
  t.match(reports.at(-1), [{ identity: cart, authority: x.authority }]);
});

test('CertificateStore refuses an identity that no pod here has', async (t) => {
  const { store } = await setUp(t);
  await t.rejects(store.get(cart, signal), { code: 'NO_CERTIFICATE' });
});

test('CertificateStore renews when half of the life is gone', async (t) => {
  const { store, asked, pass, rest } = await setUp(t);
  store.want(new Set([cart]));
  await rest();
  await pass(11.9 * HOUR, HOUR / 10);
  t.equal(asked.length, 1);
  await pass(0.2 * HOUR);
  t.equal(asked.length, 2);
});

test('CertificateStore keeps the old certificate while renewal fails, then lets it expire', async (t) => {
  const { store, failures, asked, pass, rest, discarded, reports } = await setUp(t);
  store.want(new Set([cart]));
  await rest();
  failures.push(...Array.from({ length: 2000 }, () => new Error('CA is down')));
  await pass(13 * HOUR, HOUR / 60);
  t.ok(asked.length > 10, 'it tries again and again');
  t.ok(asked.length < 120, 'but not without a pause');
  t.match(store.list(), [{ state: 'valid', lastError: 'CA is down' }]);
  t.strictSame(discarded, []);
  await pass(12 * HOUR, HOUR / 60);
  t.match(store.list(), [{ state: 'missing' }]);
  t.strictSame(discarded, [cart], 'fail closed');
  t.strictSame(reports.at(-1), []);
  failures.length = 0;
  await pass(60_000);
  t.match(store.list(), [{ state: 'valid', lastError: '' }], 'back without a restart');
});

test('CertificateStore survives a clock that is set forward, or back', async (t) => {
  const { store, asked, pass, rest, jump } = await setUp(t);
  store.want(new Set([cart]));
  await rest();
  jump(25 * HOUR);
  await pass(31_000);
  t.equal(asked.length, 2, 'renewed within half a minute');
  t.match(store.list(), [{ state: 'valid' }]);
  jump(-50 * HOUR);
  await pass(120_000);
  t.match(store.list(), [{ state: 'valid' }]);
  t.ok(asked.length < 10, 'no storm of requests');
});

test('CertificateStore tells those who wait why there is no certificate', async (t) => {
  const { store, failures } = await setUp(t);
  failures.push(new Error('CA is down'));
  store.want(new Set([cart]));
  const error = await store.get(cart, signal).catch((e: unknown) => e);
  t.ok(hasCode(error, 'CERTIFICATE_NOT_ISSUED'));
  t.match(error, { cause: { message: 'CA is down' } });
});

test('CertificateStore.want() forgets what nobody wants, and its key', async (t) => {
  const { store, files, discarded, rest, pass, asked } = await setUp(t);
  store.want(new Set([cart, web]));
  await rest();
  t.equal(files.size, 2);
  store.want(new Set([web]));
  await rest();
  t.strictSame([...files.keys()], [web]);
  t.strictSame(discarded, [cart]);
  await pass(13 * HOUR, HOUR / 4);
  t.equal(asked.filter((one) => one === cart).length, 1, 'not renewed any more');
});

test('CertificateStore.restore() puts kept certificates in force without the controller', async (t) => {
  const first = await setUp(t);
  first.store.want(new Set([cart, web]));
  await first.rest();
  const { store, ca, files, applied, asked } = first;
  store.stop();
  files.set(web, { ...kept(files, web), keyPem: makeRequest(web).keyPem });
  const before = applied.length;
  const again = new CertificateStore({
    issue: async () => Promise.reject(new Error('CA is down')),
    apply: async (credentials, roots) => void applied.push({ credentials, roots }),
    discard: () => {},
    onLeaves: () => {},
    keys: {
      load: () => [...files.values()],
      save: async () => {},
      remove: async (identity) => void files.delete(identity),
    },
    roots: () => ca.trust.roots,
    log: silent,
    now: first.now,
    sleep: async (_, stopped) =>
      new Promise((resolve) => stopped.addEventListener('abort', () => resolve(), { once: true })),
    random: () => 0,
  });
  t.after(() => again.stop());
  await again.restore();
  t.equal(applied.length, before + 1);
  t.equal((await again.get(cart, signal)).identity, cart);
  t.strictSame([...files.keys()], [cart], 'a key that is not that of its certificate is removed');
  t.equal(asked.length, 2);
});

function kept(files: ReadonlyMap<string, KeptKey>, identity: Identity): KeptKey {
  const found = files.get(identity);
  if (found === undefined) throw new Error('not kept');
  return found;
}

test('CertificateStore.setTrust() puts new roots in force, and renews under a new authority at once', async (t) => {
  const { store, ca, applied, asked, reports, rest, pass } = await setUp(t);
  const nobody = (): string[] => [];
  store.want(new Set([cart]));
  await rest();
  await pass(60_000);
  await ca.rotate();
  await store.setTrust(ca.trust);
  t.equal(applied.length, 2);
  t.equal(applied.at(-1)?.roots.length, 2, 'the old certificate, with both roots');
  t.equal(asked.length, 1, 'and no renewal yet');
  await ca.advance([], nobody);
  await store.setTrust(ca.trust);
  await rest();
  t.equal(asked.length, 2);
  t.match(reports.at(-1), [{ authority: ca.trust.authority }]);
  await ca.advance([], nobody);
  await store.setTrust(ca.trust);
  t.equal(applied.at(-1)?.roots.length, 1);
});

test('CertificateStore never lets an older certificate come last, nor reports one that is not in force', async (t) => {
  const { store, ca, applied, reports, rest, pass, hold } = await setUp(t);
  const nobody = (): string[] => [];
  store.want(new Set([cart]));
  await rest();
  await ca.rotate();
  await ca.advance([], nobody);
  await store.setTrust(ca.trust);
  const release = hold();
  await pass(2000, 500);
  t.equal(applied.at(-1)?.credentials.authority, ca.trust.authority, 'the new one is on its way');
  t.not(reports.at(-1)?.[0]?.authority, ca.trust.authority, 'but not in force');
  const again = store.setTrust(ca.trust);
  release();
  await again;
  await rest();
  t.equal(applied.at(-1)?.credentials.authority, ca.trust.authority);
  t.equal(reports.at(-1)?.[0]?.authority, ca.trust.authority);
});

test('issueCredentials() believes no answer that a peer would not', async (t) => {
  const { ca, now } = await setUp(t);
  const other = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).publicKey;
  const roots = (): readonly string[] => ca.trust.roots;
  const ask = async (chainOf: (csrPem: string) => string, nowMs = now()): Promise<string> => {
    const request = async (_: Identity, csrPem: string) => ({
      type: 'certificate' as const,
      id: 1,
      chain: chainOf(csrPem),
      authority: ca.trust.authority,
    });
    const deps = { request, roots, now: () => nowMs };
    return issueCredentials(deps, cart, signal).then(
      () => 'believed',
      (error: Error) => error.message,
    );
  };
  const keyIn = (csrPem: string) => readRequest(csrPem).publicKey;
  t.equal(await ask((csr) => ca.issue(cart, keyIn(csr)).chainPem), 'believed');
  t.match(await ask((csr) => ca.issue(web, keyIn(csr)).chainPem), /it names "spiffe/);
  t.match(await ask(() => ca.issue(cart, other).chainPem), /it is not for our key/);
  t.match(await ask((csr) => ca.issue(cart, keyIn(csr)).chainPem, now() + 25 * HOUR), /expired/);
  t.match(
    await ask((csr) => ca.issue(cart, keyIn(csr)).chainPem, now() - HOUR),
    /not valid yet; is a clock wrong/,
  );
  t.match(await ask(() => 'nothing'), /must be a leaf and its issuing certificate/);
});
