/**
 * Layers and the archive that holds them, after the OCI image layout.
 *
 * Nothing of the moment or the builder gets in: names are sorted, owner is root, modes are 755 or 644,
 * times are SOURCE_DATE_EPOCH (0 unless set), and the pinned Node compresses.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  createReadStream,
  createWriteStream,
  existsSync,
  globSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { Arch } from './main.ts';

export interface Layer {
  /** Compressed. */
  readonly file: string;
  readonly digest: string;
  /** Digest of the tar file. */
  readonly diffId: string;
  readonly unpackedBytes: number;
}

const EPOCH = Number(process.env['SOURCE_DATE_EPOCH'] ?? 0);

/** Takes a layer from the cache, or fills a directory and packs it. */
export async function makeLayer(plan: {
  /** In the cache, without ending. */
  readonly file: string;
  readonly from: string;
  readonly fill: (into: string) => void;
  readonly isFresh: boolean;
}): Promise<Layer> {
  const [about, packed] = [`${plan.file}.json`, `${plan.file}.tar.gz`];
  if (!plan.isFresh && existsSync(about) && existsSync(packed)) {
    const known: Omit<Layer, 'file'> = JSON.parse(readFileSync(about, 'utf8'));
    return { file: packed, ...known };
  }
  mkdirSync(plan.from);
  plan.fill(plan.from);
  const plain = `${plan.from}.tar`;
  tar(plan.from, plain);
  const part = `${plan.from}.tar.gz`;
  await pipeline(createReadStream(plain), createGzip({ level: 6 }), createWriteStream(part));
  const known = {
    digest: await sha256(part),
    diffId: await sha256(plain),
    unpackedBytes: statSync(plain).size,
  };
  for (const used of [plan.from, plain]) rmSync(used, { recursive: true });
  renameSync(part, packed);
  writeFileSync(about, JSON.stringify(known));
  return { file: packed, ...known };
}

/** Writes the archive of one image; returns the digest of its manifest. */
export function writeArchive(plan: {
  readonly layers: readonly Layer[];
  readonly name: string;
  readonly version: string;
  readonly arch: Arch;
  readonly out: string;
  readonly work: string;
}): string {
  const layout = join(plan.work, 'layout');
  const blobs = join(layout, 'blobs/sha256');
  mkdirSync(blobs, { recursive: true });
  const blob = (mediaType: string, value: unknown): Descriptor => {
    const data = Buffer.from(JSON.stringify(value));
    const hex = createHash('sha256').update(data).digest('hex');
    writeFileSync(join(blobs, hex), data);
    return { mediaType, digest: `sha256:${hex}`, size: data.length };
  };
  const layers = plan.layers.map(({ file, digest }) => {
    copyFileSync(file, join(blobs, digest.slice('sha256:'.length)));
    const mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip';
    return { mediaType, digest, size: statSync(file).size };
  });
  const config = blob('application/vnd.oci.image.config.v1+json', imageConfig(plan));
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = blob(mediaType, { schemaVersion: 2, mediaType, config, layers });
  const annotations = {
    'io.containerd.image.name': plan.name,
    'org.opencontainers.image.ref.name': plan.version,
  };
  const platform = { architecture: plan.arch, os: 'linux' };
  const index = { schemaVersion: 2, manifests: [{ ...manifest, annotations, platform }] };
  writeFileSync(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  writeFileSync(join(layout, 'index.json'), JSON.stringify(index));
  mkdirSync(dirname(plan.out), { recursive: true });
  tar(layout, `${plan.out}.part`);
  renameSync(`${plan.out}.part`, plan.out);
  return manifest.digest;
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

function imageConfig(plan: {
  readonly layers: readonly Layer[];
  readonly version: string;
  readonly arch: Arch;
}): unknown {
  return {
    created: new Date(EPOCH * 1000).toISOString(),
    architecture: plan.arch,
    os: 'linux',
    config: {
      // Programs that need root are told so where they are started.
      User: '65532:65532',
      Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      Cmd: ['/usr/local/bin/plumb', '--help'],
      Labels: {
        'org.opencontainers.image.title': 'plumbline',
        'org.opencontainers.image.version': plan.version,
        'org.opencontainers.image.licenses': 'Apache-2.0',
      },
    },
    rootfs: { type: 'layers', diff_ids: plan.layers.map(({ diffId }) => diffId) },
  };
}

function tar(dir: string, file: string): void {
  for (const path of globSync('**/*', { cwd: dir }).map((name) => join(dir, name))) {
    const stat = lstatSync(path);
    if (stat.isSymbolicLink()) continue;
    chmodSync(path, stat.isDirectory() || (stat.mode & 0o100) !== 0 ? 0o755 : 0o644);
  }
  chmodSync(dir, 0o755);
  if (existsSync(join(dir, 'tmp'))) chmodSync(join(dir, 'tmp'), 0o1777);
  const sameForAll = [
    '--sort=name',
    `--mtime=@${EPOCH}`,
    '--owner=0',
    '--group=0',
    '--numeric-owner',
  ];
  execFileSync('tar', ['--format=gnu', ...sameForAll, '-C', dir, '-cf', file, '.']);
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return `sha256:${hash.digest('hex')}`;
}
