/**
 * Builds the image: a layer of Debian and Node, a layer of npm packages, a layer of the product.
 *
 * Each layer has a key made of all that goes into it. A layer with the same key is taken from the
 * cache, and comes out the same, byte for byte, when it is made again.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { buildBase } from './base.ts';
import { buildModules, readModules } from './modules.ts';
import { type Layer, makeLayer, writeArchive } from './oci.ts';
import { fetchPackages, readLock, updateLock } from './packages.ts';
import { buildProduct, productFiles } from './product.ts';
import { sbom } from './sbom.ts';

export type Arch = 'amd64' | 'arm64';

const root = resolve(import.meta.dirname, '../..');
const lockFile = join(import.meta.dirname, 'packages.lock');

const { values: flags } = parseArgs({
  options: {
    arch: { type: 'string', default: process.arch === 'arm64' ? 'arm64' : 'amd64' },
    out: { type: 'string' },
    fresh: { type: 'boolean', default: false },
    update: { type: 'boolean', default: false },
  },
});
const arch = flags.arch;
if (arch !== 'amd64' && arch !== 'arm64') {
  throw new Error(`--arch: expected amd64 or arm64, found "${arch}"`);
}
const cacheHome = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
const cache = process.env['PLUMBLINE_IMAGE_CACHE'] ?? join(cacheHome, 'plumbline-image');
for (const part of ['debs', 'layers']) mkdirSync(join(cache, part), { recursive: true });
const work = mkdtempSync(join(cache, 'build-'));

try {
  if (flags.update) updateLock(lockFile, work);
  else await build(arch);
} finally {
  rmSync(work, { recursive: true, force: true });
}

async function build(target: Arch): Promise<void> {
  const { version }: { version: string } = JSON.parse(read('package.json'));
  const out = resolve(flags.out ?? join(root, `dist/plumbline-${version}-${target}.tar`));
  const locked = readLock(read('scripts/image/packages.lock'), target);
  const modules = readModules(read('package-lock.json'), target);
  const inputs = { target, builder: ['base', 'modules', 'oci'].map((name) => source(name)) };

  const layers = [
    await layer('base', { ...inputs, locked, node: modules.node }, (into) => {
      const debs = fetchPackages(locked, target, join(cache, 'debs'), work);
      buildBase({ into, debs, root, target, work });
    }),
    await layer('modules', { ...inputs, modules }, (into) => {
      buildModules({ into, root, target, work });
    }),
    await layer(
      'product',
      {
        ...inputs,
        files: productFiles(root),
        own: ['product', 'strip', 'stripped'].map((name) => source(name)),
      },
      (into) => {
        buildProduct(into, root);
      },
    ),
  ];
  const digest = writeArchive({
    layers,
    out,
    work,
    arch: target,
    version,
    name: `plumbline.dev/plumbline:${version}`,
  });
  const parts = sbom({ version, arch: target, digest, debs: locked, modules });
  writeFileSync(`${out}.cdx.json`, `${JSON.stringify(parts, null, 2)}\n`);
  const unpacked = layers.reduce((sum, one) => sum + one.unpackedBytes, 0);
  const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  console.log(`${out}\n${digest}\n${mb(unpacked)} unpacked, ${mb(statSync(out).size)} packed`);
}

async function layer(name: string, inputs: unknown, fill: (into: string) => void): Promise<Layer> {
  const key = createHash('sha256').update(JSON.stringify(inputs)).digest('hex').slice(0, 24);
  const file = join(cache, 'layers', `${name}-${key}`);
  return makeLayer({ file, from: join(work, name), fill, isFresh: flags.fresh });
}

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

function source(name: string): string {
  return read(`scripts/image/${name}.ts`);
}
