/**
 * A controller as one of several replicas on an API server: the real program in a process of its own,
 * and a front that leads to whichever replica takes connections, as a Service does.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { createInterface } from 'node:readline';
import { eventually } from './program.ts';

const MAIN = new URL('../../controller/main.ts', import.meta.url).pathname;
const STARTS_WITHIN_MS = 120_000;

export class Replica {
  readonly name: string;
  readonly lines: Readonly<Record<string, unknown>>[] = [];
  readonly #runDir = mkdtempSync(`${tmpdir()}/plumb-r-`);
  readonly #flags: readonly string[];
  #child: ChildProcess | undefined;

  constructor(name: string, kubeconfig: string, more: readonly string[] = []) {
    this.name = name;
    this.#flags = [
      '--source=kubernetes',
      `--kubeconfig=${kubeconfig}`,
      `--replica=${name}`,
      '--namespace=plumbline-system',
      '--rotation-settle=100ms',
      `--run-dir=${this.#runDir}`,
      '--listen=127.0.0.1:0',
      '--metrics=127.0.0.1:0',
      '--api=127.0.0.1:0',
      ...more,
    ];
  }

  start(): void {
    const { NODE_OPTIONS: _, ...env } = process.env;
    const args = ['--disable-warning=ExperimentalWarning', MAIN, ...this.#flags];
    const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
    createInterface(child.stdout).on('line', (line) => {
      const parsed: unknown = JSON.parse(line);
      if (typeof parsed === 'object' && parsed !== null) this.lines.push({ ...parsed });
    });
    this.#child = child;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Where it serves agents; undefined while it does not. */
  get port(): number | undefined {
    return this.at('listen');
  }

  /** The port of one of its servers; undefined while it does not serve. */
  at(what: 'listen' | 'metrics' | 'api'): number | undefined {
    const { exitCode, signalCode } = this.#child ?? { exitCode: 0, signalCode: null };
    if (exitCode !== null || signalCode !== null) return undefined;
    const listen = this.lines.find(({ message }) => message === 'controller is ready')?.[what];
    const first: unknown = Array.isArray(listen) ? listen[0] : undefined;
    return typeof first === 'object' && first !== null && 'port' in first
      ? Number(first.port)
      : undefined;
  }

  /** The last warnings and errors of its log. */
  complaints(): string[] {
    const isOne = ({ level }: Readonly<Record<string, unknown>>): boolean =>
      level === 'warn' || level === 'error';
    return this.lines
      .filter(isOne)
      .slice(-20)
      .map((line) => JSON.stringify(line));
  }

  async ready(): Promise<void> {
    await eventually(
      `${this.name} is ready`,
      async () => {
        if (this.port === undefined) throw new Error(JSON.stringify(this.lines.at(-1)));
      },
      STARTS_WITHIN_MS,
    );
  }

  /** Asks on its Unix socket. */
  async ask<T>(path: string, method = 'GET'): Promise<T> {
    const socketPath = `${this.#runDir}/controller.sock`;
    const sent = request({ socketPath, path, method, host: 'localhost' });
    sent.end();
    const [answer] = await once(sent, 'response');
    let text = '';
    for await (const chunk of answer) text += String(chunk);
    if (answer.statusCode >= 300) throw new Error(`${path}: ${answer.statusCode} ${text}`);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the shape is that of our own program
    return JSON.parse(text) as T;
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill(signal);
    await exit;
  }

  remove(): void {
    rmSync(this.#runDir, { recursive: true, force: true });
  }
}

/** Leads each connection to the first replica that serves agents. */
export async function startFront(
  replicas: readonly Replica[],
): Promise<{ port: number; stop: () => void }> {
  const server: Server = createServer((from) => {
    const port = replicas.map((one) => one.port).find((one) => one !== undefined);
    from.on('error', () => {});
    if (port === undefined) {
      from.destroy();
      return;
    }
    const to = connect(port, '127.0.0.1');
    to.on('error', () => from.destroy());
    from.pipe(to).pipe(from);
    from.on('close', () => to.destroy());
    to.on('close', () => from.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = address === null || typeof address === 'string' ? 0 : address.port;
  return { port, stop: () => server.close() };
}
