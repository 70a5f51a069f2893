/** Starts the controller: flags in, signals handled, exit code out. */
import { Command } from 'commander';
import { MeshError } from '#common/errors.ts';
import { createLogger, streamSink } from '#common/log.ts';
import { productVersion } from '#common/version.ts';
import { readConfig, type ControllerFlags } from './config.ts';
import { Controller } from './controller.ts';
import { formatProblem } from '#common/control/desired.ts';
import { loadDirectory } from './kube/directory-load.ts';

const EXIT_FAILED = 1;
const EXIT_PROBLEMS = 2;
const EXIT_CONFIG = 64;

const collect = (value: string, before: readonly string[] = []): string[] => [...before, value];

const program = new Command('controller')
  .description('Works out the mesh, tells each agent its part, signs certificates.')
  .version(productVersion())
  .option('--source <kind>', 'directory, or kubernetes: an API server', 'directory')
  .option('--kubeconfig <file>', 'how to reach the API server; by default as a pod of the cluster')
  .option('--namespace <name>', 'where the mesh itself lives in the cluster', 'plumbline-system')
  .option('--replica <name>', 'which of the controllers this is: the name of its pod')
  .option('--directory <dir>', 'YAML from which the mesh is made; watched')
  .option('--check', 'check the directory, print what is wrong with it, and exit')
  .option('--state-dir <dir>', 'keeps the CA and what must survive a restart')
  .option('--run-dir <dir>', 'holds the Unix socket controller.sock')
  .option('--listen <ip:port>', 'where agents connect; may be given several times', collect)
  .option('--tokens <file>', 'lines "<node> <token>", readable by its owner alone')
  .option('--trust-domain <name>', 'trust domain of the identities', 'cluster.local')
  .option('--cluster <name>', 'name of this cluster', 'Kubernetes')
  .option('--metrics <ip:port>', 'where Prometheus may scrape')
  .option('--api <ip:port>', 'where queries are answered over TLS, by a token of the cluster')
  .option('--leaf-life <duration>', 'life of workload certificates', '24h')
  .option(
    '--rotation-settle <duration>',
    'wait between the steps of a root rotation, for handshakes that have begun',
    '12s',
  )
  .option('--log-level <level>', 'debug, info, warn or error', 'info')
  .option('--log-format <format>', 'json or text', 'json');

async function check(directory: string): Promise<number> {
  const { problems, warnings, objects } = await loadDirectory(directory);
  for (const problem of problems) process.stdout.write(`${formatProblem(problem)}\n`);
  if (problems.length > 0) return EXIT_PROBLEMS;
  if (objects.length === 0) {
    process.stdout.write(`${directory}: no objects; expected YAML files\n`);
    return EXIT_PROBLEMS;
  }
  for (const warning of warnings) process.stdout.write(`warning: ${formatProblem(warning)}\n`);
  process.stdout.write(`${objects.length} objects, nothing wrong\n`);
  return 0;
}

async function main(): Promise<void> {
  program.parse();
  const flags = program.opts<ControllerFlags & { readonly check?: true }>();
  if (flags.check === true) {
    process.exitCode = await check(String(flags['directory'] ?? '.'));
    return;
  }
  const config = readConfig(flags);
  process.umask(0o077);
  const sink = streamSink(process.stdout);
  const { log } = createLogger({ level: config.logLevel, format: config.logFormat, sink });
  const controller = new Controller({ config, version: productVersion(), log });
  const stop = (): void => {
    void controller.stop().then(
      () => process.exit(0),
      () => process.exit(EXIT_FAILED),
    );
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  await controller.start();
}

try {
  await main();
} catch (error) {
  const isConfig = error instanceof MeshError && error.code === 'CONFIG_INVALID';
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(isConfig ? EXIT_CONFIG : EXIT_FAILED);
}
