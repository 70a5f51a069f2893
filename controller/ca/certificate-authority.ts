/**
 * The CA of a mesh: signs leaves, says which roots are trusted, and replaces its root step by step.
 *
 * Every step is written down before anybody hears of it. During a rotation both roots are trusted;
 * which step comes next, and when, is said by rotation.ts. Several controllers may share one state:
 * all sign by it and follow its changes, the one that may write takes the steps.
 */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import type { Trust } from '#common/control/messages.ts';
import type { CaReport } from '#common/control/reports.ts';
import { MeshError } from '#common/errors.ts';
import type { Identity } from '#common/identity.ts';
import type { Logger } from '#common/log.ts';
import { readCertificate } from '#common/tls/certificate.ts';
import { controllerUri } from '#common/tls/trust.ts';
import {
  isHalfOver,
  newAuthority,
  newKeys,
  newState,
  pemOf,
  signing,
  stepped,
  withIssuing,
  withSigning,
  type Birth,
} from './authority.ts';
import { GivenSource, type LookAtGiven } from './given-source.ts';
import { blockersOf, type AgentView, type Blocker } from './rotation.ts';
import { signLeaf } from './sign.ts';
import type { Authority, CaState } from './state.ts';
import type { CaStore } from './store.ts';

const HOUR_MS = 3_600_000;
export const LEAF_LIFE_MS = 24 * HOUR_MS;
/** Handshakes that began before a step must have ended before the next: they have ten seconds. */
const SETTLE_MS = 12_000;
/** How often others' changes are looked for: far below the time to settle. */
const FOLLOW_MS = 3000;

export interface CaOptions {
  readonly store: CaStore;
  readonly trustDomain: string;
  readonly log: Logger;
  readonly now?: () => number;
  readonly leafLifeMs?: number;
  readonly settleMs?: number;
  readonly followMs?: number;
  /** Hears of every change of roots or authority. */
  readonly onTrust?: (trust: Trust) => void;
  /** Says whether this process may take steps now; the others follow. */
  readonly mayWrite?: () => boolean;
  /** Who may instead; '' when that is not known. */
  readonly leader?: () => string;
  /** What somebody else's CA has given us to sign with. */
  readonly given?: LookAtGiven;
}

export interface IssuedLeaf {
  readonly chainPem: string;
  readonly authority: string;
  readonly notAfterMs: number;
}

export class CertificateAuthority {
  readonly #options: CaOptions;
  readonly #now: () => number;
  readonly #leafLifeMs: number;
  readonly #mayWrite: () => boolean;
  readonly #given: GivenSource;
  /** The key that signs, by its PEM. */
  #key: { readonly pem: string; readonly key: KeyObject } | undefined;
  #inForce: { readonly state: CaState; readonly revision: string } | undefined;
  /** One look or step at a time. */
  #busy: Promise<unknown> = Promise.resolve();
  #isBusy = false;
  /** Since when nothing has blocked the next step, by a clock that nobody sets. */
  #clearSinceMs: number | undefined;
  #blockers: readonly Blocker[] = [];
  /** Nobody has signed by this CA but this process. */
  #isNew = false;
  #followAtMs = 0;
  #trouble = '';

  constructor(options: CaOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#leafLifeMs = options.leafLifeMs ?? LEAF_LIFE_MS;
    this.#mayWrite = options.mayWrite ?? (() => true);
    this.#given = new GivenSource(options.given ?? (async () => undefined), options.log);
  }

