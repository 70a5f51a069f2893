/**
 * `plumb up DIR`: the mesh of a directory, on this machine, until somebody ends it.
 *
 * Whatever ends it (Ctrl-C, SIGTERM, a closed terminal, a failure half-way) everything made is removed
 * again; what a SIGKILL leaves behind, the next start removes.
 */
import { createLogger, streamSink } from '#common/log.ts';
import type { Level, Logger } from '#common/log.ts';
import { EXIT_BAD_ANSWER, EXIT_BAD_INPUT, EXIT_OK } from '../exit-codes.ts';
import { checkDirectory, existingDirectory } from './check.ts';
import { controlServer } from './control.ts';
import { formatProblem } from '#common/control/desired.ts';
import { thisInstallation } from './installation.ts';
import { LocalMesh } from './local-mesh.ts';
import type { Findings } from './local-mesh.ts';
import { ensurePrivileges, isInUserNamespace } from './privileges.ts';
import { Progress } from './progress.ts';
import { claim, cleanUp, meshNameFor, runDirOf } from './run-dir.ts';
import { tour } from './tour/tour.ts';
import { copyForTour } from './tour/stage.ts';

export interface UpOptions {
  readonly directory: string;
  readonly name: string | undefined;
  readonly tour: boolean;
  readonly check: boolean;
  readonly logLevel: Level;
}

/** A demonstration that does not get its pods ready in this time has failed. */
const TOUR_START_MS = 45_000;

/** Runs until it is ended, and returns the exit code. */
export async function up(options: UpOptions): Promise<number> {
  const installation = thisInstallation();
  const source = existingDirectory(options.directory);
  const checked = await checkDirectory(source, installation);
  if (!checked.ok) {
    process.stderr.write(checked.text);
    return EXIT_BAD_INPUT;
  }
  if (options.check) {
    process.stdout.write(checked.text);
    return EXIT_OK;
  }
  ensurePrivileges();
  // Everything below is for root alone, also what programs write without thinking of it.
  process.umask(0o077);
  const progress = new Progress((line) => void process.stdout.write(`${line}\n`));
  const ending = endOnSignals();
  const dir = runDirOf(options.name ?? meshNameFor(source));
  const left = await claim(dir);
  if (left !== undefined) {
    const { processes, namespaces } = left;
    progress.say(
      `cleaned up after a killed mesh: ${processes} processes, ${namespaces} namespaces`,
    );
  }
  try {
    // The tour edits the YAML; a checkout must stay as it was.
    const directory = options.tour ? copyForTour(source, dir) : source;
    const log = textLog(options.logLevel);
    const deps = { dir, directory, installation, log, onFindings: sayFindings(progress) };
    return await live(new LocalMesh(deps), { options, progress, ending });
  } finally {
    await cleanUp(dir);
    progress.say('everything is removed');
  }
}

interface Life {
  readonly options: UpOptions;
  readonly progress: Progress;
  readonly ending: AbortSignal;
}

async function live(mesh: LocalMesh, { options, progress, ending }: Life): Promise<number> {
  const control = controlServer(mesh.dir, () => mesh.nodes, textLog(options.logLevel));
  try {
    progress.say(`mesh "${mesh.dir.name}" from ${options.directory}`);
    await mesh.start();
    await control.start();
    progress.say(`controller is up, pid ${mesh.controller.program.pid}`);
    if (options.tour) {
      const limit = AbortSignal.any([ending, AbortSignal.timeout(TOUR_START_MS)]);
      await mesh.until(() => (progress.look(mesh), mesh.isSettled), limit);
      const ok = await tour({
        mesh,
        ending,
        print: (line) => void process.stdout.write(`${line}\n`),
      });
      return ok ? EXIT_OK : EXIT_BAD_ANSWER;
    }
    await mesh.until(() => (progress.look(mesh), mesh.isSettled), ending);
    progress.say(readyLine(mesh));
    await mesh.until(() => (progress.look(mesh), false), ending);
    return EXIT_OK;
  } catch (error) {
    if (ending.aborted) return options.tour ? EXIT_BAD_ANSWER : EXIT_OK;
    throw error;
  } finally {
    progress.say('ending');
    await control.stop();
    await mesh.stop();
  }
}

function readyLine(mesh: LocalMesh): string {
  // Other commands see this mesh only from inside the user namespace, where there is no PATH to rely on.
  const enter = `nsenter --preserve-credentials -U -m -n -t ${process.pid}`;
  const status = isInUserNamespace()
    ? `${enter} ${thisInstallation().plumb} status`
    : 'plumb status';
  return `all ${mesh.pods.length} pods are ready; see: ${status}; logs in ${mesh.dir.logs}; Ctrl-C ends it`;
}

function sayFindings(progress: Progress): (findings: Findings) => void {
  return ({ problems, warnings }) => {
    for (const problem of problems) progress.say(`problem: ${formatProblem(problem)}`);
    if (problems.length === 0) {
      for (const warning of warnings) progress.say(`warning: ${formatProblem(warning)}`);
    }
    progress.say(
      problems.length === 0
        ? 'the directory is in order and in force'
        : 'the last good state of the directory stays in force',
    );
  };
}

/** Aborts at the first request to end; at the second one the process ends as it is. */
function endOnSignals(): AbortSignal {
  const ending = new AbortController();
  const stop = (): void => {
    if (ending.signal.aborted) process.exit(EXIT_BAD_ANSWER);
    ending.abort(new Error('the mesh was asked to end'));
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, stop);
  return ending.signal;
}

function textLog(level: Level): Logger {
  return createLogger({ format: 'text', level, sink: streamSink(process.stderr) }).log;
}
