/**
 * One container of a pod: its process, its probes, and its restarts.
 *
 * The process is the first of its own pid namespace, so whatever it starts ends with it, and it has
 * mounts of its own: the pod's hosts file and a resolver that answers "no" at once. It is started
 * again as restartPolicy says, later each time; a run of a minute wipes the slate clean.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs } from '#common/backoff.ts';
import type { Logger } from '#common/log.ts';
import { Child } from './child.ts';
import type { ChildExit } from './child.ts';
import { commandOf } from './container-command.ts';
import type { DesiredContainer, DesiredPod } from '#common/control/desired.ts';
import type { LogFile } from './log-file.ts';
import { runProbe } from './probe.ts';
import type { ProbeTarget } from './probe.ts';
import { childOf, markOf, signal } from './processes.ts';
import type { ProcessList } from './processes.ts';

const RESTART = { firstMs: 500, longestMs: 30_000 };
const STEADY_MS = 60_000;

export interface ContainerPlace {
  readonly pod: DesiredPod;
  readonly directory: string;
  readonly netnsPath: string;
  readonly hostsFile: string;
  readonly resolverFile: string;
  /** PATH of the container. */
  readonly path: string;
  readonly target: ProbeTarget;
  readonly output: LogFile;
  readonly processes: ProcessList;
  readonly log: Logger;
}

export type ContainerState =
  | { readonly state: 'waiting' }
  | { readonly state: 'running'; readonly ready: boolean }
  | { readonly state: 'ended'; readonly code: number };

/** Its own mounts, host name and pids; whatever it started is killed with it. */
const ISOLATE = ['unshare', '--mount', '--uts', '--pid', '--fork', '--kill-child=KILL', '--'];

/** The shell that becomes the container; `$1`... are data, never read as code. */
const SETUP = [
  'mount --bind "$1" /etc/hosts || exit 126',
  'mount --bind "$2" /etc/resolv.conf 2>/dev/null',
  'mount -t proc proc /proc 2>/dev/null',
  '(echo "$3" >/proc/sys/kernel/hostname) 2>/dev/null',
  'cd "$4" || exit 126',
  'unset PWD OLDPWD',
  'shift 4',
  'exec "$@"',
].join('\n');

export class Container {
  readonly spec: DesiredContainer;
  readonly #place: ContainerPlace;
  readonly #onChange: () => void;
  readonly #stopped = new AbortController();
  #state: ContainerState = { state: 'waiting' };
  #child: Child | undefined;
  #running: Promise<void> = Promise.resolve();
  #restarts = 0;

  constructor(spec: DesiredContainer, place: ContainerPlace, onChange: () => void) {
    this.spec = spec;
    this.#place = place;
    this.#onChange = onChange;
  }

  get state(): ContainerState {
    return this.#state;
  }

  get restarts(): number {
    return this.#restarts;
  }

  /** The process inside, as seen from here; for entering its namespaces. */
  get pid(): number | undefined {
    return this.#child === undefined ? undefined : childOf(this.#child.pid);
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Asks the process to end and, after the grace period, makes it. */
  async stop(graceMs: number): Promise<void> {
    this.#stopped.abort();
    await this.#end(graceMs);
    await this.#running;
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#stopped.signal.aborted) {
      const began = performance.now();
      const exit = await this.#runOnce();
      if (this.#stopped.signal.aborted || !this.#restartsAfter(exit)) {
        this.#set({ state: 'ended', code: exit.code });
        return;
      }
      failures = performance.now() - began > STEADY_MS ? 1 : failures + 1;
      const waitMs = backoffMs(failures, RESTART, Math.random());
      this.#place.log.warn('container ended and is started again', {
        ...this.#fields(),
        reason: exit.reason,
        waitMs: Math.round(waitMs),
      });
      this.#set({ state: 'waiting' });
      await delay(waitMs, undefined, { signal: this.#stopped.signal }).catch(() => {});
      this.#restarts += 1;
    }
    this.#set({ state: 'ended', code: 0 });
  }

  async #runOnce(): Promise<ChildExit> {
    const { readinessProbe, livenessProbe } = this.spec;
    const child = this.#spawn();
    this.#child = child;
    this.#set({ state: 'running', ready: readinessProbe === undefined });
    const ended = new AbortController();
    const shared = { target: this.#place.target, signal: ended.signal };
    const probes: Promise<void>[] = [];
    if (readinessProbe !== undefined) {
      const onChange = (ready: boolean, reason: string): void => {
        if (!ready) this.#place.log.warn('container is not ready', { ...this.#fields(), reason });
        this.#set({ state: 'running', ready });
      };
      probes.push(runProbe({ ...shared, probe: readinessProbe, passing: false, onChange }));
    }
    if (livenessProbe !== undefined) {
      const onChange = (alive: boolean, reason: string): void => {
        if (alive) return;
        this.#place.log.warn('container failed its liveness probe', { ...this.#fields(), reason });
        void this.#end(this.#place.pod.terminationGracePeriodSeconds * 1000);
      };
      probes.push(runProbe({ ...shared, probe: livenessProbe, passing: true, onChange }));
    }
    const exit = await child.exit;
    this.#child = undefined;
    ended.abort();
    await Promise.all(probes);
    return exit;
  }

  #spawn(): Child {
    const { pod, directory, path } = this.#place;
    const { argv, env, cwd } = commandOf(this.spec, { directory, path, podName: pod.name });
    const setup = ['sh', '-c', SETUP, 'container', this.#place.hostsFile, this.#place.resolverFile];
    return new Child({
      netnsPath: this.#place.netnsPath,
      argv: [...ISOLATE, ...setup, pod.name, cwd, ...argv],
      env,
      cwd: '/',
      output: this.#place.output,
      processes: this.#place.processes,
    });
  }

  /** Never rejects. */
  async #end(graceMs: number): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const inner = childOf(child.pid);
    const mark = inner === undefined ? undefined : markOf(inner);
    // unshare itself waits with signals ignored: it is the process inside that is asked.
    if (mark === undefined) child.signal('SIGKILL');
    else signal(mark, 'SIGTERM');
    const ended = new AbortController();
    const late = delay(graceMs, true, { signal: ended.signal }).catch(() => false);
    if (await Promise.race([child.exit.then(() => false), late])) child.signal('SIGKILL');
    ended.abort();
    await child.exit;
  }

  #restartsAfter(exit: ChildExit): boolean {
    const policy = this.#place.pod.restartPolicy;
    return policy === 'Always' || (policy === 'OnFailure' && exit.code !== 0);
  }

  #set(state: ContainerState): void {
    this.#state = state;
    this.#onChange();
  }

  #fields(): { readonly pod: string; readonly container: string } {
    const { namespace, name } = this.#place.pod;
    return { pod: `${namespace}/${name}`, container: this.spec.name };
  }
}
