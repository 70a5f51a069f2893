/**
 * The state of the CA in a Secret that all replicas of the controller share, and the Secret in which
 * somebody else's CA gives us an intermediate.
 *
 * The API server keeps the order: a write names the version that it replaces.
 */
import { MeshError } from '#common/errors.ts';
import type { SecretDoor } from '../kube/secrets.ts';
import type { LookAtGiven } from './given-source.ts';
import { readGiven } from './given.ts';
import { decodeCaState, encodeCaState, type CaState } from './state.ts';
import type { CaStore, StoredCa } from './store.ts';

const KEY = 'ca.json';

export class SecretCaStore implements CaStore {
  readonly isShared = true;
  readonly #secret: SecretDoor;

  constructor(secret: SecretDoor) {
    this.#secret = secret;
  }

  async load(): Promise<StoredCa | undefined> {
    const found = await this.#secret.read();
    if (found === undefined) return undefined;
    const unreadable = (what: string, cause?: unknown): MeshError =>
      new MeshError('STATE_UNREADABLE', `Cannot open the CA: ${what}`, { cause });
    const written = found.data[KEY];
    if (written === undefined) {
      throw unreadable(`Secret "${this.#secret.name}" has no key "${KEY}"`);
    }
    try {
      return { state: decodeCaState(written), revision: found.revision };
    } catch (cause) {
      const what = `"${KEY}" of Secret "${this.#secret.name}" is damaged; restore it from a copy`;
      throw unreadable(what, cause);
    }
  }

  async save(state: CaState, revision: string): Promise<string | undefined> {
    return this.#secret.write({ [KEY]: encodeCaState(state) }, revision);
  }
}

/** Reads what is given in `secret`, each time anew. */
export function givenIn(secret: SecretDoor, now: () => number = Date.now): LookAtGiven {
  return async () => {
    const found = await secret.read();
    return found && readGiven(secret.name, found.data, now());
  };
}
