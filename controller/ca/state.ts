/**
 * What the CA must not lose: its authorities with their keys, and how far a rotation has come.
 *
 * Plain data, the same in a file (file-store.ts) and in a Secret (secret-store.ts). What cannot be read
 * stops the controller, since a new CA in its place would cut every agent off.
 */
import {
  decodeText,
  integer,
  lines,
  list,
  matching,
  object,
  oneOf,
  text,
} from '#common/control/decode.ts';

/** A root and the certificate under it that signs leaves, with the keys that we hold. All PEM. */
export interface Authority {
  /** SHA-256 of the root's DER, in hex. */
  readonly id: string;
  readonly rootPem: string;
  /** '' when the root is somebody else's, and we were given the issuing certificate only. */
  readonly rootKeyPem: string;
  readonly issuingPem: string;
  readonly issuingKeyPem: string;
}

/**
 * `stable`: one root. `distributing`: a new root is being made known. `switched`: leaves are signed
 * under the new root, old ones are being replaced. `retiring`: the old root is being taken back.
 */
export type Phase = 'stable' | 'distributing' | 'switched' | 'retiring';

export interface CaState {
  readonly format: 2;
  readonly trustDomain: string;
  /** Rises with every change of the set of roots or of the authority. */
  readonly generation: number;
  readonly phase: Phase;
  readonly phaseSinceMs: number;
  /** All that are trusted, oldest first. */
  readonly authorities: readonly Authority[];
  /** The one that signs. */
  readonly current: string;
}

const LONGEST_TEXT = 1024 * 1024;
const LONGEST_FIRST_TEXT = 16 * 1024 * 1024;
const LONGEST_PEM = 16_384;
const id = matching(/^[0-9a-f]{64}$/, 'a SHA-256 in hex');

const fields = {
  trustDomain: text(255),
  generation: integer(1, Number.MAX_SAFE_INTEGER),
  phase: oneOf('stable', 'distributing', 'switched', 'retiring'),
  phaseSinceMs: integer(0, 8.64e15),
  authorities: list(
    object<Authority>({
      id,
      rootPem: lines(LONGEST_PEM),
      rootKeyPem: lines(LONGEST_PEM),
      issuingPem: lines(LONGEST_PEM),
      issuingKeyPem: lines(LONGEST_PEM),
    }),
    2,
  ),
  current: id,
};

const decoder = object<CaState>({ format: oneOf(2), ...fields });

/** What was written before: with how long each node may hold leaves, which nothing reads any more. */
type FirstState = Omit<CaState, 'format'> & {
  readonly format: 1;
  readonly nodes: readonly object[];
};

const firstDecoder = object<FirstState>({
  format: oneOf(1),
  ...fields,
  nodes: list(object({ node: text(253), untilMs: integer(0, 8.64e15) }), 65_536),
});

/** Reads what `encodeCaState` wrote, in this version or the one before; throws `MESSAGE_INVALID`. */
export function decodeCaState(written: string): CaState {
  const what = 'the state of the CA';
  if (!written.startsWith('{"format":1,')) {
    return decodeText(written, { what, decoder, maxLength: LONGEST_TEXT });
  }
  const first = decodeText(written, { what, decoder: firstDecoder, maxLength: LONGEST_FIRST_TEXT });
  const { nodes: _, ...rest } = first;
  return { ...rest, format: 2 };
}

export function encodeCaState(state: CaState): string {
  return JSON.stringify(state);
}
