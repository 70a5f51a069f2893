/**
 * The npm packages that the programs load, exactly those of package-lock.json, for one architecture.
 *
 * Nothing is compiled and no install script runs: koffi ships its binaries. What Node never reads
 * (types, sources in C, documentation) is left out; licences stay.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, globSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Arch } from './main.ts';

export interface NpmPackage {
  readonly name: string;
  readonly version: string;
  readonly integrity: string;
  readonly license: string;
}

export interface Modules {
  readonly node: NpmPackage;
  readonly packages: readonly NpmPackage[];
}

interface LockEntry {
  readonly version?: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly devOptional?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
}

const CPU: Readonly<Record<Arch, string>> = { amd64: 'x64', arm64: 'arm64' };
const UNUSED =
  '**/{.package-lock.json,.bin,*.md,*.markdown,*.d.{ts,mts,cts},*.map,*.{cc,hh,inc,def,S,asm,h,c},CMakeLists.txt,.github,musl_*}';

/** What the lock file says about the packages of one architecture. */
export function readModules(lockText: string, arch: Arch): Modules {
  const { packages }: { packages: Record<string, LockEntry> } = JSON.parse(lockText);
  const fits = (allowed: readonly string[] | undefined, own: string): boolean =>
    allowed === undefined || allowed.includes(own);
  const found = Object.entries(packages).flatMap(([path, entry]): NpmPackage[] => {
    const isOurs =
      path !== '' &&
      entry.dev !== true &&
      entry.devOptional !== true &&
      fits(entry.os, 'linux') &&
      fits(entry.cpu, CPU[arch]) &&
      fits(entry.libc, 'glibc');
    if (!isOurs) return [];
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
    const { version = '', integrity = '', license = '' } = entry;
    return [{ name, version, integrity, license }];
  });
  const isNode = ({ name }: NpmPackage): boolean => name === `node-linux-${CPU[arch]}`;
  const node = found.find(isNode);
  if (node === undefined) throw new Error(`package-lock.json has no node-linux-${CPU[arch]}`);
  // The same version may lie at several places; it is one package all the same.
  const once = new Map(found.map((one) => [`${one.name}@${one.version}`, one]));
  once.forEach(({ name }, key) => name.startsWith('node-linux-') && once.delete(key));
  return { node, packages: [...once.values()] };
}

export function buildModules(plan: {
  readonly into: string;
  readonly root: string;
  readonly target: Arch;
  readonly work: string;
}): void {
  const npm = join(plan.work, 'npm');
  mkdirSync(npm);
  for (const name of ['package.json', 'package-lock.json']) {
    copyFileSync(join(plan.root, name), join(npm, name));
  }
  const target = [`--cpu=${CPU[plan.target]}`, '--os=linux', '--libc=glibc'];
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  execFileSync('npm', ['ci', '--omit=dev', ...target, ...quiet], {
    cwd: npm,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const modules = join(npm, 'node_modules');
  for (const path of globSync(['node-linux-*', UNUSED], { cwd: modules })) {
    if (/^(licen[cs]e|notice|copying)/i.test(basename(path))) continue;
    rmSync(join(modules, path), { recursive: true, force: true });
  }
  mkdirSync(join(plan.into, 'opt/plumbline'), { recursive: true });
  renameSync(modules, join(plan.into, 'opt/plumbline/node_modules'));
}
