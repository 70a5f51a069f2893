/**
 * Packs a directory as an image for containerd: an OCI layout in a tar, one uncompressed layer.
 *
 *   node pack-image.ts --root DIR --out FILE.tar --name NAME:TAG [--entrypoint PROGRAM] [--cmd PROGRAM]
 *
 * `ctr -n k8s.io images import` takes it under exactly that name. The same directory gives the same
 * bytes; the file appears whole, by rename.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, mkdtempSync } from 'node:fs';
import { renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';

const string = { type: 'string', default: '' } as const;
const { values } = parseArgs({
  options: { root: string, out: string, name: string, entrypoint: string, cmd: string },
});
const { root, out, name, entrypoint, cmd } = values;
if (root === '' || out === '' || name === '')
  throw new Error('--root, --out and --name are needed');

mkdirSync(dirname(out), { recursive: true });
const layout = mkdtempSync(join(dirname(out), '.image-'));
const blobs = join(layout, 'blobs/sha256');
try {
  mkdirSync(blobs, { recursive: true });
  const layer = await addLayer(root);
  const config = addJson('application/vnd.oci.image.config.v1+json', {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: {
      Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      ...(entrypoint !== '' && { Entrypoint: [entrypoint] }),
      ...(cmd !== '' && { Cmd: [cmd] }),
    },
    rootfs: { type: 'layers', diff_ids: [layer.digest] },
  });
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = addJson(mediaType, { schemaVersion: 2, mediaType, config, layers: [layer] });
  const annotations = {
    'io.containerd.image.name': name,
    'org.opencontainers.image.ref.name': name.slice(name.lastIndexOf(':') + 1),
  };
  const index = { schemaVersion: 2, manifests: [{ ...manifest, annotations }] };
  writeFileSync(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  writeFileSync(join(layout, 'index.json'), JSON.stringify(index));
  tar(layout, `${out}.part`);
  renameSync(`${out}.part`, out);
} finally {
  rmSync(layout, { recursive: true });
}

function tar(dir: string, file: string): void {
  const same = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];
  execFileSync('tar', [...same, '-C', dir, '-cf', file, '.']);
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

async function addLayer(dir: string): Promise<Descriptor> {
  const file = join(layout, 'layer');
  tar(dir, file);
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  const hex = hash.digest('hex');
  renameSync(file, join(blobs, hex));
  return {
    mediaType: 'application/vnd.oci.image.layer.v1.tar',
    digest: `sha256:${hex}`,
    size: statSync(join(blobs, hex)).size,
  };
}

function addJson(mediaType: string, content: unknown): Descriptor {
  const bytes = Buffer.from(JSON.stringify(content));
  const hex = createHash('sha256').update(bytes).digest('hex');
  writeFileSync(join(blobs, hex), bytes);
  return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
}
