/** A program of the mesh in a test: started in a namespace, its log read line by line, asked by socket. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { createInterface } from 'node:readline';
import type { Netns } from './netns.ts';

export type LogLine = Readonly<Record<string, unknown>>;

const WITHIN_MS = 20_000;

/** One program of the mesh, which may be killed and started again. */
export class Program {
  readonly lines: LogLine[] = [];
  readonly socket: string;
  readonly netns: Netns;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  #child: ChildProcess | undefined;

  constructor(
    netns: Netns,
    socket: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ) {
    this.netns = netns;
    this.socket = socket;
    this.args = args;
    this.env = env;
  }

  start(): ChildProcess {
    const child = this.netns.spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', ...this.args],
      { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...this.env } },
    );
    if (child.stdout !== null) {
      createInterface(child.stdout).on('line', (line) => this.lines.push(parseLine(line)));
    }
    this.#child = child;
    return child;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Resolves with its exit code when it has ended by itself. */
  async exit(): Promise<number | null> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null) return child?.exitCode ?? null;
    const [code] = await once(child, 'exit');
    return code;
  }

  /** Ends it, and resolves when it is gone. */
  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill(signal);
    await exit;
  }

  async ask<T>(path: string, method = 'GET', body?: unknown): Promise<T> {
    const call = request({
      socketPath: this.socket,
      path,
      method,
      headers: { host: 'localhost', 'content-type': 'application/json' },
    });
    call.end(body === undefined ? undefined : JSON.stringify(body));
    const [response] = await once(call, 'response');
    let content = '';
    for await (const chunk of response) content += String(chunk);
    if (response.statusCode >= 300)
      throw new Error(`${path} answered ${response.statusCode}: ${content}`);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the shape is that of our own programs
    return (content === '' ? undefined : JSON.parse(content)) as T;
  }

  /** Lines of the access log that have these fields. */
  access(fields: LogLine): LogLine[] {
    return this.lines.filter((line) => line['log'] === 'access' && matches(line, fields));
  }
}

/** Tries until it does not throw; the last reason is the failure. */
export async function eventually<T>(
  what: string,
  attempt: () => Promise<T>,
  withinMs = WITHIN_MS,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > deadline)
        throw new Error(`not within ${withinMs / 1000} s: ${what}`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}

function matches(line: LogLine, fields: LogLine): boolean {
  return Object.entries(fields).every(([key, value]) => line[key] === value);
}

function parseLine(line: string): LogLine {
  try {
    const parsed: unknown = JSON.parse(line);
    return typeof parsed === 'object' && parsed !== null ? { ...parsed } : { message: line };
  } catch {
    return { message: line };
  }
}
