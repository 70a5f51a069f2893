/**
 * One pod that runs here: its namespace, hosts file and containers, and what is to be told of it.
 *
 * Its life is one way: placed, released to start (when its traffic is captured), running, ending,
 * gone. Whatever changes is told by `onChange` with the whole state, never as a step.
 */
import { closeSync, ftruncateSync, openSync, rmSync, writeSync } from 'node:fs';
import type { Logger } from '#common/log.ts';
import { Container } from './container.ts';
import type { DesiredPod, HostEntry } from '#common/control/desired.ts';
import { renderHosts } from './hosts.ts';
import { LogFile } from './log-file.ts';
import { isReady, phaseOf } from './pod-phase.ts';
import type { PodPhase } from './pod-phase.ts';
import type { ProcessList } from './processes.ts';
import type { RunDir } from './run-dir.ts';
import type { Space } from './world.ts';

/** What the controller is told. */
export interface PodRuntime {
  readonly podUid: string;
  readonly addresses: readonly string[];
  readonly phase: PodPhase;
  readonly ready: boolean;
  readonly terminating: boolean;
}

export interface PodDeps {
  readonly dir: RunDir;
  /** The directory of `plumb up DIR`. */
  readonly directory: string;
  /** PATH of containers. */
  readonly path: string;
  readonly processes: ProcessList;
  readonly log: Logger;
  readonly onChange: (runtime: PodRuntime) => void;
}

export interface PodPlace {
  /** Its own namespace, or its node's when it uses the host's network. */
  readonly space: Space;
  /** The node's namespace, from which it is probed. */
  readonly nodeNetns: number;
}

export class RunningPod {
  readonly desired: DesiredPod;
  readonly place: PodPlace;
  readonly containers: readonly Container[];
  readonly #deps: PodDeps;
  readonly #hostsFile: string;
  readonly #outputs: readonly LogFile[];
  #started = false;
  #terminating = false;
  #told = '';
  #hosts = '';

  constructor(desired: DesiredPod, place: PodPlace, deps: PodDeps) {
    this.desired = desired;
    this.place = place;
    this.#deps = deps;
    this.#hostsFile = `${deps.dir.hosts}/${desired.podUid}`;
    this.setHosts([]);
    const logName = `${deps.dir.logs}/pod.${desired.namespace}.${desired.name}`;
    const address = place.space.addresses[0] ?? '';
    const made = desired.containers.map((spec) => {
      const output = new LogFile(`${logName}.${spec.name}.log`);
      const container = new Container(
        spec,
        {
          pod: desired,
          directory: deps.directory,
          netnsPath: place.space.path,
          hostsFile: this.#hostsFile,
          resolverFile: `${deps.dir.path}/resolv.conf`,
          path: deps.path,
          target: { netns: place.nodeNetns, address },
          output,
          processes: deps.processes,
          log: deps.log,
        },
        () => this.#tell(),
      );
      return { container, output };
    });
    this.containers = made.map(({ container }) => container);
    this.#outputs = made.map(({ output }) => output);
    this.#tell();
  }

  get runtime(): PodRuntime {
    const states = this.containers.map(({ state }) => state);
    return {
      podUid: this.desired.podUid,
      addresses: this.place.space.addresses,
      phase: phaseOf(states, this.#started),
      ready: this.#started && !this.#terminating && isReady(states),
      terminating: this.#terminating,
    };
  }

  /** Starts the containers; the pod's traffic must be captured by now, or need no capture. */
  start(): void {
    if (this.#started || this.#terminating) return;
    this.#started = true;
    for (const container of this.containers) container.start();
  }

  /** Says at once that the pod is ending, then ends its processes. */
  async end(graceMs: number): Promise<void> {
    this.#terminating = true;
    this.#tell();
    await Promise.all(this.containers.map(async (container) => container.stop(graceMs)));
    for (const output of this.#outputs) output.close();
    rmSync(this.#hostsFile, { force: true });
  }

  /** Writes into the same file, since containers have it mounted. */
  setHosts(entries: readonly HostEntry[]): void {
    const { namespace, name } = this.desired;
    const { addresses } = this.place.space;
    const text = renderHosts({ namespace, name, addresses }, entries);
    if (text === this.#hosts || this.#terminating) return;
    this.#hosts = text;
    // Not truncated first: a reader in between would find no name at all.
    const fd = openSync(this.#hostsFile, this.#told === '' ? 'w' : 'r+', 0o644);
    try {
      ftruncateSync(fd, writeSync(fd, text, 0));
    } finally {
      closeSync(fd);
    }
  }

  #tell(): void {
    const runtime = this.runtime;
    const text = JSON.stringify(runtime);
    if (text === this.#told) return;
    this.#told = text;
    this.#deps.onChange(runtime);
  }
}
