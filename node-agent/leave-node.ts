/**
 * Takes everything away that the mesh has put into a node: what an agent does when it is removed for
 * good, and `node-agent --remove` for a node whose agent did not come to it.
 *
 * In this order: plugin out of the chain and deleted, so that pods can start; rules, fence and routes
 * in every pod, whoever loaded them; what is in the node's own namespace. Captured connections go on
 * until `drain` has ended. A pod that fails does not keep the others captured; it is counted.
 */
import { MeshError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { CaptureOptions } from '#common/mesh/workload.ts';
import { closeNetns } from '#common/sys/netns.ts';
import type { Programs } from './capture/backend.ts';
import { Capture } from './capture/capture.ts';
import type { Command } from './capture/command.ts';
import type { HostRules } from './capture/host-rules.ts';
import type { PinDirectory } from './pods/pins.ts';

export interface LeaveNodeDeps {
  readonly command: Command;
  readonly programs: Programs;
  readonly log: Logger;
  /** Every namespace that a pod may be in. */
  readonly pins: PinDirectory;
  readonly cni: { remove(): void } | undefined;
  readonly hostRules: Pick<HostRules, 'stop'>;
  /** Ends what is captured; called once, when nothing is redirected any more. */
  readonly drain: () => Promise<void>;
}

export async function leaveNode(deps: LeaveNodeDeps): Promise<void> {
  const { log, pins, cni, hostRules, drain } = deps;
  const problems: unknown[] = [];
  const attempt = async (what: () => void | Promise<void>): Promise<void> => {
    try {
      await what();
    } catch (error) {
      log.error('something of the mesh stays on this node', { error });
      problems.push(error);
    }
  };
  await attempt(() => cni?.remove());
  const names = [...pins.list().keys()];
  let captured = names.length;
  const drained = Promise.withResolvers<void>();
  const released = (): void => {
    captured -= 1;
    if (captured === 0) drain().then(drained.resolve, drained.reject);
  };
  if (captured === 0) drained.resolve(drain());
  await Promise.all(
    names.map(async (name) => {
      let isReleased = false;
      const once = (): void => {
        if (!isReleased) released();
        isReleased = true;
      };
      await attempt(async () =>
        release(deps, name, async () => {
          once();
          await drained.promise;
        }),
      );
      once();
    }),
  );
  await attempt(async () => drained.promise);
  await attempt(async () => hostRules.stop());
  if (problems.length === 0) return;
  throw new MeshError('CAPTURE_FAILED', 'Cannot take everything of the mesh off this node', {
    cause: problems[0],
    details: { problems: problems.length },
  });
}

async function release(
  { command, programs, log, pins }: LeaveNodeDeps,
  name: string,
  drain: () => Promise<void>,
): Promise<void> {
  const opened = pins.open(name);
  if (opened === undefined) return; // It has ended meanwhile.
  try {
    const capture = new Capture({ command, programs, log, netns: opened.fd }, NOTHING_WANTED);
    if (!(await capture.isLoaded())) return;
    await capture.release(drain);
    log.info('namespace freed', { name });
  } finally {
    closeNetns(opened.fd);
  }
}

const NOTHING_WANTED: CaptureOptions = {
  excludeInboundPorts: [],
  excludeOutboundPorts: [],
  excludeOutboundCidrs: [],
  dnsCapture: false,
  failClosed: true,
  cutExisting: false,
};
