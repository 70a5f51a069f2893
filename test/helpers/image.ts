/** Builds the container image and unpacks it as a container runtime does. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

export const LARGEST_BYTES = 260e6;

interface Descriptor {
  readonly digest: string;
  readonly size: number;
}

export interface ImageConfig {
  readonly architecture: string;
  readonly rootfs: { readonly diff_ids: readonly string[] };
}

export function buildImage(out: string, ...flags: string[]): void {
  execFileSync('scripts/build-image.sh', ['--out', out, ...flags], { stdio: 'pipe' });
}

/** Unpacks an archive as a container runtime does, every digest checked; returns where the root is. */
export function unpackImage(archive: string, dir: string): { root: string; config: ImageConfig } {
  const [layout, root] = [join(dir, 'layout'), join(dir, 'root')];
  for (const made of [layout, root]) mkdirSync(made, { recursive: true });
  execFileSync('tar', ['-xf', archive, '-C', layout]);
  const blob = ({ digest, size }: Descriptor): Buffer => {
    const data = readFileSync(join(layout, 'blobs', digest.replace(':', '/')));
    if (data.length !== size || digestOf(data) !== digest)
      throw new Error(`${digest} is not whole`);
    return data;
  };
  const version: { imageLayoutVersion: string } = JSON.parse(
    readFileSync(join(layout, 'oci-layout'), 'utf8'),
  );
  if (version.imageLayoutVersion !== '1.0.0') throw new Error('not an OCI image layout');
  const index: { manifests: Descriptor[] } = JSON.parse(
    readFileSync(join(layout, 'index.json'), 'utf8'),
  );
  const [first] = index.manifests;
  if (first === undefined || index.manifests.length > 1) throw new Error('expected one manifest');
  const manifest: { config: Descriptor; layers: Descriptor[] } = JSON.parse(blob(first).toString());
  const config: ImageConfig = JSON.parse(blob(manifest.config).toString());
  for (const [at, layer] of manifest.layers.entries()) {
    const plain = gunzipSync(blob(layer));
    if (digestOf(plain) !== config.rootfs.diff_ids[at])
      throw new Error(`layer ${at}: wrong diff id`);
    execFileSync('tar', ['-x', '-C', root], { input: plain });
  }
  return { root, config };
}

function digestOf(data: Buffer): string {
  return `sha256:${createHash('sha256').update(data).digest('hex')}`;
}
