import { Command, CommanderError } from 'commander';
import { PurserRefusal, PurserUnavailable } from '../typescript/errors.ts';
import { PurserClient } from '../typescript/purser-client.ts';
import type { Cli } from './cli-context.ts';
import { resolveContext } from './contexts.ts';
import { CommandFailure, EXIT, type ExitCode } from './exit-codes.ts';
import { makeOutput } from './output.ts';

type CommandGroup = (program: Command, cli: () => Cli) => void;

/** Only the group that a command line needs is loaded, so that the first output comes quickly. */
const GROUPS: readonly { readonly names: readonly string[]; readonly load: () => Promise<CommandGroup> }[] = [
  { names: ['login', 'context', 'whoami'], load: async () => (await import('./commands/context.ts')).addContextCommands },
  { names: ['models', 'versions', 'aliases'], load: async () => (await import('./commands/registry.ts')).addRegistryCommands },
  { names: ['deploy', 'rollback', 'scale', 'delete'], load: async () => (await import('./commands/deploy.ts')).addDeployCommands },
  { names: ['get', 'describe', 'logs'], load: async () => (await import('./commands/inspect.ts')).addInspectCommands },
  { names: ['infer'], load: async () => (await import('./commands/infer.ts')).addInferCommand },
  { names: ['costs'], load: async () => (await import('./commands/costs.ts')).addCostsCommand },
  { names: ['events'], load: async () => (await import('./commands/events.ts')).addEventsCommand },
  { names: ['tokens', 'teams', 'projects'], load: async () => (await import('./commands/identity.ts')).addIdentityCommands },
];

const PROCESS_HELP = `
Processes (run on a server):
  up             start everything on this machine and keep it running (npm start)
  serve          the control plane
  router         the router
  runtime        the local runtime
  migrate        bring the database up to date and stop

Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 refused, 4 not found, 5 not signed in, 6 no answer, 7 not ready in time.
`;

/** Runs one command line; the answer is the exit code. */
export async function runCli(args: readonly string[]): Promise<ExitCode> {
  const program = new Command('purser')
    .description('Models that you host: deploy, route, meter, account.')
    .option('--json', 'print one JSON document (one per line for streams)')
    .option('--context <name>', 'use this context instead of the current one')
    .addHelpText('after', PROCESS_HELP)
    .showHelpAfterError('(add --help for the arguments)')
    .exitOverride();
  for (const add of await groupsFor(args)) add(program, () => makeCli(program));
  try {
    await program.parseAsync([...args], { from: 'user' });
    return EXIT.OK;
  } catch (error) {
    return report(error);
  }
}

async function groupsFor(args: readonly string[]): Promise<CommandGroup[]> {
  const group = GROUPS.find(({ names }) => args.some((arg) => names.includes(arg)));
  const wanted = group && !args.includes('help') ? [group] : GROUPS;
  return Promise.all(wanted.map(({ load }) => load()));
}

function makeCli(program: Command): Cli {
  const { json = false, context } = program.opts<{ json?: boolean; context?: string }>();
  return {
    env: process.env,
    output: makeOutput(
      json,
      (text) => process.stdout.write(text),
      (text) => process.stderr.write(text),
    ),
    client: () => new PurserClient(resolveContext(process.env, context)),
  };
}

function report(error: unknown): ExitCode {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.OK : EXIT.USAGE;
  const known = error instanceof CommandFailure || error instanceof PurserRefusal || error instanceof PurserUnavailable;
  process.stderr.write(`${known ? error.message : ((error as Error).stack ?? String(error))}\n`);
  if (error instanceof CommandFailure) return error.exitCode;
  if (error instanceof PurserUnavailable) return EXIT.UNAVAILABLE;
  if (error instanceof PurserRefusal) return error.code === 'UNAUTHENTICATED' ? EXIT.UNAUTHENTICATED : EXIT.REFUSED;
  return EXIT.FAILED;
}
