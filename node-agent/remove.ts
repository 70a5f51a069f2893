/**
 * `node-agent --remove`: takes everything of the mesh off a node where no agent runs any more, whoever
 * left it there. Run again it does what is still to do.
 */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { MeshError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { FileLock } from '#common/sys/file-lock.ts';
import { findPrograms } from './capture/backend.ts';
import { createCommand } from './capture/command.ts';
import { HostRules } from './capture/host-rules.ts';
import { removeCni } from './cni-part.ts';
import type { RemovalConfig } from './config.ts';
import { leaveNode } from './leave-node.ts';
import { PinDirectory } from './pods/pins.ts';

export async function removeMesh(config: RemovalConfig, log: Logger): Promise<void> {
  const { netnsDir, runDir, cni } = config;
  mkdirSync(runDir, { recursive: true, mode: 0o700 }); // After a reboot there is none.
  const lock = new FileLock(join(runDir, RULES_LOCK));
  if (!lock.tryHold()) {
    const message = 'Cannot remove the mesh from this node: an agent runs here; end it first';
    throw new MeshError('CONFIG_INVALID', message);
  }
  const command = createCommand();
  const programs = await findPrograms(command);
  await leaveNode({
    command,
    programs,
    log,
    pins: new PinDirectory(netnsDir),
    cni: cni && { remove: () => removeCni(cni, log) },
    hostRules: new HostRules({ command, programs, log }),
    drain: async () => {},
  });
  removeFiles(config);
  log.info('the mesh has left this node');
}

/** The agent that keeps the rules of this node holds it. */
export const RULES_LOCK = 'rules.lock';

/** What is in both directories; they themselves may be mounts. */
export function removeFiles({
  stateDir,
  runDir,
}: Pick<RemovalConfig, 'stateDir' | 'runDir'>): void {
  for (const path of [stateDir, runDir]) {
    if (!existsSync(path)) continue;
    for (const name of readdirSync(path))
      rmSync(join(path, name), { recursive: true, force: true });
  }
}
