/** Starts the node agent: flags in, signals handled, exit code out. */
import { chmodSync, mkdirSync } from 'node:fs';
import { Command, Option } from 'commander';
import { MeshError } from '#common/errors.ts';
import { createLogger, type Logger, streamSink } from '#common/log.ts';
import { productVersion } from '#common/version.ts';
import { Agent } from './agent.ts';
import { ApiServer, inCluster } from './cluster/api-server.ts';
import { OwnDaemonSet } from './cluster/own-daemonset.ts';
import { type AgentConfig, type AgentFlags, readConfig, readRemovalConfig } from './config.ts';
import { removeMesh } from './remove.ts';
import { successorGone } from './successor.ts';

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
  .option(
    '--proc-dir <dir>',
    'with --netns-layout node: find pods by processes too, where the runtime pins no namespaces',
  )
  .option('--cni-bin-dir <dir>', 'where the runtime of this node looks for CNI plugins')
  .option('--cni-conf-dir <dir>', 'where it looks for the configuration of networks')
  .option('--ready-file <file>', 'touched each second while the agent is ready')
  .option(
    '--daemonset <namespace/name>',
    'DaemonSet of this agent: when it is taken away, everything of the mesh leaves the node',
  )
  .option('--remove', 'take everything of the mesh off this node, where no agent runs, and end')
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
  const flags = program.opts<AgentFlags>();
  process.umask(0o077);
  if (flags.remove === true) {
    const text = { format: 'text', level: 'info', sink: streamSink(process.stdout) } as const;
    await removeMesh(readRemovalConfig(flags), createLogger(text).log);
    return;
  }
  const config = readConfig(flags);
  mkdirSync(config.runDir, { recursive: true, mode: 0o700 });
  // A kubelet that made it let others look in: what crosses its sockets are keys.
  chmodSync(config.runDir, 0o700);
  const sink = streamSink(process.stdout);
  const options = { level: config.logLevel, sink };
  const { log, control } = createLogger({ ...options, format: config.logFormat });
  const daemonSet = ownDaemonSet(config, log);
  daemonSet?.start();
  const agent = new Agent({
    config,
    version: productVersion(),
    log: log.with({ node: config.node }),
    logControl: control,
    writeAccess: sink.writeMany,
    logLinesDropped: sink.dropped,
    onReplaced: async () => {
      // Whoever started this agent as a pod would start it again, and it would take over in turn.
      if (config.readyFile !== '') await successorGone(config.runDir);
      process.exit(0);
    },
    isLeaving: async () => daemonSet?.isLeaving() ?? false,
  });
  const end = (): void => {
    agent.end().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error('node agent could not end as it should', { error });
        process.exit(EXIT_FAILED);
      },
    );
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  process.on('unhandledRejection', (error) => {
    log.error('unhandled failure', { error });
    process.exit(EXIT_FAILED);
  });
  await agent.start();
}

function ownDaemonSet({ daemonSet }: AgentConfig, log: Logger): OwnDaemonSet | undefined {
  if (daemonSet === undefined) return undefined;
  const options = inCluster(process.env);
  if (options === undefined) {
    const message = 'Cannot watch the DaemonSet of --daemonset: not in a pod of a cluster';
    throw new MeshError('CONFIG_INVALID', message);
  }
  return new OwnDaemonSet({ ...daemonSet, api: new ApiServer(options), log });
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
