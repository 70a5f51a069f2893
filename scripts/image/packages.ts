/**
 * The Debian packages of the image, fetched at the versions of packages.lock and checked by digest.
 *
 * apt fetches them, with its own signature check, from the mirror this machine is set up with. It
 * works on a private state, so neither the machine's packages nor its foreign architectures matter.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  existsSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Arch } from './main.ts';

export interface LockedPackage {
  readonly name: string;
  readonly version: string;
  readonly sha256: string;
}

const RELEASE = 'bookworm';
const ARCHES: readonly Arch[] = ['amd64', 'arm64'];

/** Reads the lines `NAME VERSION SHA256-OF-AMD64 SHA256-OF-ARM64`; `#` begins a comment. */
export function readLock(text: string, arch: Arch): LockedPackage[] {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return lines.map((line) => {
    const [name, version, amd64, arm64, ...more] = line.split(' ');
    if (!name || !version || !amd64 || !arm64 || more.length > 0) {
      throw new Error(`packages.lock: expected "name version sha256 sha256", found "${line}"`);
    }
    return { name, version, sha256: arch === 'amd64' ? amd64 : arm64 };
  });
}

/** Returns the .deb files, in the order of the lock. */
export function fetchPackages(
  locked: readonly LockedPackage[],
  arch: Arch,
  cache: string,
  work: string,
): string[] {
  const fileOf = ({ sha256 }: LockedPackage): string => join(cache, `${sha256}.deb`);
  const missing = locked.filter((one) => !existsSync(fileOf(one)));
  if (missing.length > 0) {
    const apt = openApt(work);
    try {
      apt(['download', ...missing.map(({ name, version }) => `${name}:${arch}=${version}`)]);
    } catch (cause) {
      const hint = 'a version may have left the mirror: scripts/build-image.sh --update';
      throw new Error(`Cannot fetch Debian packages; ${hint}`, { cause });
    }
    const fetched = digests(work);
    for (const one of missing) {
      const file = fetched.get(one.sha256);
      if (file === undefined) {
        throw new Error(`${one.name} ${one.version} for ${arch} is not what packages.lock says`);
      }
      renameSync(file, fileOf(one));
    }
  }
  return locked.map(fileOf);
}

/** Writes the lock anew: the same packages at the mirror's present versions. */
export function updateLock(lockFile: string, work: string): void {
  const text = readFileSync(lockFile, 'utf8');
  const names = text.split('\n').flatMap((line) => /^[a-z0-9][^ ]*/.exec(line) ?? []);
  const apt = openApt(work);
  apt(['download', ...names.flatMap((name) => ARCHES.map((arch) => `${name}:${arch}`))]);
  const found = new Map<string, { version: string; sha256: string }>();
  for (const [sha256, file] of digests(work)) {
    const [name, version, arch] = ['Package', 'Version', 'Architecture'].map((field) =>
      execFileSync('dpkg-deb', ['-f', file, field], { encoding: 'utf8' }).trim(),
    );
    found.set(`${name}:${arch}`, { version: version ?? '', sha256 });
  }
  const head = text.split('\n').filter((line) => line.startsWith('#'));
  const rows = names.map((name) => {
    const [amd64, arm64] = ARCHES.map((arch) => found.get(`${name}:${arch}`));
    if (amd64 === undefined || arm64 === undefined || amd64.version !== arm64.version) {
      throw new Error(`${name} is not there in one version for ${ARCHES.join(' and ')}`);
    }
    return `${name} ${amd64.version} ${amd64.sha256} ${arm64.sha256}`;
  });
  writeFileSync(lockFile, `${[...head, ...rows].join('\n')}\n`);
}

function openApt(work: string): (args: readonly string[]) => void {
  const state = join(work, 'apt');
  mkdirSync(join(state, 'lists/partial'), { recursive: true });
  mkdirSync(join(state, 'archives/partial'), { recursive: true });
  writeFileSync(join(state, 'status'), '');
  const mirror = process.env['DEBIAN_MIRROR'] ?? 'http://deb.debian.org';
  const from = `deb [arch=${ARCHES.join(',')} signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]`;
  writeFileSync(
    join(state, 'sources.list'),
    `${from} ${mirror}/debian ${RELEASE} main\n${from} ${mirror}/debian-security ${RELEASE}-security main\n`,
  );
  const options = [
    `Dir::State=${state}`,
    `Dir::State::status=${join(state, 'status')}`,
    `Dir::Cache=${state}`,
    `Dir::Etc::sourcelist=${join(state, 'sources.list')}`,
    'Dir::Etc::sourceparts=-',
    ...ARCHES.map((arch) => `APT::Architectures::=${arch}`),
    'Acquire::Languages=none',
    'Acquire::Retries=3',
    'APT::Sandbox::User=',
  ].flatMap((option) => ['-o', option]);
  const apt = (args: readonly string[]): void => {
    execFileSync('apt-get', ['-qq', ...options, ...args], {
      cwd: work,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  };
  apt(['update']);
  return apt;
}

function digests(dir: string): Map<string, string> {
  const files = readdirSync(dir).filter((name) => name.endsWith('.deb'));
  return new Map(
    files.map((name) => {
      const file = join(dir, name);
      return [createHash('sha256').update(readFileSync(file)).digest('hex'), file];
    }),
  );
}
