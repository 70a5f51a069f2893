/** Starts the node agent: flags in, signals handled, exit code out. */
import { mkdirSync } from 'node:fs';
import { Command, Option } from 'commander';
import { MeshError } from '#common/errors.ts';
import { createLogger, streamSink } from '#common/log.ts';
import { productVersion } from '#common/version.ts';
import { Agent } from './agent.ts';
import { readConfig, type AgentFlags } from './config.ts';

const EXIT_FAILED = 1;
const EXIT_CONFIG = 64;

const program = new Command('node-agent')
  .description('Leads the traffic of this node’s pods through the mesh.')
  .version(productVersion())
  .option('--node <name>', 'name of this node')
  .option('--controller <url>', 'wss:// address of the controller')
  .option('--controller-ca <file>', 'root certificates of the controller, PEM')
  .option('--token-file <file>', 'token that binds this agent to its node')
  .option(
    '--netns-dir <dir>',
    'one file per pod: its network namespace, named by the uid of the pod',
  )
  .addOption(
    new Option('--netns-layout <layout>', 'uid: as above; node: named as a container runtime does')
      .choices(['uid', 'node'])
      .default('uid'),
  )
  .option('--cni-bin-dir <dir>', 'where the runtime of this node looks for CNI plugins')
  .option('--cni-conf-dir <dir>', 'where it looks for the configuration of networks')
  .option('--ready-file <file>', 'touched each second while the agent is ready')
  .option('--state-dir <dir>', 'keeps the last state of the mesh')
  .option('--run-dir <dir>', 'memory file system for keys and sockets')
  .option(
    '--resolv-conf <file>',
    'resolvers for what captured pods ask and the mesh does not know',
    '/etc/resolv.conf',
  )
  .option('--workers <n>', 'data workers, one per core granted', '1')
  .option(
    '--drain <duration>',
    'how long connections may go on when the agent or a pod leaves',
    '5s',
  )
  .option(
    '--takeover-timeout <duration>',
    'how long a predecessor may take for a step of the hand-over',
    '10s',
  )
  .option('--trust-domain <name>', 'trust domain of the identities', 'cluster.local')
  .option('--log-level <level>', 'debug, info, warn or error', 'info')
  .option('--log-format <format>', 'json or text', 'json')
  .option('--access-log <format>', 'json, text or off', 'json')
  .addOption(
    new Option('--test-hooks', 'the admin port can end data workers; for fault tests').hideHelp(),
  );

async function main(): Promise<void> {
  program.parse();
  const config = readConfig(program.opts<AgentFlags>());
  process.umask(0o077);
  mkdirSync(config.runDir, { recursive: true, mode: 0o700 });
  const sink = streamSink(process.stdout);
  const options = { level: config.logLevel, sink };
  const { log, control } = createLogger({ ...options, format: config.logFormat });
  const agent = new Agent({
    config,
    version: productVersion(),
    log: log.with({ node: config.node }),
    logControl: control,
    writeAccess: sink.writeMany,
    logLinesDropped: sink.dropped,
    onReplaced: () => process.exit(0),
  });
  const stop = (): void => {
    void agent.stop().then(() => process.exit(0));
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  process.on('unhandledRejection', (error) => {
    log.error('unhandled failure', { error });
    process.exit(EXIT_FAILED);
  });
  await agent.start();
}

try {
  await main();
} catch (error) {
  const isConfig = error instanceof MeshError && error.code === 'CONFIG_INVALID';
  process.stderr.write(`node-agent: ${error instanceof Error ? error.message : String(error)}\n`);
  if (error instanceof Error && error.cause instanceof Error) {
    process.stderr.write(`  because: ${error.cause.message}\n`);
  }
  process.exit(isConfig ? EXIT_CONFIG : EXIT_FAILED);
}
