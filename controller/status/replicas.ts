/**
 * Tells the other replicas how the agents of this one are, and knows how theirs are.
 *
 * Each replica writes its own report and reads all. What is older than `GONE_MS`, by this replica's own
 * clock, is that of a replica that is gone: its agents are with another by then, or away.
 */
import type { Logger } from '#common/log.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import type { AgentView } from '../ca/rotation.ts';
import type { ReportBoard } from '../kube/replica-reports.ts';
import {
  decodeReport,
  otherAgents,
  seeReports,
  type ReplicaReport,
  type ReportedObject,
  type SeenReport,
} from './replica-report.ts';

export interface ReplicasDeps {
  readonly board: ReportBoard;
  readonly me: string;
  readonly ca: CertificateAuthority;
  /** Of this replica. */
  readonly agents: () => readonly AgentView[];
  readonly changed: () => readonly ReportedObject[];
  readonly log: Logger;
}

/** So often, unless something has changed. */
const RENEW_MS = 10_000;
const GONE_MS = 30_000;
/** After this long somebody removes the report of a replica that is gone. */
const FORGET_MS = 10 * 60_000;

export class Replicas {
  readonly #deps: ReplicasDeps;
  #seen = new Map<string, SeenReport>();
  #beat = Date.now();
  #written = '';
  #writtenMs = Number.NEGATIVE_INFINITY;
  #refused = '';

  constructor(deps: ReplicasDeps) {
    this.#deps = deps;
  }

  /** Reports of the others that are alive. */
  others(): ReplicaReport[] {
    return this.#alive()
      .map(({ report }) => report)
      .filter(({ replica }) => replica !== this.#deps.me);
  }

  /** The agents of the others, as a rotation must see them. */
  readonly otherAgents = (): AgentView[] => {
    const { me, ca } = this.#deps;
    if (ca.report().phase === 'stable') return [];
    return otherAgents(this.#alive(), { me, generation: ca.trust.generation });
  };

  /** One run of the chore: writes what is new, reads what others say. */
  readonly exchange = async (signal: AbortSignal): Promise<void> => {
    const { board, me } = this.#deps;
    const nowMs = performance.now();
    const content = this.#content();
    const text = JSON.stringify(content);
    if (text !== this.#written || nowMs - this.#writtenMs >= RENEW_MS) {
      this.#beat += 1;
      await board.write(me, JSON.stringify({ ...content, beat: this.#beat }), signal);
      this.#written = text;
      this.#writtenMs = nowMs;
    }
    const found = (await board.read(signal)).flatMap((one) => this.#decode(one));
    this.#seen = seeReports(this.#seen, found, nowMs);
    for (const [replica, { changedMs }] of this.#seen) {
      if (replica !== me && nowMs - changedMs > FORGET_MS) await board.remove(replica, signal);
    }
  };

  /** Takes the own report back: this replica is going. */
  async leave(signal: AbortSignal): Promise<void> {
    await this.#deps.board.remove(this.#deps.me, signal);
  }

  #alive(): SeenReport[] {
    const nowMs = performance.now();
    return [...this.#seen.values()].filter(({ changedMs }) => nowMs - changedMs < GONE_MS);
  }

  #content(): ReplicaReport {
    const { me, ca, agents, changed } = this.#deps;
    const views = agents();
    const isStable = ca.report().phase === 'stable';
    return {
      format: 1,
      replica: me,
      beat: 0,
      trustGeneration: ca.trust.generation,
      agents: views.length,
      rotating: isStable
        ? null
        : views.map(({ node, generation, authorities }) => {
            const distinct = authorities === undefined ? null : [...new Set(authorities)];
            return { node, generation, authorities: distinct };
          }),
      changed: changed(),
    };
  }

  #decode(written: string): ReplicaReport[] {
    try {
      return [decodeReport(written)];
    } catch (error) {
      // That of another version, or not ours: as good as none.
      if (written !== this.#refused) {
        this.#deps.log.warn('the report of a replica cannot be read', { error });
      }
      this.#refused = written;
      return [];
    }
  }
}
