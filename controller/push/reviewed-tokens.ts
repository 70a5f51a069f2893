/**
 * Authenticates agents by TokenReview, and remembers for a short while who a token was.
 *
 * A token that was good holds for `HOLD_MS` more, also while the API server is away; a pod that is
 * deleted is an agent no longer than that. One that was refused is refused for a few seconds unasked,
 * and only so many questions are under way at once, so a flood of tokens does not reach the API server
 * as one. Tokens are kept as hashes alone.
 */
import { MeshError } from '#common/errors.ts';
import { Gate } from '#common/gate.ts';
import type { Logger } from '#common/log.ts';
import type { Reviewer } from '../kube/reviews.ts';
import { agentOf } from './agent-token.ts';
import { hashOf, type Authenticate, type Caller } from './tokens.ts';

export interface ReviewedTokensDeps {
  readonly reviewer: Pick<Reviewer, 'whoIs'>;
  /** The one service account whose pods are agents: `accountOf`. */
  readonly account: string;
  readonly log: Logger;
  /** Monotonic. */
  readonly now?: () => number;
}

/** For whom the tokens of agents are made. */
export const AUDIENCE = 'plumbline';
const HOLD_MS = 60_000;
const REFUSE_MS = 5000;
const QUESTIONS_AT_ONCE = 32;
const MOST_REMEMBERED = 16_384;
/** Three parts of base64url: what is no such thing needs no review. */
const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

interface Verdict {
  readonly caller: Caller | undefined;
  readonly untilMs: number;
}

export class ReviewedTokens {
  readonly #deps: ReviewedTokensDeps;
  readonly #now: () => number;
  readonly #verdicts = new Map<string, Verdict>();
  /** Pods that are gone, by uid, and until when that is remembered. */
  readonly #gone = new Map<string, number>();
  readonly #asking = new Map<string, Promise<Caller | undefined>>();
  readonly #gate = new Gate(QUESTIONS_AT_ONCE);

  constructor(deps: ReviewedTokensDeps) {
    this.#deps = deps;
    this.#now = deps.now ?? (() => performance.now());
  }

  readonly authenticate: Authenticate = async (token) => {
    if (!JWT.test(token)) return undefined;
    const hash = hashOf(token);
    const known = this.#verdicts.get(hash);
    if (known !== undefined && known.untilMs > this.#now()) return known.caller;
    const asked = this.#asking.get(hash) ?? this.#ask(token, hash);
    this.#asking.set(hash, asked);
    try {
      return await asked;
    } finally {
      this.#asking.delete(hash);
    }
  };

  /** A pod is gone, and its token with it: the API server may say otherwise for some seconds. */
  forgetPod(podUid: string): void {
    const nowMs = this.#now();
    // In the order of their times: the oldest stand first.
    for (const [one, untilMs] of this.#gone) {
      if (untilMs > nowMs && this.#gone.size < MOST_REMEMBERED) break;
      this.#gone.delete(one);
    }
    this.#gone.set(podUid, nowMs + HOLD_MS);
    for (const [hash, { caller }] of this.#verdicts) {
      if (caller?.podUid === podUid) this.#verdicts.delete(hash);
    }
  }

  async #ask(token: string, hash: string): Promise<Caller | undefined> {
    const { reviewer, account, log } = this.#deps;
    let caller: Caller | string;
    try {
      const subject = await this.#gate.through(async () => reviewer.whoIs(token, AUDIENCE));
      caller = subject === undefined ? 'it is not a valid token' : agentOf(subject, account);
      if (typeof caller !== 'string' && this.#isGone(caller.podUid)) caller = 'its pod is gone';
    } catch (cause) {
      const message = 'Cannot authenticate an agent: the API server does not answer';
      throw new MeshError('NOT_AUTHENTICATED', message, { cause });
    }
    if (typeof caller === 'string') log.warn('token of an agent refused', { reason: caller });
    const found = typeof caller === 'string' ? undefined : caller;
    this.#remember(hash, found);
    return found;
  }

  #isGone(podUid = ''): boolean {
    return (this.#gone.get(podUid) ?? 0) > this.#now();
  }

  #remember(hash: string, caller: Caller | undefined): void {
    const nowMs = this.#now();
    if (this.#verdicts.size >= MOST_REMEMBERED) {
      for (const [one, { untilMs }] of this.#verdicts) {
        if (untilMs <= nowMs || this.#verdicts.size >= MOST_REMEMBERED) this.#verdicts.delete(one);
      }
    }
    const holdMs = caller === undefined ? REFUSE_MS : HOLD_MS;
    this.#verdicts.set(hash, { caller, untilMs: nowMs + holdMs });
  }
}
