/**
 * What the fuzz runner knows of a decoder: valid inputs, a way to damage them, and one call.
 *
 * `run` returns how an input ended, as a short class of outcomes ("read", or the kind of refusal),
 * and throws for whatever must never happen: an error that is not the decoder's own, or a broken
 * promise about what it returned. It keeps nothing from one input to the next.
 */
import { MeshError, type ErrorCode } from '../../common/errors.ts';
import type { Random } from './random.ts';

export interface Decoder {
  readonly name: string;
  /** Inputs from which cases are made; each must be read, not refused. */
  readonly seeds: readonly Buffer[];
  /** Makes the next input out of a seed, or one that the corpus has added. */
  readonly mutate: (random: Random, from: Buffer, other: Buffer) => Buffer;
  readonly run: (input: Buffer) => string;
  /** How long 64 KB may take, and whatever is shorter; 1 ms unless there is a reason. */
  readonly budgetMs?: number;
  /** Inputs of about 64 KB that cost as much as they can, by what makes them dear. */
  readonly costly?: Readonly<Record<string, Buffer>>;
}

/** Runs `work`; an error with one of the codes is an outcome, named by its message without what varies. */
export function outcomeOf(codes: readonly ErrorCode[], work: () => string): string {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof MeshError) || !codes.includes(error.code)) throw error;
    return kindOf(error.message);
  }
}

export function kindOf(message: string): string {
  const kind = message
    .slice(0, 200)
    .replaceAll(/"[^"]*"?/g, '""')
    .replaceAll(/\d+/g, '0')
    .replaceAll(/[^\x20-\x7e]/g, '?');
  // A copy: a part of a text keeps the whole of it alive.
  return Buffer.from(kind, 'latin1').toString('latin1');
}

/** Throws what the runner reports as a failure. */
export function must(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}
