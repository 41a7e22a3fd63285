import { Command, CommanderError } from 'commander';
import { PurserRefusal, PurserUnavailable } from '../typescript/errors.ts';
import { PurserClient } from '../typescript/purser-client.ts';
import type { Cli, CommandGroup, Surroundings } from './cli-context.ts';
import { resolveContext } from './contexts.ts';
import { CommandFailure, EXIT, exitCodesText, type ExitCode } from './exit-codes.ts';
import { makeOutput } from './output.ts';
import { ownVersion } from './version.ts';

interface LazyGroup {
  readonly names: readonly string[];
  readonly load: () => Promise<CommandGroup>;
}

/** Only the group that a command line needs is loaded, so that the first output comes quickly. */
const GROUPS: readonly LazyGroup[] = [
  {
    names: ['login', 'logout', 'context', 'whoami'],
    load: async () => (await import('./commands/context.ts')).addContextCommands,
  },
  { names: ['models', 'versions', 'aliases'], load: async () => (await import('./commands/registry.ts')).addRegistryCommands },
  { names: ['deploy', 'plan'], load: async () => (await import('./commands/deploy.ts')).addDeployCommand },
  {
    names: ['rollback', 'scale', 'traffic', 'delete'],
    load: async () => (await import('./commands/change.ts')).addChangeCommands,
  },
  { names: ['get', 'describe', 'logs'], load: async () => (await import('./commands/inspect.ts')).addInspectCommands },
  { names: ['why'], load: async () => (await import('./commands/why.ts')).addWhyCommand },
  { names: ['infer'], load: async () => (await import('./commands/infer.ts')).addInferCommand },
  { names: ['costs'], load: async () => (await import('./commands/costs.ts')).addCostsCommand },
  { names: ['events'], load: async () => (await import('./commands/events.ts')).addEventsCommand },
  { names: ['clusters', 'cluster'], load: async () => (await import('./commands/clusters.ts')).addClusterCommands },
  { names: ['clouds'], load: async () => (await import('./commands/clouds.ts')).addCloudCommands },
  { names: ['prices'], load: async () => (await import('./commands/prices.ts')).addPriceCommands },
  {
    names: ['teams', 'projects', 'principals', 'tokens'],
    load: async () => (await import('./commands/identity.ts')).addIdentityCommands,
  },
];

const PROCESS_HELP = `
Processes (run on a server):
  up             start everything on this machine and keep it running (npm start)
  serve          the control plane
  router         the router
  runtime        the local runtime
  operator       keeps the objects of a cluster in step with the API
  extender       tells a cluster's scheduler what its nodes cost
  migrate        bring the database up to date and stop
  new-token      print a token for a file that you keep yourself
  simulate       try policies on recorded markets (purser simulate spot --help)

Signed in by, in this order: --context NAME, PURSER_URL with PURSER_TOKEN, the current context, the installation in
PURSER_DATA_DIR.
Exit codes: purser help exit-codes
`;

/** Runs one command line; the answer is the exit code. */
export async function runCli(args: readonly string[], surroundings: Surroundings = ownProcess()): Promise<ExitCode> {
  if (args[0] === 'help' && args[1] === 'exit-codes') {
    surroundings.write(`${exitCodesText()}\n`);
    return EXIT.OK;
  }
  const program = programOf(surroundings);
  for (const add of await groupsFor(args)) add(program, () => makeCli(program, surroundings));
  try {
    await program.parseAsync([...args], { from: 'user' });
    return EXIT.OK;
  } catch (error) {
    return report(error, surroundings);
  }
}

const programOf = ({ write, writeError }: Surroundings): Command =>
  new Command('purser')
    .description('Models that you host: deploy, route, meter, account.')
    .version(ownVersion(), '-V, --version', 'print the version')
    .option('--json', 'print one JSON document (one per line for streams)')
    .option('--context <name>', 'use this context instead of the current one')
    .addHelpText('after', PROCESS_HELP)
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('(add --help for the arguments)')
    .configureOutput({ writeOut: write, writeErr: writeError })
    .exitOverride();

async function groupsFor(args: readonly string[]): Promise<CommandGroup[]> {
  const command = commandOf(args);
  const group = GROUPS.find(({ names }) => command !== undefined && names.includes(command));
  const wanted = group ? [group] : GROUPS;
  return Promise.all(wanted.map(({ load }) => load()));
}

/** The first word that is neither an option nor an option's value: a team may be called like a command. */
const commandOf = (args: readonly string[]): string | undefined =>
  args.find((arg, index) => !arg.startsWith('-') && args[index - 1] !== '--context');

interface GlobalOptions {
  readonly json?: boolean;
  readonly context?: string;
}

function makeCli(program: Command, { env, write, writeError, stopped }: Surroundings): Cli {
  const { json = false, context } = program.opts<GlobalOptions>();
  return {
    env,
    stopped,
    output: makeOutput(json, write, writeError),
    client: () => new PurserClient(resolveContext(env, context)),
  };
}

function report(error: unknown, { writeError }: Surroundings): ExitCode {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.OK : EXIT.USAGE;
  const known = error instanceof CommandFailure || error instanceof PurserRefusal || error instanceof PurserUnavailable;
  writeError(`${known ? error.message : ((error as Error).stack ?? String(error))}\n`);
  return known ? exitCodeOf(error) : EXIT.FAILED;
}

function exitCodeOf(error: CommandFailure | PurserRefusal | PurserUnavailable): ExitCode {
  if (error instanceof CommandFailure) return error.exitCode;
  if (error instanceof PurserUnavailable) return EXIT.UNAVAILABLE;
  return error.code === 'UNAUTHENTICATED' ? EXIT.UNAUTHENTICATED : EXIT.REFUSED;
}

function ownProcess(): Surroundings {
  return {
    env: process.env,
    write: (text) => void process.stdout.write(text),
    writeError: (text) => void process.stderr.write(text),
    stopped: () => {
      const stop = new AbortController();
      process.once('SIGINT', () => stop.abort());
      process.once('SIGTERM', () => stop.abort());
      return stop.signal;
    },
  };
}
