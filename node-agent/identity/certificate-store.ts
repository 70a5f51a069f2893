/**
 * The certificates of this node's workloads, each kept fresh for as long as somebody wants it.
 *
 * A certificate is requested once, however many callers wait for it, and renewed in the background at
 * 50 to 70 % of its life, or at once when its root is about to go. A failed renewal leaves the old
 * one in service until it has expired; then the identity has none, and its connections fail. Roots
 * and certificates reach the data plane together, before anybody hears that they are in force.
 */
import { backoffMs } from '#common/backoff.ts';
import type { HeldLeaf, Trust } from '#common/control/messages.ts';
import { MeshError } from '#common/errors.ts';
import type { Identity } from '#common/identity.ts';
import type { Logger } from '#common/log.ts';
import { orAbort } from '#common/or-abort.ts';
import { renewalTime, type Credentials } from '#common/tls/certificate.ts';
import { Gate } from '#common/gate.ts';
import { readCredentials } from './issue.ts';
import type { KeptKey } from './key-files.ts';

export interface CertificateStoreDeps {
  readonly issue: (identity: Identity, signal: AbortSignal) => Promise<Credentials>;
  /** Puts credentials and roots (PEM) in force; resolves when every data worker has them. */
  readonly apply: (credentials: Credentials, roots: readonly string[]) => void | Promise<void>;
  /** Takes an identity out of force: nobody wants it, or its certificate has expired. */
  readonly discard: (identity: Identity) => void;
  /** Hears which certificates are in force, after every change. */
  readonly onLeaves: (leaves: readonly HeldLeaf[]) => void;
  readonly keys: {
    load(): KeptKey[];
    save(key: KeptKey): Promise<void>;
    remove(identity: Identity): Promise<void>;
  };
  readonly roots: () => readonly string[];
  readonly log: Logger;
  readonly now: () => number;
  /** Resolves after `ms`, or as soon as `signal` aborts. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly random: () => number;
}

interface Entry {
  readonly identity: Identity;
  readonly stop: AbortController;
  /** The newest; what `apply` is given next. */
  credentials: Credentials | undefined;
  /** What `apply` was given last, and has taken. */
  inForce: Credentials | undefined;
  /** Calls of `apply`, one after another, so that an older one never comes last. */
  installing: Promise<void>;
  renewAtMs: number;
  /** Settles with the next certificate, or with why there is none. */
  next: PromiseWithResolvers<Credentials>;
  /** Ends the present sleep. */
  wake: AbortController;
  lastError: string;
}

/** One certificate, for people. */
export interface CertificateRow {
  readonly identity: Identity;
  readonly state: 'valid' | 'missing' | 'expired';
  readonly authority: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly renewAtMs: number;
  readonly lastError: string;
}

const REQUESTS_AT_ONCE = 8;
const REQUEST_TIMEOUT_MS = 60_000;
const BACKOFF = { firstMs: 1000, longestMs: 60_000 };
/** Never sleep longer: the clock of the machine may have been set meanwhile. */
const LONGEST_SLEEP_MS = 30_000;

export class CertificateStore {
  readonly #deps: CertificateStoreDeps;
  readonly #entries = new Map<Identity, Entry>();
  readonly #gate = new Gate(REQUESTS_AT_ONCE);
  #authority: string | undefined;

  constructor(deps: CertificateStoreDeps) {
    this.#deps = deps;
  }

  /** Puts in force what was kept and is still valid under our roots. Before `want`. */
  async restore(): Promise<void> {
    const { keys, roots, now, log, apply } = this.#deps;
    for (const kept of keys.load()) {
      try {
        const credentials = readCredentials(kept, roots(), now());
        await apply(credentials, roots());
        this.#add(kept.identity, credentials);
        log.info('certificate restored', {
          identity: kept.identity,
          notAfterMs: credentials.notAfterMs,
        });
      } catch (error) {
        log.warn('a kept certificate is of no use', { identity: kept.identity, error });
        await keys.remove(kept.identity);
      }
    }
    this.#report();
  }

  /** Says which identities are needed from now on; the others are forgotten, keys and all. */
  want(identities: ReadonlySet<Identity>): void {
    for (const identity of identities) {
      if (!this.#entries.has(identity)) this.#add(identity, undefined);
    }
    for (const [identity, entry] of this.#entries) {
      if (!identities.has(identity)) this.#forget(identity, entry);
    }
  }

  /** Returns credentials of a wanted identity, waiting for the first if there are none yet. */
  async get(identity: Identity, signal: AbortSignal): Promise<Credentials> {
    const entry = this.#entries.get(identity);
    if (entry === undefined) {
      const message = `Cannot use "${identity}": no pod on this node has it`;
      throw new MeshError('NO_CERTIFICATE', message);
    }
    return entry.inForce ?? orAbort(entry.next.promise, signal);
  }

  /** Puts new roots in force with every certificate, then renews those under another authority. */
  async setTrust({ authority }: Pick<Trust, 'authority'>): Promise<void> {
    this.#authority = authority;
    for (const entry of this.#entries.values()) await this.#install(entry);
    for (const entry of this.#entries.values()) {
      if (entry.credentials !== undefined && entry.credentials.authority !== authority) {
        entry.wake.abort();
      }
    }
  }

  list(): CertificateRow[] {
    const nowMs = this.#deps.now();
    return [...this.#entries.values()].map(({ identity, credentials, renewAtMs, lastError }) => ({
      identity,
      state:
        credentials === undefined
          ? 'missing'
          : credentials.notAfterMs <= nowMs
            ? 'expired'
            : 'valid',
      authority: credentials?.authority ?? '',
      notBeforeMs: credentials?.notBeforeMs ?? 0,
      notAfterMs: credentials?.notAfterMs ?? 0,
      renewAtMs,
      lastError,
    }));
  }

