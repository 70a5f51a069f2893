import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { test, type Test } from 'tap';
import { identityOf } from '#common/identity.ts';
import type { Logger } from '#common/log.ts';
import { KeyFiles } from '../../../node-agent/identity/key-files.ts';
import { TrustStore } from '../../../node-agent/identity/trust-store.ts';
import { openCa } from '../../helpers/ca.ts';
import { silent } from '../../helpers/silent-log.ts';

const cart = identityOf('cluster.local', 'shop', 'cart');
const key = { identity: cart, chainPem: 'chain\n', keyPem: 'key\n' };

function inMemory(t: Test): string {
  const directory = mkdtempSync('/dev/shm/plumbline-test-');
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

function listening(): { log: Logger; warnings: string[] } {
  const warnings: string[] = [];
  return { warnings, log: { ...silent, warn: (message) => void warnings.push(message) } };
}

test('KeyFiles keeps a key for root alone, on a memory file system', async (t) => {
  const directory = `${inMemory(t)}/keys`;
  await new KeyFiles(directory, silent).save(key);
  t.equal(statSync(directory).mode & 0o777, 0o700);
  const [name = '', ...others] = readdirSync(directory);
  t.equal(others.length, 0);
  t.equal(statSync(`${directory}/${name}`).mode & 0o777, 0o600);
  const files = new KeyFiles(directory, silent);
  t.strictSame(files.load(), [key]);
  await files.remove(cart);
  t.strictSame(readdirSync(directory), []);
});

test('KeyFiles writes nothing on a disk, and says so', async (t) => {
  const directory = t.testdir({});
  const { log, warnings } = listening();
  const files = new KeyFiles(directory, log);
  await files.save(key);
  t.strictSame(readdirSync(directory), []);
  t.strictSame(files.load(), []);
  t.match(warnings, [/not on a memory file system/]);
});

test('KeyFiles removes what is damaged, or open to others', async (t) => {
  const directory = inMemory(t);
  const { log, warnings } = listening();
  const files = new KeyFiles(directory, log);
  await files.save(key);
  const [name = ''] = readdirSync(directory);
  chmodSync(`${directory}/${name}`, 0o644);
  writeFileSync(`${directory}/b.json`, '{', { mode: 0o600 });
  const named = { ...key, identity: 'spiffe://cluster.local/plumbline/controller' };
  writeFileSync(`${directory}/c.json`, JSON.stringify(named), { mode: 0o600 });
  t.strictSame(files.load(), []);
  t.equal(warnings.length, 3);
  t.strictSame(readdirSync(directory), []);
});

test('TrustStore keeps the roots over a restart, and adds the operator’s for the controller', async (t) => {
  const directory = t.testdir({});
  const [given = ''] = (await openCa(`${directory}/given`)).trust.roots;
  const { trust } = await openCa(`${directory}/sent`);
  writeFileSync(`${directory}/ca.pem`, given);
  const options = {
    stateDir: `${directory}/state`,
    controllerCa: `${directory}/ca.pem`,
    log: silent,
  };
  const store = new TrustStore(options);
  t.equal(store.trust, undefined);
  t.strictSame(await store.controllerRoots(), [given]);
  await store.set(trust);
  await t.rejects(store.set({ ...trust, generation: 2, roots: [] }), {
    code: 'CERTIFICATE_INVALID',
  });
  const again = new TrustStore(options);
  t.strictSame(again.trust, trust);
  t.strictSame(again.roots, trust.roots, 'peers are verified against what was sent alone');
  t.strictSame(await again.controllerRoots(), [given, ...trust.roots]);
  writeFileSync(`${directory}/state/trust.json`, readFileSync(`${directory}/ca.pem`));
  t.equal(new TrustStore(options).trust, undefined, 'a damaged file is as none');
});
