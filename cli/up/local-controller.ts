/**
 * The controller of a mesh on this machine: in the switch's namespace, where every node reaches it.
 *
 * Its state (the CA's keys, what it gave out) lives and dies with the mesh.
 */
import { mkdirSync } from 'node:fs';
import type { Logger } from '#common/log.ts';
import { callSocket } from '../unix-http.ts';
import { SWITCH_ADDRESSES } from './addresses.ts';
import type { Installation } from './installation.ts';
import { LogFile } from './log-file.ts';
import { Program } from './program.ts';
import type { ProcessList } from './processes.ts';
import type { RunDir } from './run-dir.ts';
import type { Space } from './world.ts';

const CONTROL_PORT = 15_012;
const METRICS_PORT = 15_014;

export interface LocalControllerDeps {
  readonly dir: RunDir;
  /** With the YAML. */
  readonly directory: string;
  readonly tokenFile: string;
  readonly installation: Installation;
  readonly processes: ProcessList;
  readonly log: Logger;
  readonly onChange: () => void;
}

export class LocalController {
  readonly program: Program;
  readonly socket: string;
  /** For the agents. */
  readonly url: string;
  readonly rootFile: string;
  readonly #output: LogFile;

  constructor(hub: Space, deps: LocalControllerDeps) {
    const [address] = SWITCH_ADDRESSES;
    const folder = `${deps.dir.memory}/controller`;
    for (const part of ['run', 'state']) {
      mkdirSync(`${folder}/${part}`, { recursive: true, mode: 0o700 });
    }
    this.socket = `${folder}/run/controller.sock`;
    this.url = `wss://${address}:${CONTROL_PORT}`;
    this.rootFile = `${folder}/state/ca/roots.pem`;
    this.#output = new LogFile(`${deps.dir.logs}/controller.log`);
    this.program = new Program({
      name: 'controller',
      netnsPath: hub.path,
      argv: deps.installation.program('controller', {
        directory: deps.directory,
        'state-dir': `${folder}/state`,
        'run-dir': `${folder}/run`,
        listen: `${address}:${CONTROL_PORT}`,
        metrics: `${address}:${METRICS_PORT}`,
        tokens: deps.tokenFile,
        'log-format': 'json',
      }),
      env: deps.installation.environment,
      output: this.#output,
      processes: deps.processes,
      log: deps.log,
      isReady: async () => this.#answers(),
      onChange: deps.onChange,
    });
  }

  get logPath(): string {
    return this.#output.path;
  }

  async ask(path: string, method: 'GET' | 'POST' = 'GET'): Promise<string> {
    const peer = 'the controller';
    return callSocket({ socket: this.socket, path, method, peer, code: 'CONTROLLER_UNREACHABLE' });
  }

  async stop(graceMs: number): Promise<void> {
    await this.program.stop(graceMs);
    this.#output.close();
  }

  async #answers(): Promise<boolean> {
    return this.ask('/v1/version').then(
      () => true,
      () => false,
    );
  }
}