  /** Renews no more; what is in force stays, and the key files too. */
  stop(): void {
    for (const { stop } of this.#entries.values()) stop.abort(stopping());
    this.#entries.clear();
  }

  #add(identity: Identity, credentials: Credentials | undefined): void {
    const entry: Entry = {
      identity,
      stop: new AbortController(),
      credentials,
      inForce: credentials,
      installing: Promise.resolve(),
      renewAtMs: credentials === undefined ? 0 : renewalTime(credentials, this.#deps.random()),
      next: outcome(),
      wake: new AbortController(),
      lastError: '',
    };
    this.#entries.set(identity, entry);
    void this.#keepFresh(entry);
  }

  #forget(identity: Identity, { stop }: Entry): void {
    stop.abort(stopping());
    this.#entries.delete(identity);
    this.#deps.discard(identity);
    this.#report();
    void this.#deps.keys.remove(identity);
  }

  async #keepFresh(entry: Entry): Promise<void> {
    const { now, sleep, random } = this.#deps;
    const { signal } = entry.stop;
    let failures = 0;
    let retryAtMs = 0;
    while (!signal.aborted) {
      const dueMs = Math.max(this.#isMisplaced(entry) ? 0 : entry.renewAtMs, retryAtMs);
      if (now() >= dueMs) {
        const renewed = await this.#renew(entry);
        failures = renewed ? 0 : failures + 1;
        retryAtMs = now() + backoffMs(Math.max(failures, 1), BACKOFF, random());
      } else {
        this.#dropExpired(entry);
        entry.wake = new AbortController();
        const waitMs = Math.min(dueMs - now(), LONGEST_SLEEP_MS);
        // A retry that the clock has moved away from us must not wait for the clock.
        retryAtMs = Math.min(retryAtMs, now() + BACKOFF.longestMs);
        await sleep(waitMs, AbortSignal.any([signal, entry.wake.signal]));
      }
    }
    entry.next.reject(signal.reason);
  }

  #isMisplaced({ credentials }: Entry): boolean {
    return this.#authority !== undefined && credentials?.authority !== this.#authority;
  }

  async #renew(entry: Entry): Promise<boolean> {
    const { issue, keys, log, now, random } = this.#deps;
    const { identity, stop } = entry;
    try {
      const fresh = await this.#gate.through(async () => {
        const timeout = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
        return issue(identity, AbortSignal.any([stop.signal, timeout]));
      });
      stop.signal.throwIfAborted();
      entry.credentials = fresh;
      await this.#install(entry);
      // What its issuer dated back, for clocks that lag, counts as no life: a short one would be renewed for ever.
      const notBeforeMs = Math.max(fresh.notBeforeMs, now());
      entry.renewAtMs = renewalTime({ ...fresh, notBeforeMs }, random());
      entry.lastError = '';
      entry.next.resolve(fresh);
      entry.next = outcome();
      this.#report();
      const { notAfterMs, authority } = fresh;
      log.info('certificate in force', { identity, notAfterMs, authority });
      await keys.save(fresh);
      return true;
    } catch (cause) {
      if (stop.signal.aborted) return false;
      const message = `Cannot get a certificate for "${identity}"`;
      const error = new MeshError('CERTIFICATE_NOT_ISSUED', message, { cause });
      entry.lastError = cause instanceof Error ? cause.message : String(cause);
      entry.next.reject(error);
      entry.next = outcome();
      const worksUntilMs = entry.credentials?.notAfterMs ?? 0;
      log.warn('certificate not renewed', { identity, worksUntilMs, error });
      return false;
    }
  }

  /** Puts what is newest at that moment in force, under the roots of that moment. */
  async #install(entry: Entry): Promise<void> {
    const done = this.#installAfter(entry.installing, entry);
    entry.installing = done.catch(() => {});
    return done;
  }

  async #installAfter(previous: Promise<void>, entry: Entry): Promise<void> {
    await previous;
    const { credentials, stop } = entry;
    if (credentials === undefined || stop.signal.aborted) return;
    await this.#deps.apply(credentials, this.#deps.roots());
    if (!stop.signal.aborted && entry.credentials !== undefined) entry.inForce = credentials;
  }

  /** TLS would refuse it anyway; taken away, the refusal has a name. */
  #dropExpired(entry: Entry): void {
    const { now, discard, log } = this.#deps;
    if (entry.credentials === undefined || entry.credentials.notAfterMs > now()) return;
    log.error('certificate has expired; its connections fail', { identity: entry.identity });
    entry.credentials = undefined;
    entry.inForce = undefined;
    discard(entry.identity);
    this.#report();
  }

  #report(): void {
    const held = [...this.#entries.values()].flatMap(({ inForce }) => inForce ?? []);
    this.#deps.onLeaves(
      held.map(({ identity, authority, notAfterMs }) => ({ identity, authority, notAfterMs })),
    );
  }
}

function stopping(): MeshError {
  return new MeshError('STOPPING', 'Cannot wait for a certificate: nobody wants it any more');
}

/** A promise to settle later, whose failure does not crash the process when nobody waits for it. */
function outcome(): PromiseWithResolvers<Credentials> {
  const next = Promise.withResolvers<Credentials>();
  next.promise.catch(() => {});
  return next;
}
