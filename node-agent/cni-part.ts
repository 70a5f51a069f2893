/**
 * The agent's side of the CNI plugin: installed, asked, answered.
 *
 * A pod may start when it is proven captured in the very namespace of which the plugin speaks: what
 * was proven of an earlier sandbox of the same pod says nothing.
 */
import { rmSync } from 'node:fs';
import type { EnrolledNamespace } from '#common/control/messages.ts';
import type { Logger } from '#common/log.ts';
import type { LocalPod } from '#common/mesh/workload.ts';
import type { CaptureSet } from './capture/capture-set.ts';
import { CniGate, type Standing } from './cni/gate.ts';
import { CniInstaller } from './cni/installer.ts';
import { type CniRequest, isStaticUid } from './cni/request.ts';
import type { CniConfig } from './config.ts';
import type { PodSet } from './pod-set.ts';
import type { PodJourney } from './pod-steps.ts';
import type { NodeNamespaces } from './pods/node-namespaces.ts';

export interface CniPartDeps {
  readonly config: CniConfig;
  readonly log: Logger;
  /** Of two agents on a node only one keeps the plugin: they may differ. */
  readonly mayInstall: () => boolean;
  /** The pods of this node, as the controller knows them. */
  readonly view: () => Iterable<LocalPod>;
  readonly namespaces: NodeNamespaces;
  readonly journey: PodJourney;
  readonly captures: CaptureSet;
  readonly pods: PodSet;
  /** The runtime has made a pod that nobody has heard of before. */
  readonly onTold: () => void;
}

export class CniPart {
  readonly installer: CniInstaller;
  readonly gate: CniGate;
  readonly #deps: CniPartDeps;

  constructor(deps: CniPartDeps) {
    const { config, log } = deps;
    this.#deps = deps;
    this.installer = new CniInstaller({ ...config, log, mayInstall: deps.mayInstall });
    this.gate = new CniGate({ ...config, log, standing: (request) => this.#standing(request) });
  }

  /** The gate first: who is held back must be answered. */
  start(): void {
    this.gate.start();
    this.installer.start();
  }

  stop(): void {
    this.installer.stop();
    this.gate.stop();
  }

  remove(): void {
    this.stop();
    removeCni(this.#deps.config, this.#deps.log);
  }

  setNamespaces(namespaces: readonly EnrolledNamespace[]): void {
    this.gate.setNamespaces(namespaces);
  }

  #standing(request: CniRequest): Standing {
    const { namespaces, journey, captures, pods, onTold } = this.#deps;
    const pod = this.#podOf(request);
    if (pod === undefined) return wait('the controller has not told of this pod yet');
    const { podUid } = pod;
    if (!pod.enrolled) return { kind: 'pass' };
    const wasTold = namespaces.isTold(podUid);
    if (!namespaces.told(podUid, request.netns)) {
      return wait(`its network namespace "${request.netns}" is not there`);
    }
    if (!wasTold) {
      onTold();
      pods.lookAgain(podUid);
    }
    if (journey.namespaceOf(podUid) !== namespaces.list().get(podUid)) {
      return wait(pods.problemOf(podUid) || 'it is being captured');
    }
    const state = captures.state(podUid);
    if (state?.proven === true) return { kind: 'proven' };
    return wait(pods.problemOf(podUid) || state?.reason || 'it is being captured');
  }

  /** The record of a static pod has another uid than its sandbox, but the same name. */
  #podOf({ namespace, name, uid }: CniRequest): LocalPod | undefined {
    for (const pod of this.#deps.view()) {
      if (pod.podUid === uid) return pod;
      if (isStaticUid(uid) && pod.namespace === namespace && pod.name === name) return pod;
    }
    return undefined;
  }
}

/** The chain first: from then on no pod asks, and nobody has to answer. */
export function removeCni(config: CniConfig, log: Logger): void {
  new CniInstaller({ ...config, log }).remove();
  for (const path of [config.stateDir, config.runDir]) {
    rmSync(path, { recursive: true, force: true });
  }
}

function wait(reason: string): Standing {
  return { kind: 'wait', reason };
}
