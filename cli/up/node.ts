/**
 * One node of the mesh on this machine: its namespace and the node agent that runs in it.
 *
 * The agent is kept running from the first moment on; nobody waits for it here, since pods wait until
 * their capture is proven (gate.ts).
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import type { Logger } from '#common/log.ts';
import { at } from '../text.ts';
import { callSocket } from '../unix-http.ts';
import { LogFile } from './log-file.ts';
import { Program } from './program.ts';
import type { ProcessList } from './processes.ts';
import type { Installation } from './installation.ts';
import type { RunDir } from './run-dir.ts';
import type { NodeSpace } from './world.ts';

export interface NodeDeps {
  readonly dir: RunDir;
  readonly installation: Installation;
  /** `wss://` address of the controller, and the file with its root. */
  readonly controller: string;
  readonly controllerCa: string;
  readonly processes: ProcessList;
  readonly log: Logger;
  /** Told when the agent's pid changes. */
  readonly onChange: () => void;
}

const DRAIN = '3s';

export class LocalNode {
  readonly space: NodeSpace;
  readonly agent: Program;
  /** The agent's admin API. */
  readonly socket: string;
  readonly #folder: string;
  readonly #output: LogFile;

  /** `token` says to the controller which node this is. */
  constructor(space: NodeSpace, token: string, deps: NodeDeps) {
    this.space = space;
    // Not the node's name: a Unix socket's path has 107 bytes.
    this.#folder = `${deps.dir.memory}/${space.port}`;
    this.socket = `${this.#folder}/run/agent.sock`;
    this.#output = new LogFile(`${deps.dir.logs}/agent.${space.name}.log`);
    for (const part of ['run', 'state']) {
      mkdirSync(`${this.#folder}/${part}`, { recursive: true, mode: 0o700 });
    }
    writeFileSync(`${this.#folder}/token`, token, { mode: 0o600 });
    this.agent = new Program({
      name: `agent of ${space.name}`,
      netnsPath: space.path,
      argv: deps.installation.program('node-agent', {
        node: space.name,
        controller: deps.controller,
        'controller-ca': deps.controllerCa,
        'token-file': `${this.#folder}/token`,
        'netns-dir': deps.dir.netns,
        'state-dir': `${this.#folder}/state`,
        'run-dir': `${this.#folder}/run`,
        drain: DRAIN,
        'log-format': 'json',
        'access-log': 'json',
      }),
      env: deps.installation.environment,
      output: this.#output,
      processes: deps.processes,
      log: deps.log,
      isReady: async (pid) => this.#isReady(pid),
      onChange: deps.onChange,
    });
  }

  /** The file with the agent's log and access log. */
  get logPath(): string {
    return this.#output.path;
  }

  async stop(graceMs: number): Promise<void> {
    await this.agent.stop(graceMs);
    this.#output.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Asks the agent's admin API; `path` begins with a slash. */
  async ask(path: string, signal?: AbortSignal): Promise<string> {
    return callSocket({
      socket: this.socket,
      path,
      ...(signal === undefined ? {} : { signal }),
      peer: `the agent of ${this.space.name}`,
      code: 'AGENT_UNREACHABLE',
    });
  }

  /** Predecessor and successor share the socket: it is the pid that tells who answered. */
  async #isReady(pid: number): Promise<boolean> {
    try {
      const answer: unknown = JSON.parse(await this.ask('/version'));
      return at(answer, 'pid') === String(pid) && at(answer, 'ready') === 'true';
    } catch {
      return false;
    }
  }
}
