/**
 * The lowest layer: programs and libraries of Debian, and Node at /usr/local/bin/node.
 *
 * No maintainer script runs, so what those would have set up is made here by hand. Node is the binary
 * of the npm package, unchanged. There is no package manager; scanners find Debian's packages in
 * /var/lib/dpkg/status. Licences stay, manuals go.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, globSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Arch } from './main.ts';
import { readModules } from './modules.ts';

export interface BasePlan {
  readonly into: string;
  readonly debs: readonly string[];
  readonly root: string;
  readonly target: Arch;
  readonly work: string;
}

/** As in every Debian since 12: these are links into /usr. */
const MERGED = ['bin', 'sbin', 'lib', 'lib64'];
const DIRECTORIES = ['dev', 'etc', 'proc', 'run', 'sys', 'tmp', 'usr/local/bin', 'var/lib/dpkg'];
/** What nobody calls in a container that does one thing. */
const UNUSED = [
  'boot',
  'home',
  'media',
  'mnt',
  'opt',
  'root',
  'srv',
  'var/backups',
  'var/cache',
  'var/lib/misc',
  'var/local',
  'var/mail',
  'var/opt',
  'var/spool',
  'usr/games',
  'usr/include',
  'usr/src',
  'usr/lib/*/gconv',
  'usr/lib/*/tc',
  'usr/lib/*/audit',
  'usr/lib/systemd',
  'usr/sbin/{tc,bridge,dcb,devlink,rtacct,rtmon,tipc,vdpa,arpd,genl}',
  'usr/bin/{lnstat,nstat,rdma,routel,ctstat,rtstat}',
  'usr/share/{bash-completion,bug,common-licenses/GFDL*,debianutils,info,initramfs-tools,lintian,locale,man,menu}',
  'etc/{default,init.d,kernel,modprobe.d,skel,update-motd.d}',
];
/** The few that probes and people in a shell need. */
const BUSYBOX = [
  'cat',
  'cp',
  'cut',
  'date',
  'df',
  'find',
  'grep',
  'head',
  'id',
  'kill',
  'ls',
  'mkdir',
  'mv',
  'ps',
  'pwd',
  'readlink',
  'rm',
  'sed',
  'sleep',
  'sort',
  'stat',
  'tail',
  'test',
  'touch',
  'tr',
  'true',
  'false',
  'uname',
  'wc',
];
const LINKS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ['iptables', 'ip6tables'].flatMap((name) =>
      ['', '-save', '-restore'].map((verb) => [`usr/sbin/${name}${verb}`, `${name}-nft${verb}`]),
    ),
  ),
  ...Object.fromEntries(BUSYBOX.map((name) => [`usr/bin/${name}`, 'busybox'])),
};
const FILES: Readonly<Record<string, string>> = {
  'etc/passwd': 'root:x:0:0:root:/:/bin/sh\nplumbline:x:65532:65532:plumbline:/:/bin/sh\n',
  'etc/group': 'root:x:0:\nplumbline:x:65532:\n',
  'etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\nservices: files\n',
};

export function buildBase({ into, debs, root, target, work }: BasePlan): void {
  for (const name of MERGED) {
    mkdirSync(join(into, 'usr', name), { recursive: true });
    symlinkSync(`usr/${name}`, join(into, name));
  }
  const status: string[] = [];
  for (const deb of debs) {
    const files = run('dpkg-deb', ['--fsys-tarfile', deb]);
    run('tar', ['-x', '-C', into, '--keep-directory-symlink', '--no-same-owner'], files);
    status.push(
      `${run('dpkg-deb', ['-f', deb]).toString().trim()}\nStatus: install ok installed\n`,
    );
  }
  const unused = globSync([...UNUSED, 'usr/share/doc/**/*'], { cwd: into }).filter(
    (path) => basename(path) !== 'copyright' && !isDirectoryOfDoc(path),
  );
  for (const path of unused) rmSync(join(into, path), { recursive: true, force: true });
  for (const dir of DIRECTORIES) mkdirSync(join(into, dir), { recursive: true });
  for (const [path, to] of Object.entries(LINKS)) {
    rmSync(join(into, path), { force: true });
    symlinkSync(to, join(into, path));
  }
  for (const [path, text] of Object.entries(FILES)) writeFileSync(join(into, path), text);
  writeFileSync(join(into, 'var/lib/dpkg/status'), status.join('\n'));
  addNode({ into, root, target, work });
}

function isDirectoryOfDoc(path: string): boolean {
  return /^usr\/share\/doc\/[^/]+$/.test(path);
}

function addNode({ into, root, target, work }: Omit<BasePlan, 'debs'>): void {
  const { node } = readModules(readFileSync(join(root, 'package-lock.json'), 'utf8'), target);
  run('npm', ['pack', '--silent', `${node.name}@${node.version}`, '--pack-destination', work]);
  const packed = join(work, `${node.name}-${node.version}.tgz`);
  const integrity = `sha512-${createHash('sha512').update(readFileSync(packed)).digest('base64')}`;
  if (integrity !== node.integrity) {
    throw new Error(
      `${node.name} ${node.version} is not what package-lock.json says: ${integrity}`,
    );
  }
  run('tar', ['-x', '-z', '-f', packed, '-C', work, 'package/bin/node', 'package/LICENSE']);
  for (const [from, to] of [
    ['bin/node', 'usr/local/bin/node'],
    ['LICENSE', 'usr/share/doc/nodejs/copyright'],
  ] as const) {
    mkdirSync(dirname(join(into, to)), { recursive: true });
    copyFileSync(join(work, 'package', from), join(into, to));
  }
  rmSync(join(work, 'package'), { recursive: true });
}

function run(program: string, args: readonly string[], input?: Buffer): Buffer {
  return execFileSync(program, args, {
    input,
    maxBuffer: 1 << 28,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}
