/**
 * Looks again and again whether somebody else's CA has given us an authority, and says once what has
 * become of it. What is bad is as good as not there: what is in force stays in force.
 */
import { MeshError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Authority } from './state.ts';

/** Resolves with undefined when nothing is given; rejects with `CERTIFICATE_INVALID` what is bad. */
export type LookAtGiven = () => Promise<Authority | undefined>;

export class GivenSource {
  readonly #look: LookAtGiven;
  readonly #log: Logger;
  /** Whether there is anything, good or bad. */
  isThere = false;
  /** Why it is not in use; '' when nothing is wrong. */
  problem = '';

  constructor(look: LookAtGiven, log: Logger) {
    this.#look = look;
    this.#log = log;
  }

  async read(): Promise<Authority | undefined> {
    try {
      const found = await this.#look();
      if (this.isThere && found === undefined) {
        this.#log.warn('the CA given from outside is gone; what was taken of it stays in force');
      }
      this.isThere = found !== undefined;
      this.problem = '';
      return found;
    } catch (error) {
      if (!(error instanceof MeshError) || error.code !== 'CERTIFICATE_INVALID') throw error;
      if (this.problem !== error.message) {
        this.#log.error('the CA given from outside cannot be used; what is in force stays', {
          error,
        });
      }
      this.isThere = true;
      this.problem = error.message;
      return undefined;
    }
  }
}
