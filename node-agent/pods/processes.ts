/**
 * Network namespaces of pods by their processes, for runtimes that pin none. Needs the processes of the
 * node to be visible (`hostPID`) and the right to look at them (`SYS_PTRACE`); so it is asked for by
 * flag, and looks only while some pod is not found otherwise.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { podUidIn } from './cgroup.ts';

/** Returns, by the path of its namespace, the uid of the pod that each process belongs to. */
export function namespacesOfProcesses(procDir: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const pid of pidsIn(procDir)) {
    const podUid = podUidIn(textOf(`${procDir}/${pid}/cgroup`));
    if (podUid !== undefined) found.set(`${procDir}/${pid}/ns/net`, podUid);
  }
  return found;
}

function pidsIn(procDir: string): readonly string[] {
  try {
    return readdirSync(procDir).filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // It has ended meanwhile.
  }
}
