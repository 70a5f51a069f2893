/**
 * Holds the pods of enrolled namespaces at their start until their capture is proven: answers what the
 * CNI plugin asks, and tells it which namespaces those are.
 *
 * The list is on disk, a file for each namespace, so that the plugin holds pods back without the agent
 * too, and after the node has started anew. An answer comes within `ANSWER_MS`, before the plugin
 * gives up; what the agent cannot say by then is a no, with what it waited for.
 */
import {
  type FSWatcher,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { EnrolledNamespace } from '#common/control/messages.ts';
import type { Logger } from '#common/log.ts';
import { namesIn, textOf } from './files.ts';
import type { PluginPaths } from './installer.ts';
import { type CniRequest, parseRequest, spellAnswer } from './request.ts';

/** How a pod stands now. `pass`: nothing has to be proven. `wait`: for what. */
export type Standing =
  | { readonly kind: 'pass' }
  | { readonly kind: 'proven' }
  | { readonly kind: 'wait'; readonly reason: string };

export interface CniGateDeps extends PluginPaths {
  /** Takes note of the pod's namespace, and says how the pod stands. Asked again and again. */
  readonly standing: (request: CniRequest) => Standing;
  readonly log: Logger;
  /** Shorter in tests. */
  readonly answerMs?: number;
}

const LOOK_EVERY_MS = 250;
const ASK_EVERY_MS = 15;
export const ANSWER_MS = 8_500;
/** Of answers that nobody has read, and of requests that nobody waits for. */
const KEEP_MS = 60_000;

export class CniGate {
  readonly #deps: CniGateDeps;
  readonly #underWay = new Set<string>();
  readonly #stopped = new AbortController();
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #enrolled: ReadonlyMap<string, string> | undefined;
  /** For the metrics. */
  readonly counters = { passed: 0, proven: 0, held: 0, unproven: 0 };

  constructor(deps: CniGateDeps) {
    this.#deps = deps;
  }

  start(): void {
    for (const path of [this.#requests, this.#answers]) {
      mkdirSync(path, { recursive: true, mode: 0o700 });
    }
    this.#watcher = watch(this.#requests, { persistent: false }, () => this.#look());
    this.#watcher.on('error', () => {}); // The timer goes on looking.
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
    this.#look();
  }

  stop(): void {
    this.#stopped.abort();
    this.#watcher?.close();
    clearInterval(this.#timer);
  }

  /** Which namespaces are enrolled now; before the first word of it, those of the last agent are. */
  setNamespaces(namespaces: readonly EnrolledNamespace[]): void {
    const wanted = new Map(namespaces.map(({ name, onFailure }) => [name, onFailure]));
    this.#enrolled = wanted;
    mkdirSync(this.#list, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(this.#list)) {
      if (!wanted.has(name)) rmSync(join(this.#list, name), { force: true });
    }
    for (const [name, onFailure] of wanted) {
      const text = `${onFailure}\n`;
      if (textOf(join(this.#list, name)) !== text) replace(this.#list, name, text);
    }
    this.#deps.log.info('namespaces gated', { namespaces: wanted.size });
  }

  get #list(): string {
    return join(this.#deps.stateDir, 'namespaces');
  }

  get #requests(): string {
    return join(this.#deps.runDir, 'requests');
  }

  get #answers(): string {
    return join(this.#deps.runDir, 'answers');
  }

  /** What becomes of pods of a namespace that are not proven; undefined when it is not enrolled. */
  #onFailure(namespace: string): string | undefined {
    if (this.#enrolled !== undefined) return this.#enrolled.get(namespace);
    return textOf(join(this.#list, namespace))?.trim();
  }

  #look(): void {
    for (const id of namesIn(this.#requests)) {
      if (this.#underWay.has(id)) continue;
      const request = parseRequest(textOf(join(this.#requests, id)) ?? '');
      if (request === undefined) this.#dropOld(join(this.#requests, id));
      else void this.#handle(id, request);
    }
    for (const id of namesIn(this.#answers)) this.#dropOld(join(this.#answers, id));
  }

  async #handle(id: string, request: CniRequest): Promise<void> {
    this.#underWay.add(id);
    const pod = `${request.namespace}/${request.name}`;
    try {
      if (request.hasPassed) {
        this.#deps.standing(request);
        this.#passedUnproven(pod, 'there was no agent');
      } else await this.#answer(id, request, pod);
      rmSync(join(this.#requests, id), { force: true });
    } catch (error) {
      if (!this.#stopped.signal.aborted) {
        this.#deps.log.error('request of the CNI plugin not answered', { pod, error });
      }
    } finally {
      this.#underWay.delete(id);
    }
  }

  async #answer(id: string, request: CniRequest, pod: string): Promise<void> {
    const since = performance.now();
    const standing = await this.#settled(request, since + (this.#deps.answerMs ?? ANSWER_MS));
    const waitedMs = Math.round(performance.now() - since);
    if (standing.kind === 'wait') {
      const { reason } = standing;
      replace(this.#answers, id, spellAnswer({ kind: 'fail', reason }));
      if (this.#onFailure(request.namespace) === 'open') {
        this.#passedUnproven(pod, reason);
        return;
      }
      this.counters.held += 1;
      this.#deps.log.warn('pod held back', { pod, reason, waitedMs });
      return;
    }
    this.counters[standing.kind === 'pass' ? 'passed' : 'proven'] += 1;
    replace(this.#answers, id, spellAnswer({ kind: 'ok' }));
    this.#deps.log.info('pod may start', { pod, proven: standing.kind === 'proven', waitedMs });
  }

  #passedUnproven(pod: string, reason: string): void {
    this.counters.unproven += 1;
    this.#deps.log.warn('pod has started without proof of its capture', { pod, reason });
  }

  async #settled(request: CniRequest, deadline: number): Promise<Standing> {
    const { signal } = this.#stopped;
    for (;;) {
      if (this.#onFailure(request.namespace) === undefined) return { kind: 'pass' };
      const standing = this.#deps.standing(request);
      if (standing.kind !== 'wait' || performance.now() > deadline) return standing;
      await delay(ASK_EVERY_MS, undefined, { signal });
    }
  }

  #dropOld(path: string): void {
    try {
      if (Date.now() - statSync(path).mtimeMs > KEEP_MS) rmSync(path, { force: true });
    } catch {
      // Gone already.
    }
  }
}

/** Written beside the directory, so that nothing half written is ever seen in it. */
function replace(directory: string, name: string, text: string): void {
  const next = `${directory}.new-${name}`;
  writeFileSync(next, text, { mode: 0o600 });
  renameSync(next, join(directory, name));
}
