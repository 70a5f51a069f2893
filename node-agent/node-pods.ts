/**
 * The pods of this node, whole: how they are found, captured, kept captured and served, and the CNI
 * plugin that holds them back at their start. What is here works on what the mesh says of the pods.
 */
import { join } from 'node:path';
import type { EnrolledNamespace } from '#common/control/messages.ts';
import type { Logger } from '#common/log.ts';
import type { View } from '#common/mesh/view.ts';
import type { LocalPod } from '#common/mesh/workload.ts';
import { FileLock } from '#common/sys/file-lock.ts';
import { findPrograms } from './capture/backend.ts';
import { CaptureSet } from './capture/capture-set.ts';
import { createCommand } from './capture/command.ts';
import { HostRules } from './capture/host-rules.ts';
import type { PodCaptureState } from './capture/pod-capture.ts';
import type { Prover } from './capture/proof.ts';
import { CniPart } from './cni-part.ts';
import type { AgentConfig } from './config.ts';
import type { DataPlane } from './data/data-plane.ts';
import type { DnsOptions } from './data/messages.ts';
import { leaveNode } from './leave-node.ts';
import { PodSet } from './pod-set.ts';
import { PodJourney } from './pod-steps.ts';
import type { PodNamespaces } from './pods/namespaces.ts';
import { NetnsDirectory } from './pods/netns.ts';
import { NodeNamespaces } from './pods/node-namespaces.ts';
import { PinDirectory } from './pods/pins.ts';
import { removeFiles, RULES_LOCK } from './remove.ts';
import type { Succession } from './succession.ts';

export interface NodePodsDeps {
  readonly config: AgentConfig;
  readonly log: Logger;
  readonly view: View;
  readonly dataPlane: DataPlane;
  readonly prover: Prover;
  readonly dns: DnsOptions;
  readonly succession: Succession;
  readonly onState: (state: PodCaptureState) => void;
  /** The runtime has made a pod, or its namespace has become known or another. */
  readonly onFound: () => void;
  /** A pod has left, drained and all. */
  readonly onLeft: () => void;
}

/** Finds out what this node has, and makes the parts; nothing of them runs yet. */
export async function makeNodePods(deps: NodePodsDeps): Promise<NodePods> {
  const command = createCommand();
  return new NodePods(deps, command, await findPrograms(command));
}

export class NodePods {
  readonly captures: CaptureSet;
  readonly pods: PodSet;
  readonly journey: PodJourney;
  readonly cni: CniPart | undefined;
  readonly #deps: NodePodsDeps;
  readonly #tools: ConstructorParameters<typeof HostRules>[0];
  readonly #hostRules: HostRules;
  readonly #namespaces: PodNamespaces;
  readonly #rulesLock: FileLock;
  /** Whether the runtime has made this pod already, though it has no address yet. */
  readonly #isTold: (podUid: string) => boolean;
  #isSettled = false;
  #isResting = false;

  constructor(
    deps: NodePodsDeps,
    command: ConstructorParameters<typeof HostRules>[0]['command'],
    programs: ConstructorParameters<typeof HostRules>[0]['programs'],
  ) {
    const { config, log, view, dataPlane, prover, succession } = deps;
    this.#deps = deps;
    this.#tools = { command, programs, log };
    this.#rulesLock = new FileLock(join(config.runDir, RULES_LOCK));
    this.#hostRules = new HostRules(this.#tools);
    this.captures = new CaptureSet({
      ...this.#tools,
      hostRules: this.#hostRules,
      prover,
      mayRepair: () => this.#mayRepair(),
      onState: deps.onState,
    });
    const found = findsByNode(config) ? nodeNamespaces(config, view, log) : undefined;
    this.#namespaces = found ?? new NetnsDirectory(config.netnsDir);
    this.#isTold = (podUid) => found?.isTold(podUid) ?? false;
    this.journey = new PodJourney({
      trustDomain: config.trustDomain,
      namespaces: this.#namespaces,
      dataPlane,
      captures: this.captures,
      hostRules: this.#hostRules,
      dns: deps.dns,
      drainMs: config.drainMs,
      inherited: succession.inherited,
      onLeft: deps.onLeft,
    });
    this.pods = new PodSet(this.journey, log);
    if (config.cni !== undefined && found !== undefined) {
      this.cni = new CniPart({
        config: config.cni,
        log,
        mayInstall: () => this.#mayRepair(),
        view: () => view.pods.values(),
        namespaces: found,
        journey: this.journey,
        captures: this.captures,
        pods: this.pods,
        onTold: deps.onFound,
      });
    }
  }

  async prepare(): Promise<void> {
    await this.#hostRules.start();
  }

  start(): void {
    this.#namespaces.start((found) => {
      for (const podUid of this.journey.moved(found)) this.pods.moved(podUid);
      this.#deps.onFound();
    });
    this.captures.start();
    this.cni?.start();
  }

  /** Takes what the mesh says of the pods; one without an address is there when the runtime says so. */
  apply(known: readonly LocalPod[]): void {
    this.pods.apply(
      known.filter(({ podUid, addresses }) => addresses.length > 0 || this.#isTold(podUid)),
    );
  }

  setNamespaces(namespaces: readonly EnrolledNamespace[]): void {
    this.cni?.setNamespaces(namespaces);
  }

  /** All pods that are here are served: what a predecessor left of others is nobody's. */
  settled(): void {
    this.#isSettled = true;
    void this.#hostRules.prune(this.pods.wanted()).catch((error: unknown) => {
      this.#deps.log.warn('addresses of former pods are still left to the probes of the node', {
        error,
      });
    });
  }

  /** From the first word of a successor until it is clear that it does not come. */
  rest(isTaking: boolean): void {
    this.#isResting = isTaking;
    if (isTaking) {
      this.captures.pause();
      this.pods.pause();
      this.#rulesLock.release();
    } else {
      this.captures.start();
      this.pods.resume();
    }
  }

  /** The pods stay captured, for a successor or failing closed; the plugin holds new ones back. */
  stop(): void {
    this.#namespaces.stop();
    this.cni?.stop();
    this.pods.stop();
    this.captures.stop();
    this.#rulesLock.release();
  }

  /** The mesh leaves this node: after `stop`, takes away everything that was put into it. */
  async leave(): Promise<void> {
    const { config, log, dataPlane } = this.#deps;
    await this.captures.ended();
    await leaveNode({
      ...this.#tools,
      pins: new PinDirectory(config.netnsDir),
      cni: this.cni,
      hostRules: this.#hostRules,
      drain: async () => dataPlane.drain(config.drainMs),
    });
    removeFiles(config);
    log.info('the mesh has left this node', { node: config.node });
  }

  /** While a predecessor serves the pods it is the one that keeps their rules. */
  #mayRepair(): boolean {
    const isTurn = this.#isSettled || !this.#deps.succession.hasPredecessor;
    return isTurn && !this.#isResting && this.#rulesLock.tryHold();
  }
}

function findsByNode({ netnsLayout }: AgentConfig): boolean {
  return netnsLayout === 'node';
}

function nodeNamespaces(config: AgentConfig, view: View, log: Logger): NodeNamespaces {
  return new NodeNamespaces({
    path: config.netnsDir,
    procDir: config.procDir,
    log,
    pods: () =>
      Array.from(view.pods.values(), ({ uid, podUid, addresses }) => {
        const isEnding = (): boolean => view.workload(uid)?.health === 'terminating';
        return { podUid, addresses, isEnding };
      }),
  });
}
