/**
 * An agent between its predecessor and its successor: what it takes from the one at its start and
 * when it is ready, and what it gives to the other.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '#common/log.ts';
import type { AgentConfig } from './config.ts';
import type { DataPlane } from './data/data-plane.ts';
import { stepBack } from './data/hurry.ts';
import { giveLive, takeLive } from './data/live-handover.ts';
import type { GivenPart } from './data/live-handover.ts';
import type { Listener } from './data/messages.ts';
import { HandoverServer } from './handover.ts';
import { takeOver } from './takeover.ts';
import type { Takeover } from './takeover.ts';

export interface SuccessionDeps {
  readonly config: AgentConfig;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly dataPlane: DataPlane;
  /** Saves what a successor starts from. */
  readonly save: () => Promise<void>;
  /** A successor begins to take over, or has given it up. */
  readonly onTaking: (isTaking: boolean) => void;
  /** A successor serves the pods: nothing is done for them here any more. */
  readonly onGiven: () => void;
  /** Everything is given that could be: drain and end. */
  readonly onReplaced: () => void;
}

/** Pods that only this agent knows of are not waited for any longer before connections are taken. */
const SETTLE_DEADLINE_MS = 20_000;
const LOOK_EVERY_MS = 100;
/** A connection that takes longer to begin is not waited for. */
const LONGEST_ROUNDS_MS = 15_000;

const WARM_MS = 300;

/** How far this agent is with the pods of its node. */
export interface Progress {
  /** Resolves when it has a state of the mesh. */
  readonly first: Promise<void>;
  /** Resolves when every pod of that state is served. */
  readonly settled: Promise<void>;
  /** Whether the pod is to be served here. */
  readonly isKnown: (podUid: string) => boolean;
}

export class Succession {
  /** Listeners of a predecessor, by pod; each is given out once. */
  readonly inherited = new Map<string, readonly Listener[]>();
  readonly #deps: SuccessionDeps;
  #takeover: Takeover | undefined;
  #comeForward = (): void => undefined;
  #server: HandoverServer | undefined;

  constructor(deps: SuccessionDeps) {
    this.#deps = deps;
  }

  /** Whether there is somebody from whom something was taken. */
  get hasPredecessor(): boolean {
    return this.#takeover !== undefined;
  }

  /** Takes the listeners of a predecessor, if there is one. */
  async begin(): Promise<void> {
    const { config, log, signal } = this.#deps;
    const timeoutMs = config.takeoverTimeoutMs;
    try {
      const takeover = await takeOver(pathIn(config), { timeoutMs, signal, log });
      this.#takeover = takeover;
      if (takeover !== undefined) this.#comeForward = stepBack();
      for (const { podUid, listeners } of takeover?.pods ?? [])
        this.inherited.set(podUid, listeners);
      if (takeover !== undefined)
        log.info('listeners received from a predecessor', { pods: takeover.pods.length });
    } catch (error) {
      log.warn('a predecessor did not hand over; listening beside it', { error });
    }
  }

  /**
   * Takes the live connections when the pods are served here, and lets the predecessor go. As long as
   * there is no state of the mesh, or a pod of the predecessor's is not served, it stays in service:
   * an agent that never gets ready must take nothing from one that is.
   */
  async complete({ first, settled, isKnown }: Progress): Promise<void> {
    const { log, signal, dataPlane } = this.#deps;
    if (this.#takeover === undefined) await settled;
    else {
      await first;
      await Promise.race([settled, delay(SETTLE_DEADLINE_MS, undefined, { ref: false })]);
      while (!signal.aborted && [...this.inherited.keys()].some(isKnown)) {
        await delay(LOOK_EVERY_MS, undefined, { ref: false });
      }
    }
    if (signal.aborted) return;
    if (this.inherited.size > 0)
      log.warn('inherited pods are not known here', { pods: this.inherited.size });
    let rest = Promise.resolve();
    if (this.#takeover !== undefined) {
      // The workers have the world, the certificates and the pods before they have connections.
      await dataPlane.settled();
      // New connections come here as well by now: code that has run is several times as fast.
      await delay(WARM_MS);
      this.#comeForward();
      const podUids = dataPlane.listeners().map(({ podUid }) => podUid);
      const take = async (parts: readonly GivenPart[]) => takeLive(dataPlane.running(), parts);
      ({ rest } = await this.#takeover.live({ podUids, take }));
    }
    await settled;
    void rest.then(async () => this.#await());
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
  }

  /** Waits for a successor. */
  async #await(): Promise<void> {
    const { config, log, signal, dataPlane, save, onTaking, onGiven, onReplaced } = this.#deps;
    if (signal.aborted) return;
    this.#server = new HandoverServer({
      path: pathIn(config),
      log,
      prepare: save,
      taking: onTaking,
      listeners: () => dataPlane.listeners(),
      give: async (podUids) => giveLive(dataPlane.running(), podUids),
      given: async () => {
        onGiven();
        await dataPlane.releaseListeners();
      },
      left: () => {
        const totals = dataPlane.totals();
        const { inboundOpen, outboundOpen, tunnelsOpen, serverTunnelsOpen } = totals;
        return inboundOpen + outboundOpen + tunnelsOpen + serverTunnelsOpen;
      },
      drainMs: Math.min(config.drainMs, LONGEST_ROUNDS_MS),
      taken: onReplaced,
    });
    await this.#server.start();
  }
}

function pathIn({ runDir }: AgentConfig): string {
  return `${runDir}/handover.sock`;
}
