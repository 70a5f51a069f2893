/** Starts a waypoint: flags in, signals handled, exit code out. */
import { Command } from 'commander';
import { MeshError } from '#common/errors.ts';
import { createLogger, streamSink } from '#common/log.ts';
import { productVersion } from '#common/version.ts';
import { readConfig, type WaypointFlags } from './config.ts';
import { Waypoint } from './waypoint.ts';

const EXIT_FAILED = 1;
const EXIT_CONFIG = 64;

const program = new Command('waypoint')
  .description('Carries HTTP requests by their content.')
  .version(productVersion())
  .option(
    '--listen <address:port>',
    'takes clients that connect by themselves; again for more',
    (one: string, before: readonly string[]) => [...before, one],
    [],
  )
  .option('--link <name>', 'links with the agent of the node: @NAME/in/N and @NAME/out')
  .option('--agent-uid <uid>', 'who must be at the other end of a link', '0')
  .option('--routes <file>', 'which request goes where, JSON; read again at SIGHUP')
  .option('--workers <n>', 'worker threads, one per core granted', '1')
  .option('--drain <duration>', 'how long connections may go on at the end', '5s')
  .option('--admin-port <port>', 'admin on loopback; 0 for none', '15000')
  .option('--metrics-port <port>', 'metrics and readiness on all addresses; 0 for none', '15020')
  .option('--log-level <level>', 'debug, info, warn or error', 'info')
  .option('--log-format <format>', 'json or text', 'json');

async function main(): Promise<void> {
  program.parse();
  const config = readConfig(program.opts<WaypointFlags>());
  const sink = streamSink(process.stdout);
  const { log } = createLogger({ level: config.logLevel, sink, format: config.logFormat });
  const waypoint = new Waypoint({
    config,
    log,
    onFailure: () => process.exit(EXIT_FAILED),
  });
  const stop = (): void => {
    void waypoint.stop().then(() => process.exit(0));
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  process.on('SIGHUP', () => waypoint.readRoutes());
  process.on('unhandledRejection', (error) => {
    log.error('unhandled failure', { error });
    process.exit(EXIT_FAILED);
  });
  await waypoint.start();
}

try {
  await main();
} catch (error) {
  const isConfig = error instanceof MeshError && error.code === 'CONFIG_INVALID';
  process.stderr.write(`waypoint: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(isConfig ? EXIT_CONFIG : EXIT_FAILED);
}
