/**
 * A whole mesh on this machine: the world, the controller, an agent for each node, and the pods.
 *
 * The controller's directory source says what should be; `#reconcile` makes it so, and is run again
 * whenever something changed or failed, so no single event matters. Everything that exists is in the
 * maps of this class and goes when `stop` is called.
 */
import { writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from '#common/log.ts';
import { writeMeshFile } from '../mesh-file.ts';
import { SWITCH_ADDRESSES } from './addresses.ts';
import { controlSocketOf } from './control.ts';
import { ControllerLink } from './controller-link.ts';
import type { DesiredPod, DesiredState } from '#common/control/desired.ts';
import { CaptureGate } from './gate.ts';
import type { Installation } from './installation.ts';
import { LocalController } from './local-controller.ts';
import { LocalNode } from './node.ts';
import { RunningPod } from './pod.ts';
import { markOf, ProcessList } from './processes.ts';
import type { RunDir } from './run-dir.ts';
import { ServiceProxy } from './service-proxy.ts';
import { NodeTokens } from './tokens.ts';
import { World } from './world.ts';

export interface LocalMeshDeps {
  readonly dir: RunDir;
  /** With the YAML; absolute. */
  readonly directory: string;
  readonly installation: Installation;
  readonly log: Logger;
  /** Told when the problems of the directory, or the warnings about it, are others than before. */
  readonly onFindings: (findings: Findings) => void;
}

export type Findings = Pick<DesiredState, 'problems' | 'warnings'>;

interface NodeEntry {
  readonly node: LocalNode;
  readonly gate: CaptureGate;
}

interface PodEntry {
  readonly pod: RunningPod;
  /** Set once it is ending. */
  ending?: Promise<void>;
}

/** When the mesh ends, nobody waits longer than this for a process that is asked to end. */
const LONGEST_GRACE_MS = 2000;
const RETRY_MS = 1000;

export class LocalMesh {
  readonly dir: RunDir;
  readonly directory: string;
  readonly world: World;
  readonly #deps: LocalMeshDeps;
  readonly #processes: ProcessList;
  readonly #tokens: NodeTokens;
  readonly #stopped = new AbortController();
  readonly #nodes = new Map<string, NodeEntry>();
  readonly #pods = new Map<string, PodEntry>();
  /** Resolved, and made anew, whenever something changed that somebody may wait for. */
  #changed = Promise.withResolvers<void>();
  #controller: LocalController | undefined;
  #link: ControllerLink | undefined;
  #services: ServiceProxy | undefined;
  #desired: DesiredState | undefined;
  #isDirty = false;
  #reconciling: Promise<void> | undefined;
  #findings: Findings = { problems: [], warnings: [] };

  constructor(deps: LocalMeshDeps) {
    this.#deps = deps;
    this.dir = deps.dir;
    this.directory = deps.directory;
    this.world = new World(deps.dir);
    this.#processes = new ProcessList(deps.dir.processFile);
    this.#tokens = new NodeTokens(`${deps.dir.path}/tokens`);
  }

  get controller(): LocalController {
    if (this.#controller === undefined) throw new RangeError('the mesh has not been started');
    return this.#controller;
  }

  get desired(): DesiredState | undefined {
    return this.#desired;
  }

  get nodes(): readonly LocalNode[] {
    return Array.from(this.#nodes.values(), ({ node }) => node);
  }

  get pods(): readonly RunningPod[] {
    return Array.from(this.#pods.values(), ({ pod }) => pod);
  }

  /** Starts the controller; nodes and pods follow as it asks for them. */
  async start(): Promise<void> {
    // Nobody answers there, and says so at once: an unknown name is an error, not a wait.
    writeFileSync(
      `${this.dir.path}/resolv.conf`,
      `nameserver ${SWITCH_ADDRESSES[0]}\noptions timeout:1 attempts:1\n`,
    );
    await this.world.start();
    const { dir, directory, installation, log } = this.#deps;
    this.#controller = new LocalController(this.world.hub, {
      dir,
      directory,
      tokenFile: this.#tokens.path,
      installation,
      processes: this.#processes,
      log,
      onChange: () => this.#noteChange(),
    });
    await this.#controller.program.start();
    const { controller } = this;
    this.#services = new ServiceProxy({
      ask: async (path) => controller.ask(path),
      nodes: () => this.nodes.map(({ space }) => space),
      families: this.world.families,
      log,
    });
    this.#link = new ControllerLink({
      socket: this.#controller.socket,
      log,
      onDesired: (state) => this.#want(state),
      runtime: () => this.pods.map((pod) => pod.runtime),
    });
    this.#link.start();
  }

  /** Resolves when `holds` does, which is asked after every change; rejects when `signal` fires. */
  async until(holds: () => boolean, signal: AbortSignal): Promise<void> {
    while (!holds()) {
      signal.throwIfAborted();
      const aborted = Promise.withResolvers<void>();
      signal.addEventListener('abort', () => aborted.resolve(), { once: true });
      await Promise.race([this.#changed.promise, aborted.promise]);
    }
  }

  /** Whether all that is desired runs, is ready, and nothing else is left. */
  get isSettled(): boolean {
    const desired = this.#desired;
    if (desired === undefined || this.#reconciling !== undefined) return false;
    if (this.#pods.size !== desired.pods.length || this.#nodes.size !== desired.nodes.length) {
      return false;
    }
    return this.pods.every(({ runtime: { ready, phase } }) => ready || phase === 'Succeeded');
  }

  /** Ends everything, in the order in which nothing misses what it needs to end well; files stay. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#reconciling;
    await this.#services?.stop();
    for (const { gate } of this.#nodes.values()) await gate.stop();
    await Promise.all(
      Array.from(this.#pods.values(), async ({ pod }) => pod.end(LONGEST_GRACE_MS)),
    );
    await this.#link?.stop();
    await Promise.all(Array.from(this.#nodes.values(), async ({ node }) => node.stop(0)));
    await this.#controller?.stop(LONGEST_GRACE_MS);
    await this.world.remove();
  }

  #want(state: DesiredState): void {
    this.#desired = state;
    const { problems, warnings } = state;
    const findings = { problems, warnings };
    if (!isDeepStrictEqual(findings, this.#findings)) this.#deps.onFindings(findings);
    this.#findings = findings;
    this.#look();
  }

  /** Looks again at what should be and what is. */
  #look(): void {
    this.#isDirty = true;
    this.#reconciling ??= this.#reconcileAll().finally(() => {
      this.#reconciling = undefined;
      this.#noteChange();
    });
  }

  /** Never rejects. */
  async #reconcileAll(): Promise<void> {
    const { signal } = this.#stopped;
    while (this.#isDirty && !signal.aborted) {
      this.#isDirty = false;
      try {
        if (this.#desired !== undefined) await this.#reconcile(this.#desired);
      } catch (error) {
        if (signal.aborted) return;
        this.#deps.log.error('mesh cannot be made as desired; trying again', { error });
        this.#isDirty = true;
        await delay(RETRY_MS, undefined, { signal }).catch(() => {});
      }
    }
  }

  async #reconcile(desired: DesiredState): Promise<void> {
    const wanted = new Set(desired.pods.map(({ podUid }) => podUid));
    for (const [podUid, entry] of this.#pods) {
      if (!wanted.has(podUid)) entry.ending ??= this.#endPod(podUid, entry.pod);
    }
    for (const { name } of desired.nodes) {
      if (!this.#nodes.has(name)) await this.#addNode(name);
    }
    for (const pod of desired.pods) {
      if (this.#stopped.signal.aborted) return;
      if (!this.#pods.has(pod.podUid)) await this.#addPod(pod);
    }
    for (const pod of this.pods) pod.setHosts(desired.hosts);
    await this.#removeNodes(new Set(desired.nodes.map(({ name }) => name)));
    this.#noteChange();
  }

  async #addNode(name: string): Promise<void> {
    const { dir, installation, log } = this.#deps;
    const space = await this.world.addNode(name);
    await this.#services?.prepare(space);
    const node = new LocalNode(space, this.#tokens.add(name), {
      dir,
      installation,
      controller: this.controller.url,
      controllerCa: this.controller.rootFile,
      processes: this.#processes,
      log,
      onChange: () => this.#noteChange(),
    });
    const gate = new CaptureGate({ ask: async () => node.ask('/proof'), log });
    this.#nodes.set(name, { node, gate });
    // It is started again whatever happens; the pods' gates say what is missing.
    node.agent.start().catch((error: unknown) => {
      if (!this.#stopped.signal.aborted)
        log.error('agent has trouble to start', { node: name, error });
    });
  }

  async #removeNodes(wanted: ReadonlySet<string>): Promise<void> {
    for (const [name, { node, gate }] of this.#nodes) {
      const hasPods = this.pods.some(({ desired }) => desired.node === name);
      if (wanted.has(name) || hasPods) continue;
      this.#nodes.delete(name);
      await gate.stop();
      await node.stop(LONGEST_GRACE_MS);
      this.#tokens.remove(name);
      await this.world.removeNode(name);
    }
  }

  async #addPod(desired: DesiredPod): Promise<void> {
    const { podUid, namespace, name } = desired;
    const entry = this.#nodes.get(desired.node);
    if (entry === undefined) {
      this.#deps.log.warn('pod waits for its node', {
        pod: `${namespace}/${name}`,
        node: desired.node,
      });
      return;
    }
    const { space: nodeSpace } = entry.node;
    const space = desired.hostNetwork
      ? nodeSpace
      : await this.world.addPod(desired.node, podUid, `${namespace}.${name}`);
    const pod = new RunningPod(
      desired,
      { space, nodeNetns: nodeSpace.fd },
      {
        dir: this.dir,
        directory: this.directory,
        path: this.#deps.installation.path,
        processes: this.#processes,
        log: this.#deps.log,
        onChange: (runtime) => {
          this.#link?.tell(runtime);
          this.#noteChange();
        },
      },
    );
    this.#pods.set(podUid, { pod });
    pod.setHosts(this.#desired?.hosts ?? []);
    if (desired.hostNetwork) pod.start();
    else entry.gate.wait(podUid, `${namespace}/${name}`, () => pod.start());
  }

  /** Never rejects. */
  async #endPod(podUid: string, pod: RunningPod): Promise<void> {
    const { node, terminationGracePeriodSeconds, hostNetwork } = pod.desired;
    this.#nodes.get(node)?.gate.forget(podUid);
    try {
      await pod.end(terminationGracePeriodSeconds * 1000);
      if (this.#stopped.signal.aborted) return;
      if (!hostNetwork) await this.world.removePod(podUid);
    } catch (error) {
      this.#deps.log.error('pod has not ended cleanly', { podUid, error });
    }
    this.#pods.delete(podUid);
    this.#link?.tellGone(podUid);
    this.#look();
  }

  #noteChange(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
    this.#services?.look();
    if (!this.#stopped.signal.aborted) this.#writeMeshFile();
  }

  #writeMeshFile(): void {
    const self = markOf(process.pid);
    writeMeshFile(this.dir.meshFile, {
      name: this.dir.name,
      directory: this.directory,
      pid: process.pid,
      started: self?.started ?? '0',
      logs: this.dir.logs,
      socket: controlSocketOf(this.dir),
      controller: {
        pid: this.#controller?.program.pid ?? 0,
        socket: this.#controller?.socket ?? '',
      },
      agents: this.nodes.map(({ space, agent, socket }) => ({
        node: space.name,
        pid: agent.pid,
        socket,
      })),
    });
  }
}