  /** Opens the CA, or makes it when there has never been one. */
  async start(): Promise<void> {
    await this.#load();
    if (this.#inForce === undefined) {
      const state = newState(this.#birth);
      // Whoever comes second takes what the first has made.
      if (await this.#save(state, '')) {
        this.#isNew = !this.#options.store.isShared;
        this.#options.log.info('new CA made', { authority: state.current });
      } else await this.#load();
    }
    await this.#look();
  }

  get trust(): Trust {
    const { generation, authorities, current } = this.#state;
    return { generation, roots: authorities.map(({ rootPem }) => rootPem), authority: current };
  }

  /** Whether all that was ever signed by it was signed by this process. */
  get isNew(): boolean {
    return this.#isNew;
  }

  get isRotating(): boolean {
    return this.#state.phase !== 'stable';
  }

  /** When the certificates end by which this CA stands. */
  get lives(): { readonly rootMs: number; readonly issuingMs: number } {
    const { rootPem, issuingPem } = signing(this.#state);
    const [rootMs, issuingMs] = [rootPem, issuingPem].map((pem) => readCertificate(pem).notAfterMs);
    return { rootMs: rootMs ?? 0, issuingMs: issuingMs ?? 0 };
  }

  /** Why what was given from outside is not in use; '' when nothing is wrong with it. */
  get givenProblem(): string {
    return this.#given.problem;
  }

  /** Signs a leaf for a workload. Whether the caller may have it has been decided before. */
  issue(identity: Identity, publicKey: KeyObject): IssuedLeaf {
    return this.#sign(identity, publicKey);
  }

  /** Makes the server certificate of the controller itself, with a new key. */
  issueController(): IssuedLeaf & { readonly keyPem: string } {
    const { publicKey, privateKey } = newKeys();
    const leaf = this.#sign(controllerUri(this.#options.trustDomain), publicKey);
    return { ...leaf, keyPem: pemOf(privateKey) };
  }

  /** Begins to replace the root; does nothing when that is under way. Resolves with whether it began. */
  async rotate(): Promise<boolean> {
    return this.#alone(async () => {
      if (!this.#mayWrite()) {
        const leader = this.#options.leader?.() ?? '';
        const who = leader === '' ? 'no replica leads now' : `"${leader}" leads; ask that one`;
        const message = `Cannot rotate the root here: ${who}`;
        throw new MeshError('NOT_LEADING', message);
      }
      if (this.#given.isThere) {
        const message = 'Cannot rotate the root: it is given from outside; replace it there';
        throw new MeshError('CONFIG_INVALID', message);
      }
      if (this.#state.phase !== 'stable') return false;
      return this.#step(() => newAuthority(this.#birth));
    });
  }

  /** Takes the next step of a rotation if nothing stands against it. Cheap; call it often. */
  async advance(agents: readonly AgentView[], nodes: () => readonly string[]): Promise<void> {
    const { phase, generation, current, phaseSinceMs } = this.#state;
    if (phase === 'stable' || !this.#mayWrite()) {
      this.#blockers = [];
      this.#clearSinceMs = undefined;
      return;
    }
    this.#blockers = blockersOf({
      phase,
      generation,
      current,
      agents,
      nodes: nodes(),
      leavesUntilMs: phaseSinceMs + this.#leafLifeMs + HOUR_MS,
      nowMs: this.#now(),
    });
    if (this.#blockers.length > 0) {
      this.#clearSinceMs = undefined;
      return;
    }
    this.#clearSinceMs ??= performance.now();
    const clearMs = performance.now() - this.#clearSinceMs;
    if (phase !== 'retiring' && clearMs < (this.#options.settleMs ?? SETTLE_MS)) return;
    if (this.#isBusy) return;
    await this.#alone(async () => {
      // What was looked at must be what is changed.
      if (this.#state.generation === generation && this.#state.phase === phase) await this.#step();
    });
  }

  /**
   * Follows what others have written; as the one that may write, takes what was given from outside and
   * renews what is in the second half of its life: the issuing certificate, in the end the root. Never
   * rejects: what failed is tried again the next time.
   */
  async refresh(): Promise<void> {
    const nowMs = performance.now();
    if (this.#isBusy || nowMs < this.#followAtMs) return;
    this.#followAtMs = nowMs + (this.#options.followMs ?? FOLLOW_MS);
    const { log } = this.#options;
    try {
      await this.#alone(async () => this.#look());
      if (this.#trouble !== '') log.info('the CA goes on');
      this.#trouble = '';
    } catch (error) {
      const trouble = error instanceof Error ? error.message : String(error);
      if (trouble !== this.#trouble) log.error('the CA cannot go on; it tries again', { error });
      this.#trouble = trouble;
    }
  }

  report(): CaReport {
    const { trustDomain, phase, phaseSinceMs, generation, current, authorities } = this.#state;
    return {
      trustDomain,
      phase,
      phaseSinceMs,
      generation,
      authority: current,
      roots: authorities.map(({ id, rootPem }) => {
        const { x509, notAfterMs } = readCertificate(rootPem);
        return { authority: id, subject: x509.subject.replaceAll('\n', ', '), notAfterMs };
      }),
      leafLifeMs: this.#leafLifeMs,
      waitingFor: phase === 'stable' ? [] : this.#blockers,
    };
  }

  get #state(): CaState {
    if (this.#inForce === undefined) throw new TypeError('the CA has not been opened');
    return this.#inForce.state;
  }

  get #birth(): Birth {
    return { trustDomain: this.#options.trustDomain, nowMs: this.#now() };
  }

  #sign(uri: string, publicKey: KeyObject): IssuedLeaf {
    const { id, issuingPem, issuingKeyPem } = signing(this.#state);
    const life = { nowMs: this.#now(), lifeMs: this.#leafLifeMs };
    if (this.#key?.pem !== issuingKeyPem) {
      this.#key = { pem: issuingKeyPem, key: createPrivateKey(issuingKeyPem) };
    }
    const issuing = { certificatePem: issuingPem, key: this.#key.key };
    const leafPem = signLeaf(uri, publicKey, { issuing, life });
    return {
      chainPem: leafPem + issuingPem,
      authority: id,
      notAfterMs: readCertificate(leafPem).notAfterMs,
    };
  }

  async #look(): Promise<void> {
    if (this.#options.store.isShared) await this.#load();
    if (!this.#mayWrite()) return;
    const given = await this.#given.read();
    if (given === undefined) await this.#renew();
    else await this.#take(given);
  }

  async #renew(): Promise<void> {
    const current = signing(this.#state);
    // What is under somebody else's root is theirs to renew.
    if (current.rootKeyPem === '') return;
    const nowMs = this.#now();
    if (isHalfOver(current.issuingPem, nowMs)) {
      const renewed = withIssuing(current, this.#birth);
      if (await this.#replace(withSigning(this.#state, renewed))) {
        this.#options.log.info('issuing certificate renewed', { authority: current.id });
      }
    }
    if (this.#state.phase === 'stable' && isHalfOver(current.rootPem, nowMs)) {
      this.#options.log.info('root is past half of its life; rotation begins');
      await this.#step(() => newAuthority(this.#birth));
    }
  }

  /** Uses what was given: at once when its root is trusted already, by a rotation otherwise. */
  async #take(given: Authority): Promise<void> {
    const { log } = this.#options;
    const known = this.#state.authorities.find(({ id }) => id === given.id);
    if (known === undefined) {
      if (this.#state.phase !== 'stable') return;
      log.info('a root is given from outside; rotation begins', { authority: given.id });
      await this.#step(() => given);
    } else if (known.issuingPem !== given.issuingPem) {
      const isTaken = await this.#replace(withSigning(this.#state, given));
      if (isTaken) log.info('issuing certificate taken from outside', { authority: given.id });
    }
  }

  async #step(incoming?: () => Authority): Promise<boolean> {
    const next = stepped(this.#state, this.#now(), () => incoming?.() ?? newAuthority(this.#birth));
    this.#clearSinceMs = undefined;
    if (!(await this.#replace(next))) return false;
    const { phase, current, generation } = next;
    this.#options.log.info('root rotation: next step', { phase, authority: current, generation });
    return true;
  }

  /** Writes a state that was made from the one in force; false when somebody else was quicker. */
  async #replace(state: CaState): Promise<boolean> {
    if (await this.#save(state, this.#inForce?.revision ?? '')) return true;
    await this.#load();
    return false;
  }

  async #save(state: CaState, revision: string): Promise<boolean> {
    const saved = await this.#options.store.save(state, revision);
    if (saved === undefined) return false;
    this.#adopt({ state, revision: saved });
    return true;
  }

  async #load(): Promise<void> {
    const found = await this.#options.store.load();
    const { trustDomain } = this.#options;
    if (found === undefined) {
      await this.#restore();
      return;
    }
    if (found.state.trustDomain !== trustDomain) {
      const message = `Cannot open the CA for "${trustDomain}": it is of "${found.state.trustDomain}"`;
      throw new MeshError('CONFIG_INVALID', message);
    }
    if (found.revision !== this.#inForce?.revision) this.#adopt(found);
  }

  /** Writes again what somebody has deleted: every agent trusts it. */
  async #restore(): Promise<void> {
    if (this.#inForce === undefined || !this.#mayWrite()) return;
    if (await this.#save(this.#inForce.state, '')) {
      this.#options.log.warn('the state of the CA was gone; it has been written again');
    }
  }

  #adopt(next: { readonly state: CaState; readonly revision: string }): void {
    const before = this.#inForce?.state;
    this.#inForce = next;
    // The keys of a root that was given up are gone with it.
    this.#key = undefined;
    if (before !== undefined && before.generation !== next.state.generation) {
      this.#options.onTrust?.(this.trust);
    }
  }

  async #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#busy.then(async () => {
      this.#isBusy = true;
      try {
        return await work();
      } finally {
        this.#isBusy = false;
      }
    });
    this.#busy = done.catch(() => {});
    return done;
  }
}
