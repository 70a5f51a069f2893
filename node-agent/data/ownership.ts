/**
 * A data worker's part in the replacement of its agent: it gives what it has open, or takes it.
 *
 * Both stand still while it is not yet certain whose the connections are: the worker's loop does not
 * turn, so nothing is read, written or accepted, and what comes waits in the kernel. Main says in the
 * end whose they are. A worker that has given them never touches them again; one that was not given
 * them has never touched them.
 */
import type { Loop } from '#common/engine/loop.ts';
import { closeFd } from '#common/sys/libc.ts';
import { memoryFile, memoryFileLength } from '#common/sys/memory-file.ts';
import { openUnits } from './hand-units.ts';
import type { OpenUnit } from './hand-units.ts';
import { decodeUnit } from './handover-decode.ts';
import { Bytes } from './handover-state.ts';
import type { Unit } from './handover-state.ts';
import { hurry } from './hurry.ts';
import type { FromWorker, GivenUnit, ToWorker } from './messages.ts';
import type { Pod } from './pod.ts';
import { takeUnit } from './take-units.ts';
import type { TakenUnit } from './take-units.ts';

const HURRY_MS = 500;

export interface OwnershipDeps {
  readonly loop: Loop;
  readonly pods: ReadonlyMap<string, Pod>;
  readonly post: (message: FromWorker) => void;
  /**
   * Blocks the thread until main says whose it is, what was asked for under this number; undefined
   * when nobody will say so: then it stays where it was.
   */
  readonly hold: (of: number) => boolean | undefined;
  /** The successor accepts from here on. */
  readonly stopAccepting: () => void;
  /** What was taken is judged by the world as it is here. */
  readonly recheck: () => void;
}

/** What a worker gives, and the files that say so. */
interface Written {
  readonly units: readonly OpenUnit[];
  readonly memory: number;
  readonly bytes: number;
}

export class Ownership {
  readonly #deps: OwnershipDeps;

  constructor(deps: OwnershipDeps) {
    this.#deps = deps;
  }

  /** Gives what can move of these pods, at the end of the pass, when nothing is half done. */
  give(message: Extract<ToWorker, { kind: 'give' }>): void {
    this.#deps.loop.atPassEnd({ run: () => this.#give(message) });
  }

  take(message: Extract<ToWorker, { kind: 'take' }>): void {
    this.#deps.loop.atPassEnd({ run: () => this.#take(message) });
  }

  #give({ ask, podUids }: Extract<ToWorker, { kind: 'give' }>): void {
    const { post, hold, stopAccepting } = this.#deps;
    const calm = hurry();
    let files: Written | undefined;
    let problem = '';
    try {
      files = this.#write(podUids);
    } catch (error) {
      problem = textOf(error);
    }
    const { units = [], memory = -1, bytes = -1 } = files ?? {};
    const descriptors = units.flatMap((unit) => unit.descriptors);
    post({ kind: 'giving', ask, problem, memory, bytes, descriptors, units: units.length });
    const isOurs = hold(ask) ?? true;
    for (const fd of [memory, bytes]) if (fd >= 0) closeFd(fd);
    if (!isOurs) {
      for (const { release } of units) release();
      stopAccepting();
    }
    calm();
  }

  #write(podUids: readonly string[]): Written {
    const { pods } = this.#deps;
    const ours = podUids.map((podUid) => pods.get(podUid)).filter((pod) => pod !== undefined);
    const queued = new Bytes();
    const units = openUnits(ours, queued);
    const lines = units.map(({ unit, descriptors }) => {
      return `${descriptors.length} ${JSON.stringify(unit)}\n`;
    });
    const memory = memoryFile('plumbline units', [Buffer.from(lines.join(''))]);
    const bytes = memoryFile('plumbline bytes', queued.pieces);
    return { units, memory, bytes };
  }

  /** One that is refused ends, and the others go on. */
  #take({ ask, units }: Extract<ToWorker, { kind: 'take' }>): void {
    const { loop, post, hold, recheck } = this.#deps;
    const calm = hurry();
    const taken: TakenUnit[] = [];
    let problem = '';
    for (const given of units) {
      try {
        taken.push(this.#takeOne(given));
      } catch (error) {
        problem = textOf(error);
        const fields = { error: problem, descriptors: given.descriptors.length };
        post({ kind: 'log', level: 'warn', message: 'a unit of a hand-over is refused', fields });
      }
    }
    post({ kind: 'taking', ask, refused: units.length - taken.length, problem });
    const isOurs = hold(ask) ?? false;
    for (const unit of taken) {
      if (isOurs) unit.goOn();
      else unit.release();
    }
    if (isOurs) recheck();
    // What has piled up meanwhile is still to be worked off.
    loop.timers.after(HURRY_MS, { run: calm });
  }

  #takeOne(given: GivenUnit): TakenUnit {
    const { state, descriptors, bytes } = given;
    let pod: Pod | undefined;
    let unit: Unit | undefined;
    try {
      const beside = { descriptors: descriptors.length, bytes: memoryFileLength(bytes) };
      unit = decodeUnit(state, beside);
      pod = this.#deps.pods.get(unit.podUid);
    } finally {
      if (pod === undefined) for (const fd of descriptors) closeFd(fd);
    }
    if (pod === undefined) throw new RangeError(`pod "${unit.podUid}" is not served here`);
    return takeUnit(pod, unit, given);
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
