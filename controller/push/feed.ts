/**
 * Keeps one agent up to date, at the pace at which it takes things.
 *
 * What is queued for an agent is one number, the version it was sent last: the next message is worked
 * out from the state when the one before has left. So a slow agent costs no memory, skips what came
 * and went in between, and holds nobody up.
 */
import type { Gate } from '#common/gate.ts';
import type { MeshState } from './mesh-state.ts';
import { partsOf, type Message } from './parts.ts';

export interface FeedDeps {
  readonly state: MeshState;
  readonly node: string;
  /** Where the agent stands; undefined when it needs a snapshot. */
  readonly from: number | undefined;
  /** Resolves when the message has left this process. */
  readonly send: (message: Message) => Promise<void>;
  /** So many snapshots are under way at once, in all feeds together. */
  readonly snapshots: Gate;
}

export class Feed {
  readonly #deps: FeedDeps;
  #sent: number | undefined;
  #changed = Promise.withResolvers<void>();
  #stopped = false;

  constructor(deps: FeedDeps) {
    this.#deps = deps;
    this.#sent = deps.from;
  }

  /** The version that was sent last; 0 before the first. */
  get sent(): number {
    return this.#sent ?? 0;
  }

  /** Says that the state has a new version. */
  wake(): void {
    this.#changed.resolve();
  }

  stop(): void {
    this.#stopped = true;
    this.wake();
  }

  /** Runs until `stop`, or until a message cannot be sent: then it throws what `send` threw. */
  async run(): Promise<void> {
    const { state, node, snapshots } = this.#deps;
    while (!this.#stopped) {
      this.#changed = Promise.withResolvers();
      if (this.#sent === undefined || !state.canResume(node, this.#sent)) {
        await snapshots.through(async () => this.#sendAll(state.snapshot(node)));
      } else if (this.#sent < state.version) {
        await this.#sendAll(state.since(node, this.#sent));
      } else await this.#changed.promise;
    }
  }

  async #sendAll(difference: ReturnType<MeshState['snapshot']>): Promise<void> {
    for (const part of partsOf(difference, this.#deps.node)) {
      if (this.#stopped) return;
      await this.#deps.send(part);
    }
    this.#sent = difference.version;
  }
}
