/** The command line of Plumbline: words in, the right command, answer and exit code out. */
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { productVersion } from '#common/version.ts';
import { replaceAgent } from './commands/agent.ts';
import { caStatus, rotate } from './commands/ca.ts';
import { dump, KINDS } from './commands/dump.ts';
import type { Kind } from './commands/dump.ts';
import { explain } from './commands/explain.ts';
import { setLogLevel, showLog } from './commands/log.ts';
import { MeshClient } from './commands/mesh-client.ts';
import { FORMATS } from './commands/output.ts';
import type { Format } from './commands/output.ts';
import { status } from './commands/status.ts';
import type { Answer } from './commands/status.ts';
import { version } from './commands/version.ts';
import { EXIT_BAD_INPUT, exitCodeOf } from './exit-codes.ts';
import { up } from './up/up.ts';

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
type Level = (typeof LEVELS)[number];

interface Shared {
  readonly mesh?: string;
  readonly output: Format;
}

const program = new Command('plumb')
  .description('Runs, shows and explains a Plumbline mesh.')
  .version(productVersion(), '-V, --version', 'that of plumb alone')
  .exitOverride()
  .showHelpAfterError('(plumb help COMMAND tells more)');

program
  .command('up')
  .argument('<directory>', 'YAML that describes nodes, pods, services and policies')
  .description('run the mesh of a directory on this machine; edits apply live, Ctrl-C removes it')
  .option('--name <name>', 'name of the mesh; by default that of the directory')
  .option('--check', 'check the directory and start nothing', false)
  .addOption(
    new Option('--tour', 'run the demonstration of examples/shop and end')
      .default(false)
      .conflicts('check'),
  )
  .addOption(
    new Option('--log-level <level>', 'what is said on stderr').choices(LEVELS).default('warn'),
  )
  .action(
    async (
      directory: string,
      flags: { name?: string; check: boolean; tour: boolean; logLevel: Level },
    ) => {
      process.exitCode = await up({ directory, name: undefined, ...flags });
    },
  );

asking(program.command('status'), 'agents, versions, and the proof of capture of every pod').action(
  async ({ mesh, output }: Shared) => say(await status(new MeshClient(mesh), output)),
);

asking(program.command('dump'), 'what the controller, or the agent of a node, holds')
  .addArgument(new Argument('<kind>', 'what to show').choices(KINDS))
  .option('--node <node>', 'ask the agent of this node')
  .option('-n, --namespace <namespace>', 'only of this namespace')
  .action(async (kind: Kind, flags: Shared & { node?: string; namespace?: string }) => {
    const { mesh, output: format, node, namespace } = flags;
    process.stdout.write(await dump(new MeshClient(mesh), { kind, node, namespace, format }));
  });

asking(program.command('explain'), 'what becomes of a connection, and why')
  .argument('<source>', 'a pod: NAMESPACE/POD, or POD where that is enough')
  .argument('<destination>', 'HOST:PORT or IP:PORT, as a program in that pod would say it')
  .action(async (source: string, destination: string, { mesh, output }: Shared) => {
    say(await explain(new MeshClient(mesh), { source, destination }, output));
  });

program
  .command('log')
  .description('the last lines of the access logs, or of a program or pod')
  .argument('[target]', 'controller, agent/NODE, NAMESPACE/POD or NAMESPACE/POD/CONTAINER')
  .option('--mesh <name>', 'which mesh, when several run')
  .option('-f, --follow', 'go on as lines come', false)
  .option('--lines <n>', 'how many lines to begin with', count, 20)
  .option('--node <node>', 'with --level: only the agent of this node')
  .addOption(new Option('--level <level>', 'set the log level of agents instead').choices(LEVELS))
  .action(async (target: string | undefined, flags: LogFlags) => {
    const client = new MeshClient(flags.mesh);
    if (flags.level !== undefined) return setLogLevel(client, flags.node, flags.level);
    const print = (text: string): void => void process.stdout.write(text);
    return showLog(client, { target, lines: flags.lines, follow: flags.follow, print });
  });

interface LogFlags {
  readonly mesh?: string;
  readonly follow: boolean;
  readonly lines: number;
  readonly node?: string;
  readonly level?: Level;
}

const ca = program.command('ca').description('the root certificates of the mesh');
asking(ca.command('status'), 'the roots, and how far a rotation has come').action(
  async ({ mesh, output }: Shared) => say(await caStatus(new MeshClient(mesh), output)),
);
asking(ca.command('rotate'), 'replace the root while traffic goes on')
  .option('--no-wait', 'start it and do not wait for its end')
  .option('--timeout <seconds>', 'how long to wait', count, 180)
  .action(async (flags: Shared & { wait: boolean; timeout: number }) => {
    const { mesh, output: format, wait, timeout } = flags;
    const print = (line: string): void => void process.stdout.write(`${line}\n`);
    const options = { wait, timeoutMs: timeout * 1000, format, print };
    say(await rotate(new MeshClient(mesh), options));
  });

const agent = program.command('agent').description('the node agents of the mesh');
asking(agent.command('replace'), 'start a successor that takes over, connections included')
  .argument('[node]', 'only the agent of this node; without, of all, one after the other')
  .action(async (node: string | undefined, { mesh, output }: Shared) =>
    say(await replaceAgent(new MeshClient(mesh), node, output)),
  );

asking(program.command('version'), 'of plumb and of the programs of a running mesh').action(
  async ({ mesh, output }: Shared) => void process.stdout.write(await version(mesh, output)),
);

function asking(command: Command, about: string): Command {
  return command
    .description(about)
    .option('--mesh <name>', 'which mesh, when several run')
    .addOption(
      new Option('-o, --output <format>', 'form of the answer').choices(FORMATS).default('table'),
    );
}

function say({ text, exitCode }: Answer): void {
  process.stdout.write(text);
  process.exitCode = exitCode;
}

function count(value: string): number {
  if (!/^\d{1,6}$/.test(value)) throw new InvalidArgumentError('expected a whole number');
  return Number(value);
}

// Whoever reads has read enough (`plumb log | head`): the end, but no failure. A mesh goes on.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  if (program.args[0] !== 'up') process.exit();
});

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : EXIT_BAD_INPUT;
  } else {
    process.stderr.write(`plumb: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = exitCodeOf(error);
  }
}
