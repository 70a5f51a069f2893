/**
 * The CA of a mesh: signs leaves, says which roots are trusted, and replaces its root step by step.
 *
 * Every step is on disk before anybody hears of it. During a rotation both roots are trusted; which
 * step comes next, and when, is said by rotation.ts.
 */
import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { Trust } from '#common/control/messages.ts';
import type { CaReport } from '#common/control/reports.ts';
import { MeshError } from '#common/errors.ts';
import type { Identity } from '#common/identity.ts';
import type { Logger } from '#common/log.ts';
import { readCertificate } from '#common/tls/certificate.ts';
import { authorityOf, controllerUri } from '#common/tls/trust.ts';
import { blockersOf, nextPhase, type AgentView, type Blocker } from './rotation.ts';
import { signIssuing, signLeaf, signRoot } from './sign.ts';
import { loadCaState, saveCaState, type Authority, type CaState } from './state.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
export const LEAF_LIFE_MS = DAY_MS;
const ISSUING_LIFE_MS = 365 * DAY_MS;
const ROOT_LIFE_MS = 10 * 365 * DAY_MS;
/** Handshakes that began before a step must have ended before the next: they have ten seconds. */
const SETTLE_MS = 12_000;

export interface CaOptions {
  readonly directory: string;
  readonly trustDomain: string;
  readonly log: Logger;
  readonly now?: () => number;
  readonly leafLifeMs?: number;
  readonly settleMs?: number;
  /** Hears of every change of roots or authority. */
  readonly onTrust?: (trust: Trust) => void;
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
  readonly #keys = new Map<string, KeyObject>();
  #state: CaState;
  /** Since when nothing has blocked the next step, by a clock that nobody sets. */
  #clearSinceMs: number | undefined;
  #blockers: readonly Blocker[] = [];

  /** Opens the CA of a directory, or makes it. */
  constructor(options: CaOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#leafLifeMs = options.leafLifeMs ?? LEAF_LIFE_MS;
    const found = loadCaState(options.directory);
    if (found !== undefined && found.trustDomain !== options.trustDomain) {
      const message = `Cannot open the CA for "${options.trustDomain}": it is of "${found.trustDomain}"`;
      throw new MeshError('CONFIG_INVALID', message);
    }
    this.#state = found ?? this.#create();
    this.refresh();
  }

  get trust(): Trust {
    const { generation, authorities, current } = this.#state;
    return { generation, roots: authorities.map(({ rootPem }) => rootPem), authority: current };
  }

  /** Signs a leaf for a workload of `node`. Whether it may have it has been decided before. */
  issue(identity: Identity, publicKey: KeyObject, node: string): IssuedLeaf {
    const leaf = this.#sign(identity, publicKey);
    this.#note(node, leaf.notAfterMs);
    return leaf;
  }

  /** Makes the server certificate of the controller itself, with a new key. */
  issueController(): IssuedLeaf & { readonly keyPem: string } {
    const { publicKey, privateKey } = newKeys();
    const leaf = this.#sign(controllerUri(this.#options.trustDomain), publicKey);
    return { ...leaf, keyPem: pemOf(privateKey) };
  }

  /** Begins to replace the root; does nothing when that is under way. Returns whether it began. */
  rotate(): boolean {
    if (this.#state.phase !== 'stable') return false;
    this.#step();
    return true;
  }

  /** Takes the next step of a rotation if nothing stands against it. Cheap; call it often. */
  advance(agents: readonly AgentView[], hasPods: (node: string) => boolean): void {
    const { phase, generation, current } = this.#state;
    if (phase === 'stable') {
      this.#blockers = [];
      return;
    }
    const nowMs = this.#now();
    const nodes = this.#state.nodes.filter(({ node }) => hasPods(node));
    this.#blockers = blockersOf({ phase, generation, current, agents, nodes, nowMs });
    if (this.#blockers.length > 0) {
      this.#clearSinceMs = undefined;
      return;
    }
    this.#clearSinceMs ??= performance.now();
    const clearMs = performance.now() - this.#clearSinceMs;
    if (phase === 'retiring' || clearMs >= (this.#options.settleMs ?? SETTLE_MS)) this.#step();
  }

  /** Renews what is in the second half of its life: the issuing certificate, in the end the root. */
  refresh(): void {
    const nowMs = this.#now();
    const current = this.#authority();
    if (isHalfOver(current.issuingPem, nowMs)) {
      const renewed = this.#withIssuing(current);
      this.#save({
        ...this.#state,
        authorities: this.#state.authorities.map((one) => (one.id === current.id ? renewed : one)),
      });
      this.#options.log.info('issuing certificate renewed', { authority: current.id });
    }
    if (isHalfOver(current.rootPem, nowMs) && this.rotate()) {
      this.#options.log.info('root is past half of its life; rotation begins');
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
      waitingFor: this.#blockers,
    };
  }

  #sign(uri: string, publicKey: KeyObject): IssuedLeaf {
    const { id, issuingPem, issuingKeyPem } = this.#authority();
    const life = { nowMs: this.#now(), lifeMs: this.#leafLifeMs };
    const key = this.#keys.get(issuingKeyPem) ?? createPrivateKey(issuingKeyPem);
    this.#keys.set(issuingKeyPem, key);
    const issuing = { certificatePem: issuingPem, key };
    const leafPem = signLeaf(uri, publicKey, { issuing, life });
    return {
      chainPem: leafPem + issuingPem,
      authority: id,
      notAfterMs: readCertificate(leafPem).notAfterMs,
    };
  }

  /** Remembers how long a node may hold leaves, an hour generously, so that it is rarely written. */
  #note(node: string, notAfterMs: number): void {
    const { nodes } = this.#state;
    const known = nodes.find((one) => one.node === node);
    if (known !== undefined && known.untilMs >= notAfterMs) return;
    const nowMs = this.#now();
    const others = nodes.filter((one) => one.node !== node && one.untilMs > nowMs);
    this.#state = { ...this.#state, nodes: [...others, { node, untilMs: notAfterMs + HOUR_MS }] };
    try {
      saveCaState(this.#options.directory, this.#state);
    } catch (error) {
      // Only a rotation after a restart would miss it; no reason to leave a pod without identity.
      this.#options.log.warn('the CA cannot write its state', { error });
    }
  }

  #authority(): Authority {
    const { authorities, current } = this.#state;
    const found = authorities.find(({ id }) => id === current);
    if (found === undefined) {
      throw new MeshError('STATE_UNREADABLE', 'Cannot sign: the CA names an authority it has not');
    }
    return found;
  }

