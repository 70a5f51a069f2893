/**
 * Makes the authorities of a CA and the states that lead from one to another. Nothing here is kept:
 * each function returns a whole new state, and whoever asked for it writes it down.
 */
import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { MeshError } from '#common/errors.ts';
import { readCertificate } from '#common/tls/certificate.ts';
import { authorityOf } from '#common/tls/trust.ts';
import { nextPhase } from './rotation.ts';
import { signIssuing, signRoot } from './sign.ts';
import type { Authority, CaState } from './state.ts';

const DAY_MS = 24 * 3_600_000;
const ISSUING_LIFE_MS = 365 * DAY_MS;
const ROOT_LIFE_MS = 10 * 365 * DAY_MS;

/** Of whom, and when. */
export interface Birth {
  readonly trustDomain: string;
  readonly nowMs: number;
}

/** The first state of a CA, with a root of its own. */
export function newState({ trustDomain, nowMs }: Birth): CaState {
  const authority = newAuthority({ trustDomain, nowMs });
  return {
    format: 2,
    trustDomain,
    generation: 1,
    phase: 'stable',
    phaseSinceMs: nowMs,
    authorities: [authority],
    current: authority.id,
  };
}

/** A new root with its issuing certificate. */
export function newAuthority(birth: Birth): Authority {
  const keys = newKeys();
  const { trustDomain, nowMs } = birth;
  const life = { nowMs, lifeMs: ROOT_LIFE_MS };
  const rootPem = signRoot({ trustDomain, label: labelOf(keys.publicKey) }, keys, life);
  return withIssuing(
    { id: authorityOf(rootPem), rootPem, rootKeyPem: pemOf(keys.privateKey) },
    birth,
  );
}

/** The same root with a new issuing certificate. */
export function withIssuing(
  { id, rootPem, rootKeyPem }: Pick<Authority, 'id' | 'rootPem' | 'rootKeyPem'>,
  { trustDomain, nowMs }: Birth,
): Authority {
  const { publicKey, privateKey } = newKeys();
  const root = { certificatePem: rootPem, key: createPrivateKey(rootKeyPem) };
  const life = { nowMs, lifeMs: ISSUING_LIFE_MS };
  const label = labelOf(publicKey);
  const issuingPem = signIssuing({ trustDomain, label }, publicKey, { root, life });
  return { id, rootPem, rootKeyPem, issuingPem, issuingKeyPem: pemOf(privateKey) };
}

/** The authority that signs. */
export function signing({ authorities, current }: CaState): Authority {
  const found = authorities.find(({ id }) => id === current);
  if (found === undefined) {
    throw new MeshError('STATE_UNREADABLE', 'Cannot sign: the CA names an authority it has not');
  }
  return found;
}

/** The state with `authority` in place of the one that signs; its root must be the same. */
export function withSigning(state: CaState, authority: Authority): CaState {
  const authorities = state.authorities.map((one) => (one.id === authority.id ? authority : one));
  return { ...state, authorities };
}

/** The next step of a rotation; the first one, from `stable`, makes `incoming` known. */
export function stepped(state: CaState, nowMs: number, incoming: () => Authority): CaState {
  const phase = nextPhase(state.phase);
  const base = { ...state, phase, phaseSinceMs: nowMs };
  const generation = state.generation + 1;
  switch (phase) {
    case 'distributing':
      return { ...base, generation, authorities: [...state.authorities, incoming()] };
    case 'switched':
      return { ...base, generation, current: state.authorities.at(-1)?.id ?? state.current };
    case 'retiring':
      return { ...base, generation, authorities: [signing(state)] };
    case 'stable':
    default:
      return base;
  }
}

export function isHalfOver(certificatePem: string, nowMs: number): boolean {
  const { notBeforeMs, notAfterMs } = readCertificate(certificatePem);
  return nowMs > notBeforeMs + (notAfterMs - notBeforeMs) / 2;
}

export function newKeys(): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
}

export function pemOf(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' });
}

/** A few letters that tell one authority from another in its name. */
function labelOf(key: KeyObject): string {
  const spki = key.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(spki).digest('hex').slice(0, 8);
}
