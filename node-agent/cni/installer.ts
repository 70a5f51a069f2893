/**
 * Puts the CNI plugin into the node, keeps it there, and takes it away.
 *
 * A plugin that a configuration names and whose file is missing lets no pod start *or end*: the file
 * comes before it is named and goes after that. Every file is replaced by rename, so the runtime sees
 * the old one or the new one. Other tools write their configuration again whenever they start, so the
 * directory is watched, and looked at each second in case an event was lost.
 */
import {
  chmodSync,
  type FSWatcher,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '#common/log.ts';
import { chained, type Changes, configurations, PLUGIN, unchained } from './conflist.ts';
import { namesIn, textOf } from './files.ts';

/** Where the plugin finds the agent, as the host sees it. */
export interface PluginPaths {
  readonly stateDir: string;
  readonly runDir: string;
}

export interface CniInstallerDeps extends PluginPaths {
  /** Of the host: where the runtime looks for plugins, and for configurations. */
  readonly binDir: string;
  readonly confDir: string;
  readonly log: Logger;
  /** Asked before each look; nothing is written while it says no. */
  readonly mayInstall?: () => boolean;
}

const LOOK_EVERY_MS = 1000;
const SCRIPT = new URL('plumbline-cni.sh', import.meta.url);

export class CniInstaller {
  readonly #deps: CniInstallerDeps;
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #problem = '';
  /** How often a configuration had to be written; for the metrics. */
  writes = 0;

  constructor(deps: CniInstallerDeps) {
    this.#deps = deps;
  }

  /** Why the plugin is not chained; '' when it is. */
  get problem(): string {
    return this.#problem;
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), LOOK_EVERY_MS).unref();
    this.look();
  }

  /** What is installed stays, and holds pods back until there is an agent again. */
  stop(): void {
    clearInterval(this.#timer);
    this.#watcher?.close();
    this.#timer = undefined;
    this.#watcher = undefined;
  }

  /** Makes file and chain right. What fails is said once and tried again. */
  look(): void {
    this.#watch();
    if (this.#deps.mayInstall?.() === false) return;
    try {
      this.#install();
      const changes = chained(this.#read());
      this.#apply(changes);
      this.#say(changes.chainedIn === undefined ? 'no network configuration to chain to yet' : '');
    } catch (error) {
      this.#say(error instanceof Error ? error.message : String(error));
    }
  }

  /** Takes the plugin out of the chain, then away. Throws when it could not be taken out. */
  remove(): void {
    this.stop();
    this.#apply(unchained(this.#read()));
    rmSync(join(this.#deps.binDir, PLUGIN), { force: true });
  }

  #install(): void {
    const path = join(this.#deps.binDir, PLUGIN);
    const wanted = scriptFor(this.#deps);
    if (textOf(path) === wanted && (statSync(path).mode & 0o111) === 0o111) return;
    mkdirSync(this.#deps.binDir, { recursive: true });
    replace(path, wanted, 0o755);
    this.#deps.log.info('CNI plugin installed', { path });
  }

  #read(): Map<string, string> {
    const { confDir } = this.#deps;
    const files = new Map<string, string>();
    for (const name of configurations(namesIn(confDir))) {
      const text = textOf(join(confDir, name));
      if (text !== undefined) files.set(name, text);
    }
    return files;
  }

  #apply({ write, remove, chainedIn }: Changes): void {
    const { confDir, log } = this.#deps;
    for (const [name, text] of write) {
      replace(join(confDir, name), text, modeOf(join(confDir, name)));
      this.writes += 1;
      log.info('network configuration written', { name, chained: name === chainedIn });
    }
    for (const name of remove) rmSync(join(confDir, name), { force: true });
  }

  #watch(): void {
    if (this.#watcher !== undefined || this.#timer === undefined) return;
    try {
      this.#watcher = watch(this.#deps.confDir, { persistent: false }, () => this.look());
    } catch {
      return; // Not there yet; the timer goes on looking.
    }
    this.#watcher.on('error', () => {
      this.#watcher?.close();
      this.#watcher = undefined;
    });
  }

  #say(problem: string): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    if (problem === '') this.#deps.log.info('CNI plugin chained');
    else this.#deps.log.warn('CNI plugin not chained', { reason: problem });
  }
}

/** The plugin with its paths as this node has them. */
export function scriptFor({ stateDir, runDir }: PluginPaths): string {
  return readFileSync(SCRIPT, 'utf8')
    .replace(/^state=.*$/m, `state=${quoted(stateDir)}`)
    .replace(/^run=.*$/m, `run=${quoted(runDir)}`);
}

function quoted(path: string): string {
  return `'${path.replaceAll("'", `'\\''`)}'`;
}

/** The name of the new file ends so that no runtime takes it for a configuration. */
function replace(path: string, text: string, mode: number): void {
  const next = `${path}.plumbline-new`;
  writeFileSync(next, text, { mode, flush: true });
  chmodSync(next, mode); // The umask has its say otherwise.
  renameSync(next, path);
}

const CONFIGURATION_MODE = 0o600;

function modeOf(path: string): number {
  try {
    return statSync(path).mode & 0o777;
  } catch {
    return CONFIGURATION_MODE;
  }
}
