/**
 * Whether this process may make namespaces, and what to do when it may not.
 *
 * Without root the same program is run again in a user namespace of its own, where it is root over a
 * network and mounts that nobody else sees. /run is a memory file system there, for `ip netns` and
 * the lock of iptables. What is needed must be installed already.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { MeshError } from '#common/errors.ts';
import { missingPrograms, systemEnvironment } from './command.ts';

const CAP_NET_ADMIN = 12n;
const CAP_SYS_ADMIN = 21n;
/** Set in the second run, so that there is no third. */
const MARK = 'PLUMBLINE_USER_NAMESPACE';

const NEEDED =
  'ip iptables-restore ip6tables-restore ipset nsenter setpriv unshare mount umount sh'.split(' ');

const SETUP = 'mount -t tmpfs tmpfs /run && ip link set lo up && exec "$@"';

/** Makes sure of privileges and programs; may replace this process by one that has them. */
export function ensurePrivileges(): void {
  const missing = missingPrograms(NEEDED);
  if (missing.length > 0) {
    throw new MeshError(
      'SYSTEM_CALL_FAILED',
      `Cannot start: missing ${missing.join(', ')}; on Debian: apt-get install iptables ipset iproute2 util-linux`,
    );
  }
  if (hasCapabilities(readFileSync('/proc/self/status', 'latin1'))) return;
  if (process.env[MARK] !== undefined || !mayUnshare()) {
    throw new MeshError(
      'SYSTEM_CALL_FAILED',
      'Cannot start: this takes root, or a kernel that lets users make namespaces (sysctl user.max_user_namespaces=10000 kernel.apparmor_restrict_unprivileged_userns=0)',
    );
  }
  const again = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const env = { ...systemEnvironment(), [MARK]: '1' };
  const [program, ...args] = [
    '/usr/bin/env',
    'unshare',
    '-Urnm',
    'sh',
    '-c',
    SETUP,
    'sh',
    ...again,
  ];
  if (process.execve === undefined) throw new TypeError('this Node has no execve');
  process.execve(program ?? '', [program ?? '', ...args], env);
}

/** True in the second run: other commands must enter the namespaces to see this mesh. */
export function isInUserNamespace(): boolean {
  return process.env[MARK] !== undefined;
}

/** Reads the effective capabilities out of /proc/PID/status. Pure. */
export function hasCapabilities(status: string): boolean {
  const mask = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
  return ((mask >> CAP_NET_ADMIN) & (mask >> CAP_SYS_ADMIN) & 1n) === 1n;
}

function mayUnshare(): boolean {
  const tried = spawnSync('unshare', ['-Urnm', 'true'], { env: systemEnvironment() });
  return tried.status === 0;
}
