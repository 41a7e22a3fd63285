import type { Command } from 'commander';
import { PurserClient } from '../../typescript/purser-client.ts';
import { graphql } from '../../typescript/generated/gql.ts';
import type { Cli } from '../cli-context.ts';
import { readContexts, writeContexts } from '../contexts.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { readInput, table } from '../output.ts';

const WhoAmI = graphql(`
  query WhoAmI {
    viewer {
      principal {
        id
        name
        kind
      }
      grants {
        role
        scope
      }
      actions
    }
  }
`);

export function addContextCommands(program: Command, cli: () => Cli): void {
  program
    .command('login')
    .description('check a token and keep it as a context')
    .requiredOption('--url <url>', 'base URL of the API')
    .requiredOption('--token-file <file>', 'file that holds the token ("-" for standard input)')
    .option('--name <name>', 'name of the context', 'default')
    .action((options: LoginOptions) => login(cli(), options));
  program
    .command('logout [name]')
    .description('forget a context (default: the current one); its token stays valid')
    .action((name: string | undefined) => logout(cli(), name));

  const context = program.command('context').description('where to speak to');
  context
    .command('list', { isDefault: true })
    .description('list the contexts')
    .action(() => listContexts(cli()));
  context
    .command('use <name>')
    .description('make a context the current one')
    .action((name: string) => useContext(cli(), name));

  program
    .command('whoami')
    .description('who the token belongs to and what it may do')
    .action(() => whoAmI(cli()));
}

interface LoginOptions {
  readonly url: string;
  readonly tokenFile: string;
  readonly name: string;
}

async function login({ env, output }: Cli, options: LoginOptions): Promise<void> {
  if (!URL.canParse(options.url)) throw new CommandFailure(`--url "${options.url}" is no URL.`, EXIT.USAGE);
  const token = readInput(options.tokenFile).trim();
  const { viewer } = await new PurserClient({ url: options.url, token }).request(WhoAmI, {});
  const { contexts } = readContexts(env);
  writeContexts(env, { current: options.name, contexts: { ...contexts, [options.name]: { url: options.url, token } } });
  output.result(
    { context: options.name, principal: viewer.principal.name },
    () => `Signed in as ${viewer.principal.name} (context ${options.name}).`,
  );
}

function logout({ env, output }: Cli, named: string | undefined): void {
  const { current, contexts } = readContexts(env);
  const name = named ?? current;
  if (name === null || !contexts[name]) throw new CommandFailure('No such context. See: purser context list', EXIT.NOT_FOUND);
  const rest = Object.fromEntries(Object.entries(contexts).filter(([other]) => other !== name));
  writeContexts(env, { current: current === name ? null : current, contexts: rest });
  output.result({ context: name }, () => `Forgot ${name}.`);
}

function listContexts({ env, output }: Cli): void {
  const { current, contexts } = readContexts(env);
  const rows = Object.entries(contexts).map(([name, { url }]) => ({ name, url, current: name === current }));
  output.result(rows, () =>
    table(
      ['', 'name', 'url'],
      rows.map((row) => [row.current ? '*' : '', row.name, row.url]),
    ),
  );
}

function useContext({ env, output }: Cli, name: string): void {
  const file = readContexts(env);
  if (!file.contexts[name]) throw new CommandFailure(`No context "${name}". See: purser context list`, EXIT.NOT_FOUND);
  writeContexts(env, { ...file, current: name });
  output.result({ context: name }, () => `Now using ${name}.`);
}

async function whoAmI({ client, output }: Cli): Promise<void> {
  const { viewer } = await client().request(WhoAmI, {});
  output.result(viewer, () =>
    [
      `${viewer.principal.name} (${viewer.principal.kind})`,
      ...viewer.grants.map((grant) => `  ${grant.role} on ${grant.scope}`),
    ].join('\n'),
  );
}