  #step(): void {
    const { generation, authorities, phase } = this.#state;
    const next = nextPhase(phase);
    const base = { ...this.#state, phase: next, phaseSinceMs: this.#now() };
    this.#clearSinceMs = undefined;
    switch (next) {
      case 'distributing':
        this.#save({
          ...base,
          generation: generation + 1,
          authorities: [...authorities, this.#newAuthority()],
        });
        break;
      case 'switched':
        this.#save({
          ...base,
          generation: generation + 1,
          current: authorities.at(-1)?.id ?? this.#state.current,
        });
        break;
      case 'retiring':
        // The keys of the old root are gone with it.
        this.#keys.clear();
        this.#save({ ...base, generation: generation + 1, authorities: [this.#authority()] });
        break;
      case 'stable':
        this.#save(base);
        break;
    }
    this.#options.log.info('root rotation: next step', {
      phase: next,
      authority: this.#state.current,
      generation: this.#state.generation,
    });
    if (next !== 'stable') this.#options.onTrust?.(this.trust);
  }

  #save(state: CaState): void {
    saveCaState(this.#options.directory, state);
    this.#state = state;
  }

  #create(): CaState {
    const authority = this.#newAuthority();
    const state: CaState = {
      format: 1,
      trustDomain: this.#options.trustDomain,
      generation: 1,
      phase: 'stable',
      phaseSinceMs: this.#now(),
      authorities: [authority],
      current: authority.id,
      nodes: [],
    };
    saveCaState(this.#options.directory, state);
    this.#options.log.info('new CA made', { authority: authority.id });
    return state;
  }

  #newAuthority(): Authority {
    const { trustDomain } = this.#options;
    const keys = newKeys();
    const life = { nowMs: this.#now(), lifeMs: ROOT_LIFE_MS };
    const rootPem = signRoot({ trustDomain, label: labelOf(keys.publicKey) }, keys, life);
    const rootKeyPem = pemOf(keys.privateKey);
    return this.#withIssuing({ id: authorityOf(rootPem), rootPem, rootKeyPem });
  }

  #withIssuing({
    id,
    rootPem,
    rootKeyPem,
  }: Pick<Authority, 'id' | 'rootPem' | 'rootKeyPem'>): Authority {
    const { trustDomain } = this.#options;
    const { publicKey, privateKey } = newKeys();
    const root = { certificatePem: rootPem, key: createPrivateKey(rootKeyPem) };
    const life = { nowMs: this.#now(), lifeMs: ISSUING_LIFE_MS };
    const label = labelOf(publicKey);
    const issuingPem = signIssuing({ trustDomain, label }, publicKey, { root, life });
    return { id, rootPem, rootKeyPem, issuingPem, issuingKeyPem: pemOf(privateKey) };
  }
}

function newKeys(): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
}

function pemOf(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' });
}

/** A few letters that tell one authority from another in its name. */
function labelOf(key: KeyObject): string {
  const spki = key.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(spki).digest('hex').slice(0, 8);
}

function isHalfOver(certificatePem: string, nowMs: number): boolean {
  const { notBeforeMs, notAfterMs } = readCertificate(certificatePem);
  return nowMs > notBeforeMs + (notAfterMs - notBeforeMs) / 2;
}
