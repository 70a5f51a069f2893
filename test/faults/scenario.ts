/**
 * What a fault test is: a name, a sentence, and a run that gives figures and says whether they hold.
 *
 * A run leaves nothing behind, whatever becomes of it. Every mark has a name; those that do not hold
 * are the reason why a run has not passed.
 */

export interface Options {
  /** A short form, for the everyday suite. */
  readonly quick: boolean;
  /** Made part of the names of namespaces, so that runs do not meet. */
  readonly prefix?: string;
  /** Pods with addresses of this family alone. */
  readonly family?: '4' | '6';
}

export type Figures = Readonly<Record<string, number | string>>;

export interface Result {
  readonly figures: Figures;
  readonly passed: boolean;
  readonly why?: string;
}

export interface Scenario {
  readonly name: string;
  readonly title: string;
  run(options: Options): Promise<Result>;
}

/** What a run has found: figures, and marks with whether each was reached. */
export interface Findings {
  readonly figures: Figures;
  readonly marks: Readonly<Record<string, boolean>>;
}

export function judge({ figures, marks }: Findings): Result {
  const missed = Object.entries(marks).flatMap(([mark, holds]) => (holds ? [] : [mark]));
  if (missed.length === 0) return { figures, passed: true };
  return { figures, passed: false, why: `does not hold: ${missed.join('; ')}` };
}

/** Things to undo, the last one first, whatever happens to the others. */
export class Undo {
  readonly #steps: (() => void | Promise<void>)[] = [];

  after(undo: () => void | Promise<void>): void {
    this.#steps.push(undo);
  }

  async run(): Promise<void> {
    for (const step of this.#steps.splice(0).toReversed()) {
      try {
        await step();
      } catch (error) {
        process.stderr.write(`cannot undo: ${String(error)}\n`);
      }
    }
  }
}

/** Runs with something to undo afterwards. */
export async function undoing<T>(work: (undo: Undo) => Promise<T>): Promise<T> {
  const undo = new Undo();
  try {
    return await work(undo);
  } finally {
    await undo.run();
  }
}
