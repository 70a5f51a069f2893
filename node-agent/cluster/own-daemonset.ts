/**
 * Knows whether the DaemonSet of this agent is being taken away.
 *
 * By the time that the agent is told to end, its right to ask may be gone with the rest: so it watches
 * all the time, remembers, and asks again at the end. A DaemonSet of that name that was made anew is
 * as good as the old one.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs } from '#common/backoff.ts';
import type { Logger } from '#common/log.ts';
import type { ApiServer } from './api-server.ts';
import { ofDaemonSet, ofEvent, ofNamespace, together, type Verdict } from './verdict.ts';

export interface OwnDaemonSetDeps {
  readonly api: Pick<ApiServer, 'get' | 'watch'>;
  readonly namespace: string;
  readonly name: string;
  readonly log: Logger;
  /** How long `isLeaving` waits for a word; shorter in tests. */
  readonly patienceMs?: number;
}

const BACKOFF = { firstMs: 1_000, longestMs: 60_000 };
const WATCH_SECONDS = 300;
/** A word may be under way: the namespace controller deletes in any order. */
const PATIENCE_MS = 5_000;
const ASK_EVERY_MS = 500;

export class OwnDaemonSet {
  readonly #deps: OwnDaemonSetDeps;
  readonly #stopped = new AbortController();
  #remembered: Verdict = 'unknown';

  constructor(deps: OwnDaemonSetDeps) {
    this.#deps = deps;
  }

  start(): void {
    void this.#run();
  }

  stop(): void {
    this.#stopped.abort();
  }

  /** Asks, and waits a moment when nobody can say. Without an answer the agent is not leaving. */
  async isLeaving(): Promise<boolean> {
    const { log, patienceMs = PATIENCE_MS } = this.#deps;
    const deadline = performance.now() + patienceMs;
    let verdict = await this.#ask();
    while (verdict === 'unknown' && performance.now() < deadline) {
      // Who may not ask any more has what was said last, and what may still be said.
      if (this.#remembered === 'leaving') verdict = 'leaving';
      else {
        await delay(ASK_EVERY_MS);
        verdict = await this.#ask();
      }
    }
    log.info('asked whether the mesh leaves this node', { verdict });
    return verdict === 'leaving';
  }

  async #ask(): Promise<Verdict> {
    const { api, namespace, name, log } = this.#deps;
    try {
      const [daemonSet, around] = await Promise.all([
        api.get(this.#path),
        api.get(`/api/v1/namespaces/${namespace}`),
      ]);
      return together(ofDaemonSet(name, daemonSet), ofNamespace(namespace, around));
    } catch (error) {
      log.debug('the API server cannot be asked', { error });
      return 'unknown';
    }
  }

  async #run(): Promise<void> {
    const { log } = this.#deps;
    const { signal } = this.#stopped;
    let failures = 0;
    while (!signal.aborted) {
      try {
        await this.#watchOnce();
        failures = 0;
      } catch (error) {
        failures += 1;
        if (!signal.aborted) log.debug('own DaemonSet not watched', { error, failures });
      }
      const waitMs = backoffMs(Math.max(1, failures), BACKOFF, Math.random());
      await delay(waitMs, undefined, { signal }).catch(() => {});
    }
  }

  /** Looks, then watches from there on. */
  async #watchOnce(): Promise<void> {
    const { api, name } = this.#deps;
    const reply = await api.get(this.#path);
    this.#remember(ofDaemonSet(name, reply));
    if (reply.status !== 200) throw new Error(`the API server answered ${reply.status}`);
    const query = `watch=1&allowWatchBookmarks=true&timeoutSeconds=${WATCH_SECONDS}`;
    const selector = `fieldSelector=${encodeURIComponent(`metadata.name=${name}`)}`;
    const over = new AbortController();
    const signal = AbortSignal.any([over.signal, this.#stopped.signal]);
    await api.watch(
      `${this.#list}?${query}&${selector}`,
      (event) => {
        const { verdict, isOver } = ofEvent(name, event);
        this.#remember(verdict);
        if (isOver) over.abort();
      },
      signal,
    );
  }

  #remember(verdict: Verdict): void {
    if (verdict === 'unknown' || verdict === this.#remembered) return;
    this.#remembered = verdict;
    if (verdict === 'leaving') this.#deps.log.warn('the DaemonSet of this agent is taken away');
  }

  get #list(): string {
    return `/apis/apps/v1/namespaces/${this.#deps.namespace}/daemonsets`;
  }

  get #path(): string {
    return `${this.#list}/${this.#deps.name}`;
  }
}
