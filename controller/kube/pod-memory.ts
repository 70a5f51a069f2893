/**
 * The pods that the controller remembers over its own restart, in a file of its state directory.
 *
 * Written whole beside the old file and renamed, so it is never half. Losing it costs a rollout, not
 * the mesh: a file that cannot be read is reported and begun anew, one that cannot be written is
 * reported and tried again at the next change.
 */
import { createHash } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import type { Logger } from '#common/log.ts';
import type { PodRuntime } from '#common/control/desired.ts';
import type { Declarations, PlannedPod } from './rollout.ts';
import { decodeRemembered, type RememberedPod } from './runtime-decode.ts';
import type { PodTemplate } from './schemas/deployment.ts';

export class PodMemory {
  readonly #path: string | undefined;
  readonly #log: Logger;
  #saved = '';
  #next: string | undefined;
  #writing: Promise<void> | undefined;

  /** Without a path nothing is remembered. */
  constructor(path: string | undefined, log: Logger) {
    this.#path = path;
    this.#log = log;
  }

  async load(): Promise<readonly RememberedPod[]> {
    if (this.#path === undefined) return [];
    try {
      const text = await readFile(this.#path, 'utf8');
      return decodeRemembered(JSON.parse(text)).pods;
    } catch (error) {
      const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
      if (!isMissing) this.#log.warn('pods of the last run are not known', { error });
      return [];
    }
  }

  /** Resolves when this state, or a later one, is on disk or was reported as not written. */
  async save(
    pods: readonly PlannedPod[],
    runtimeByUid: ReadonlyMap<string, PodRuntime>,
  ): Promise<void> {
    if (this.#path === undefined) return;
    this.#next = JSON.stringify({
      version: '1',
      pods: pods.filter(({ leaving }) => !leaving).map((pod) => remember(pod, runtimeByUid)),
    });
    this.#writing ??= this.#write(this.#path).finally(() => {
      this.#writing = undefined;
    });
    await this.#writing;
  }

  async #write(path: string): Promise<void> {
    while (this.#next !== undefined) {
      const text = this.#next;
      this.#next = undefined;
      if (text === this.#saved) continue;
      try {
        await writeFile(`${path}.new`, text, { mode: 0o600 });
        await rename(`${path}.new`, path);
        this.#saved = text;
      } catch (error) {
        this.#log.warn('pods cannot be remembered', { path, error });
      }
    }
  }
}

/** Takes up again the pods that still run what is declared. */
export function recall(
  remembered: readonly RememberedPod[],
  declared: Declarations,
  nowMs: number,
): PlannedPod[] {
  const templates = new Map<string, PodTemplate>();
  for (const { meta, spec } of declared.pods) {
    const template = { labels: meta.labels, annotations: meta.annotations, spec };
    templates.set(`Pod ${meta.namespace}/${meta.name}`, template);
  }
  for (const { meta, template } of declared.deployments) {
    templates.set(`Deployment ${meta.namespace}/${meta.name}`, template);
  }
  return remembered.flatMap((pod): PlannedPod[] => {
    const template = templates.get(`${pod.ownerKind} ${pod.namespace}/${pod.ownerName}`);
    if (template === undefined || hashOf(template) !== pod.templateHash) return [];
    const { podUid, namespace, name, node } = pod;
    const owner = { kind: pod.ownerKind, name: pod.ownerName };
    return [{ podUid, namespace, name, node, owner, template, createdMs: nowMs, leaving: false }];
  });
}

function remember(pod: PlannedPod, runtimeByUid: ReadonlyMap<string, PodRuntime>): RememberedPod {
  return {
    podUid: pod.podUid,
    namespace: pod.namespace,
    name: pod.name,
    node: pod.node,
    ownerKind: pod.owner.kind,
    ownerName: pod.owner.name,
    templateHash: hashOf(pod.template),
    runtime: runtimeByUid.get(pod.podUid),
  };
}

function hashOf(template: PodTemplate): string {
  return createHash('sha256').update(JSON.stringify(template)).digest('hex');
}
