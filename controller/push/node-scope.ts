/**
 * What one node may know and ask for now, and what it gained and lost lately.
 *
 * Counted, since several pods may give the same. A change is remembered with the version that made it,
 * so an agent that comes back can be brought from its version to ours, as far back as `floor`.
 */
import type { Identity } from '#common/identity.ts';
import { EVERYBODY, type Audience } from './scope.ts';

/** Remembered changes of one node; beyond it, an agent that far behind gets a snapshot. */
const MOST_REMEMBERED = 4096;

interface Turn {
  readonly version: number;
  readonly audience: Audience;
  readonly gained: boolean;
}

export interface ScopeChange {
  /** Held now, and gained since then. */
  readonly gained: ReadonlySet<Audience>;
  /** Not held now, but held at some time since then. */
  readonly lost: ReadonlySet<Audience>;
}

export class NodeScope {
  readonly #counts = new Map<Audience, number>();
  readonly #identities = new Map<Identity, number>();
  #turns: Turn[] = [];
  #floor = 0;
  #lastVersion = 0;

  /** Of the last change. */
  get lastVersion(): number {
    return this.#lastVersion;
  }

  /** The oldest version from which `since` can tell all. */
  get floor(): number {
    return this.#floor;
  }

  get isEmpty(): boolean {
    return this.#counts.size === 0;
  }

  has(audience: Audience): boolean {
    return audience === EVERYBODY || this.#counts.has(audience);
  }

  /** What is held beside what everybody holds. */
  audiences(): Iterable<Audience> {
    return this.#counts.keys();
  }

  hasIdentity(identity: Identity): boolean {
    return this.#identities.has(identity);
  }

  identities(): Identity[] {
    return [...this.#identities.keys()];
  }

  /** Applies one version's worth of arrivals (`by` 1) and departures (`by` -1) in any order. */
  change(version: number, audiences: readonly Audience[], by: 1 | -1): void {
    this.#lastVersion = version;
    for (const audience of audiences) {
      const before = this.#counts.get(audience) ?? 0;
      const after = before + by;
      if (after === 0) this.#counts.delete(audience);
      else this.#counts.set(audience, after);
      if (before === 0 || after === 0) {
        this.#turns.push({ version, audience, gained: after !== 0 });
      }
    }
    if (this.#turns.length > MOST_REMEMBERED) {
      const forgotten = this.#turns.splice(0, this.#turns.length - MOST_REMEMBERED / 2);
      this.#floor = forgotten.at(-1)?.version ?? this.#floor;
    }
  }

  changeIdentity(identity: Identity | undefined, by: 1 | -1): void {
    if (identity === undefined) return;
    const after = (this.#identities.get(identity) ?? 0) + by;
    if (after === 0) this.#identities.delete(identity);
    else this.#identities.set(identity, after);
  }

  since(version: number): ScopeChange {
    const gained = new Set<Audience>();
    const lost = new Set<Audience>();
    for (let i = this.#turns.length - 1; i >= 0; i -= 1) {
      const turn = this.#turns[i];
      if (turn === undefined || turn.version <= version) break;
      if (this.#counts.has(turn.audience)) gained.add(turn.audience);
      else lost.add(turn.audience);
    }
    return { gained, lost };
  }
}
