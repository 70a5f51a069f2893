/**
 * Keeps what is known of one kind equal to what the API server has: a paged list, then watches.
 *
 * It never stops by itself. Whatever goes wrong, it waits (jittered, at most 30 s) and goes on from
 * the version it has; when that version is too old it lists again and hands over differences only.
 * A watch that is silent for `silenceMs` is dead, since bookmarks come every minute.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs } from '#common/backoff.ts';
import type { Logger } from '#common/log.ts';
import { statusOf, type ApiClient } from './api-client.ts';
import { BACKOFF, BEGINNING, nextStep, type Outcome } from './pace.ts';
import { Reflection, type Change, type Reading, type WatchEvent } from './reflection.ts';
import type { Resource } from './resource.ts';
import { isMapping } from './schema.ts';

export interface ReflectorDeps {
  readonly client: Pick<ApiClient, 'list' | 'watch'>;
  readonly resource: Resource;
  readonly read: (raw: unknown) => Reading;
  /** Called for each object that is gone. */
  readonly forget: (key: string) => void;
  /** Differences, in order; those of a whole list in one call. */
  readonly onChanges: (changes: readonly Change[]) => void;
  /** Called once, after the changes of the first list. */
  readonly onSynced: () => void;
  readonly log: Logger;
  readonly silenceMs?: number;
  readonly pageSize?: number;
}

const SILENCE_MS = 90_000;
const PAGE_SIZE = 500;
const WATCH_SECONDS = [300, 600] as const;

export class Reflector {
  #resource: Resource;
  #isMoving = false;
  #cut = new AbortController();
  readonly #deps: ReflectorDeps;
  readonly #reflection: Reflection;
  readonly #stopped = new AbortController();
  #running: Promise<void> | undefined;
  #isSynced = false;
  #lists = 0;
  #watches = 0;
  #heardAtMs = performance.now();

  constructor(deps: ReflectorDeps) {
    this.#deps = deps;
    this.#resource = deps.resource;
    this.#reflection = new Reflection(deps.read, deps.forget);
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends it; what is known stays known. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  /** Forgets everything and says so: the kind is not served any more. */
  empty(): void {
    this.#emit(this.#reflection.empty());
  }

  /** Goes on with another version of the same kind: a list of it, differences only. */
  moveTo(resource: Resource): void {
    this.#resource = resource;
    this.#isMoving = true;
    this.#cut.abort();
  }

  get resource(): Resource {
    return this.#resource;
  }

  get isSynced(): boolean {
    return this.#isSynced;
  }

  get objects(): number {
    return this.#reflection.size;
  }

  /** Lists after the first one. */
  get relists(): number {
    return Math.max(0, this.#lists - 1);
  }

  /** Watches after the first one. */
  get restarts(): number {
    return Math.max(0, this.#watches - 1);
  }

  /** Since the API server last said anything, bookmarks included: at most a minute while all is well. */
  get lagSeconds(): number {
    return (performance.now() - this.#heardAtMs) / 1000;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    let pace = BEGINNING;
    while (!signal.aborted) {
      const outcome = this.#reflection.version === '' ? await this.#list() : await this.#watch();
      const step = nextStep(pace, outcome);
      pace = step.pace;
      if (step.relists || this.#isMoving) this.#reflection.expire();
      const waits = step.waits && !this.#isMoving;
      this.#isMoving = false;
      if (!waits) continue;
      const waitMs = backoffMs(pace.failures, BACKOFF, Math.random());
      await delay(waitMs, undefined, { signal }).catch(() => undefined);
    }
  }

  async #list(): Promise<Outcome> {
    const { client, pageSize = PAGE_SIZE } = this.#deps;
    const resource = this.#resource;
    const { signal } = this.#stopped;
    try {
      this.#reflection.beginList();
      let next = '';
      do {
        const page = await client.list(resource, { limit: pageSize, next, signal });
        this.#heard();
        this.#reflection.takePage(page.items);
        next = page.next;
        if (next === '') this.#endList(page.resourceVersion);
      } while (next !== '');
      return { what: 'listed' };
    } catch (error) {
      if (statusOf(error) === 410) return { what: 'expired' };
      this.#complain('objects cannot be listed', error);
      return { what: 'list-failed' };
    }
  }

  #endList(version: string): void {
    this.#lists += 1;
    this.#emit(this.#reflection.endList(version));
    if (this.#isSynced) return;
    this.#isSynced = true;
    this.#deps.onSynced();
  }

  async #watch(): Promise<Outcome> {
    const { client, silenceMs = SILENCE_MS } = this.#deps;
    const began = performance.now();
    const cut = new AbortController();
    this.#cut = cut;
    let verdict: Outcome | undefined;
    const onEvents = (events: readonly unknown[]): void => {
      this.#heard();
      if (verdict !== undefined) return;
      verdict = this.#takeEvents(events, performance.now() - began);
      if (verdict !== undefined) cut.abort();
    };
    const [least, most] = WATCH_SECONDS;
    this.#watches += 1;
    try {
      await client.watch({
        resource: this.#resource,
        query: {
          resourceVersion: this.#reflection.version,
          allowWatchBookmarks: 'true',
          timeoutSeconds: String(Math.round(least + Math.random() * (most - least))),
        },
        silenceMs,
        signal: AbortSignal.any([cut.signal, this.#stopped.signal]),
        onEvents,
      });
      return verdict ?? { what: 'watch-ended', lastedMs: performance.now() - began };
    } catch (error) {
      if (verdict !== undefined) return verdict;
      if (this.#isMoving) return { what: 'watch-ended', lastedMs: performance.now() - began };
      const status = statusOf(error);
      if (status === 410) return { what: 'expired' };
      this.#complain('objects cannot be watched', error);
      return { what: 'watch-failed', status, lastedMs: performance.now() - began };
    } finally {
      // See api-client.ts: a combined signal that never fires is never freed.
      cut.abort();
    }
  }

  /** Returns what ends the watch, if any of the events does. */
  #takeEvents(events: readonly unknown[], lastedMs: number): Outcome | undefined {
    const changes: Change[] = [];
    let verdict: Outcome | undefined;
    for (const event of events) {
      if (!isEvent(event)) continue;
      const taken = this.#reflection.takeEvent(event);
      if (taken.type === 'changes') {
        changes.push(...taken.changes);
        continue;
      }
      verdict =
        taken.type === 'expired'
          ? { what: 'expired' }
          : { what: 'watch-failed', status: taken.status, lastedMs };
      break;
    }
    this.#emit(changes);
    return verdict;
  }

  #emit(changes: readonly Change[]): void {
    if (changes.length > 0) this.#deps.onChanges(changes);
  }

  #heard(): void {
    this.#heardAtMs = performance.now();
  }

  #complain(message: string, error: unknown): void {
    if (this.#stopped.signal.aborted) return;
    this.#deps.log.warn(message, { kind: this.#resource.plural, error });
  }
}

function isEvent(value: unknown): value is WatchEvent {
  return isMapping(value) && typeof value['type'] === 'string';
}
