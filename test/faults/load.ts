/** The load of a fault test as the test sees it: started, asked for figures, ended. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { LoadAnswer, LoadFigures, LoadOrder, LoadPlan } from './load-messages.ts';

export class Load {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(plan: LoadPlan): Promise<Load> {
    // A coverage tool's loader, which NODE_OPTIONS may name, is of no use there.
    const { NODE_OPTIONS: _, ...env } = process.env;
    const execArgv = ['--disable-warning=ExperimentalWarning'];
    const child = fork(new URL('load-program.ts', import.meta.url), { execArgv, env });
    const load = new Load(child);
    await load.#ask({ order: 'start', plan });
    return load;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** What happened since the last time. */
  async take(): Promise<LoadFigures> {
    const answer = await this.#ask({ order: 'take' });
    if (answer.answer !== 'figures') throw new Error(`the load answered ${answer.answer}`);
    return answer.figures;
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async stop(): Promise<void> {
    if (this.hasEnded) return;
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exit;
  }

  async #ask(order: LoadOrder): Promise<LoadAnswer> {
    const answered = new AbortController();
    const { signal } = answered;
    const gone = once(this.#child, 'exit', { signal }).then(() => {
      throw new Error('the load has ended');
    });
    gone.catch(() => {});
    const reply = once(this.#child, 'message', { signal });
    this.#child.send(order);
    const [answer]: LoadAnswer[] = await Promise.race([reply, gone]).finally(() =>
      answered.abort(),
    );
    if (answer === undefined || answer.answer === 'failed')
      throw new Error(`Cannot go on: the load failed: ${answer?.why ?? 'nothing came'}`);
    return answer;
  }
}
