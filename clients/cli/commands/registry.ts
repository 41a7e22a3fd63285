import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { graphql } from '../../typescript/generated/gql.ts';
import type { RegisterModelVersionInput } from '../../typescript/generated/graphql.ts';
import type { Cli } from '../cli-context.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { table } from '../output.ts';
import { parsePath } from '../paths.ts';
import { found, refuse } from '../refusals.ts';

const Models = graphql(`
  query Models($after: String) {
    models(first: 100, after: $after) {
      nodes {
        path
        description
        aliases {
          name
          version {
            number
          }
        }
        versions(first: 1) {
          nodes {
            number
            format
          }
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`);

const Versions = graphql(`
  query Versions($path: String!) {
    model(by: { path: $path }) {
      versions(first: 100) {
        nodes {
          number
          format
          createdAt
          archivedAt
          artifact {
            digest
            sizeBytes
          }
        }
      }
    }
  }
`);

const RegisterModel = graphql(`
  mutation RegisterModel($input: RegisterModelInput!) {
    registerModel(input: $input) {
      model {
        path
      }
      userErrors {
        code
        message
        path
        hint
      }
    }
  }
`);

const RegisterModelVersion = graphql(`
  mutation RegisterModelVersion($input: RegisterModelVersionInput!) {
    registerModelVersion(input: $input) {
      modelVersion {
        number
        artifact {
          digest
        }
        signature {
          inputs {
            name
            datatype
            shape
          }
          outputs {
            name
            datatype
            shape
          }
        }
      }
      userErrors {
        code
        message
        path
        hint
      }
    }
  }
`);

const SetModelAlias = graphql(`
  mutation SetModelAlias($input: SetModelAliasInput!) {
    setModelAlias(input: $input) {
      alias {
        name
        version {
          number
        }
      }
      userErrors {
        code
        message
        path
        hint
      }
    }
  }
`);

interface RegisterOptions {
  readonly onnx?: string;
  readonly command?: string;
  readonly image?: string;
  readonly port?: string;
  readonly healthPath: string;
  readonly protocol: string;
  readonly cpu: string;
  readonly memory: string;
  readonly runId?: string;
  readonly sourceUrl?: string;
}

export function addRegistryCommands(program: Command, cli: () => Cli): void {
  const models = program.command('models').description('list the models, or register one');
  models.command('list', { isDefault: true }).action(() => listModels(cli()));
  models
    .command('register <model>')
    .description('make a model (team/project/name)')
    .option('--description <text>', 'one sentence', '')
    .action((path: string, options: { description: string }) => registerModel(cli(), path, options.description));

  const versions = program.command('versions').description('list the versions of a model, or register one');
  versions.command('list <model>', { isDefault: true }).action((path: string) => listVersions(cli(), path));
  versions
    .command('register <model>')
    .description('register the next version: an ONNX file, a command or an image')
    .option('--onnx <file>', 'ONNX file; uploaded unless the project has it')
    .option('--command <command>', 'command line of a process that serves HTTP on $PORT')
    .option('--image <image>', 'container image')
    .option('--port <port>', 'port that the container listens on')
    .option('--health-path <path>', 'answers 2xx when ready', '/')
    .option('--protocol <protocol>', 'OIP, OPENAI or HTTP', 'HTTP')
    .option('--cpu <milli>', 'thousandths of a CPU per replica', '500')
    .option('--memory <mib>', 'MiB per replica', '512')
    .option('--run-id <id>', 'training run that made it')
    .option('--source-url <url>', 'where its code is')
    .action((path: string, options: RegisterOptions) => registerVersion(cli(), path, options));

  program
    .command('aliases')
    .description('point an alias at a version')
    .command('set <model> <alias> <version>')
    .action((path: string, name: string, version: string) => setAlias(cli(), path, { name, version: Number(version) }));
}

async function listModels({ client, output }: Cli): Promise<void> {
  const api = client();
  const rows = [];
  for (let after: string | null | undefined = null; ; ) {
    const { models } = await api.request(Models, { after });
    rows.push(...models.nodes);
    if (!models.pageInfo.hasNextPage) break;
    after = models.pageInfo.endCursor;
  }
  output.result(rows, () =>
    table(
      ['model', 'latest', 'format', 'aliases'],
      rows.map(({ path, versions, aliases }) => [
        path,
        String(versions.nodes[0]?.number ?? '-'),
        versions.nodes[0]?.format ?? '-',
        aliases.map((alias) => `${alias.name}=${alias.version.number}`).join(' '),
      ]),
    ),
  );
}

async function listVersions({ client, output }: Cli, path: string): Promise<void> {
  const { model } = await client().request(Versions, { path });
  const rows = found(model, 'model').versions.nodes;
  output.result(rows, () =>
    table(
      ['version', 'format', 'created', 'size', 'digest'],
      rows.map((row) => [String(row.number), row.format, row.createdAt, row.artifact ? `${row.artifact.sizeBytes} B` : '-', row.artifact?.digest ?? '-']),
    ),
  );
}

async function registerModel({ client, output }: Cli, path: string, description: string): Promise<void> {
  const { projectPath, name } = parsePath(path);
  const { registerModel: payload } = await client().request(RegisterModel, {
    input: { project: { path: projectPath }, name, description },
  });
  refuse(payload.userErrors);
  output.result(payload.model, () => `Registered ${path}. Next: purser versions register ${path} --onnx FILE.onnx`);
}

async function registerVersion({ client, output }: Cli, path: string, options: RegisterOptions): Promise<void> {
  const api = client();
  const { projectPath } = parsePath(path);
  const bytes = options.onnx ? readFileSync(options.onnx) : null;
  const digest = bytes ? `sha256:${createHash('sha256').update(bytes).digest('hex')}` : null;
  if (bytes && digest) await api.uploadArtifact(projectPath, digest, bytes);
  const input: RegisterModelVersionInput = {
    model: { path },
    ...runtimeOf(options, digest),
    resources: { cpuMilli: Number(options.cpu), memoryMib: Number(options.memory) },
    ...(options.runId || options.sourceUrl ? { lineage: { runId: options.runId, sourceUrl: options.sourceUrl } } : {}),
  };
  const { registerModelVersion: payload } = await api.request(RegisterModelVersion, { input });
  refuse(payload.userErrors);
  output.result(payload.modelVersion, () => `Registered ${path} version ${payload.modelVersion?.number ?? '?'}.`);
}

function runtimeOf(options: RegisterOptions, digest: string | null): Pick<RegisterModelVersionInput, 'artifactDigest' | 'container' | 'process'> {
  const shape = { healthPath: options.healthPath, protocol: options.protocol as 'HTTP' };
  if (digest) return { artifactDigest: digest };
  if (options.image) return { container: { ...shape, image: options.image, port: Number(options.port ?? 8080) } };
  if (options.command) return { process: { ...shape, command: options.command.split(' '), port: Number(options.port ?? 8080) } };
  throw new CommandFailure('Give one of --onnx, --command or --image.', EXIT.USAGE);
}

async function setAlias({ client, output }: Cli, path: string, alias: { name: string; version: number }): Promise<void> {
  const { setModelAlias: payload } = await client().request(SetModelAlias, { input: { model: { path }, ...alias } });
  refuse(payload.userErrors);
  output.result(payload.alias, () => `${path}@${alias.name} is version ${alias.version}.`);
}
