/** The command line of Plumbline: words in, the right command, exit code out. */
import { Command, CommanderError, Option } from 'commander';

import { EXIT_BAD_INPUT, exitCodeOf } from './exit-codes.ts';
import { up } from './up/up.ts';

const program = new Command('plumb')
  .description('Runs, shows and explains a Plumbline mesh.')
  .exitOverride()
  .showHelpAfterError('(plumb help COMMAND tells more)');

program
  .command('up')
  .argument('<directory>', 'YAML that describes nodes, pods, services and policies')
  .description('run the mesh of a directory on this machine; edits apply live, Ctrl-C removes it')
  .option('--name <name>', 'name of the mesh; by default that of the directory')
  .option('--check', 'check the directory and start nothing', false)
  .option('--tour', 'run the demonstration of examples/shop and end', false)
  .addOption(
    new Option('--log-level <level>', 'what is said on stderr')
      .choices(['debug', 'info', 'warn', 'error'])
      .default('warn'),
  )
  .action(async (directory: string, flags: UpFlags) => {
    process.exitCode = await up({ directory, name: undefined, ...flags });
  });

interface UpFlags {
  readonly name?: string;
  readonly tour: boolean;
  readonly check: boolean;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
}

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
// Something may still hold the process, such as a socket of a program that hangs: it is done.
process.exit();
