/** The list of parts of an image, as CycloneDX 1.6: pure, and the same for the same image. */
import type { Arch } from './main.ts';
import type { Modules, NpmPackage } from './modules.ts';
import type { LockedPackage } from './packages.ts';

export interface Parts {
  readonly version: string;
  readonly arch: Arch;
  /** Of the image's manifest. */
  readonly digest: string;
  readonly debs: readonly LockedPackage[];
  readonly modules: Modules;
}

export interface Component {
  readonly type: 'library' | 'platform';
  readonly 'bom-ref': string;
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly licenses?: readonly { readonly expression: string }[];
  readonly hashes: readonly { readonly alg: string; readonly content: string }[];
}

export interface Sbom {
  readonly $schema: string;
  readonly bomFormat: 'CycloneDX';
  readonly specVersion: '1.6';
  readonly version: 1;
  readonly metadata: object;
  readonly components: readonly Component[];
}

export function sbom({ version, arch, digest, debs, modules }: Parts): Sbom {
  const image = `pkg:oci/plumbline@${encodeURIComponent(digest)}?arch=${arch}&tag=${version}`;
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      component: {
        type: 'container',
        'bom-ref': image,
        name: 'plumbline.dev/plumbline',
        version,
        purl: image,
        licenses: [{ license: { id: 'Apache-2.0' } }],
        hashes: [{ alg: 'SHA-256', content: digest.slice('sha256:'.length) }],
      },
    },
    components: [
      ...debs.map((one) => debian(one, arch)),
      { ...npm(modules.node), type: 'platform' },
      ...modules.packages.map(npm),
    ],
  };
}

function debian({ name, version, sha256 }: LockedPackage, arch: Arch): Component {
  const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${arch}&distro=debian-12`;
  return {
    type: 'library',
    'bom-ref': purl,
    name,
    version,
    purl,
    hashes: [{ alg: 'SHA-256', content: sha256 }],
  };
}

function npm({ name, version, integrity, license }: NpmPackage): Component {
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
  const content = Buffer.from(integrity.replace(/^sha512-/, ''), 'base64').toString('hex');
  return {
    type: 'library',
    'bom-ref': purl,
    name,
    version,
    purl,
    ...(license !== '' && { licenses: [{ expression: license }] }),
    hashes: [{ alg: 'SHA-512', content }],
  };
}
