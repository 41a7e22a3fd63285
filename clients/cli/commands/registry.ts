import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import { artifactFile, type ArtifactSource } from '../../typescript/artifact-file.ts';
import type { PurserClient } from '../../typescript/purser-client.ts';
import { graphql } from '../../typescript/generated/gql.ts';
import type { Protocol, RegisterModelVersionInput, ReplicaRateInput } from '../../typescript/generated/graphql.ts';
import type { Cli } from '../cli-context.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { table, unreadable, wholeNumber } from '../output.ts';
import { allNodes } from '../pages.ts';
import { parsePath } from '../paths.ts';
import { found, refuse } from '../refusals.ts';
import { gpuOf, rateOf } from '../wish-options.ts';

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
  query Versions($path: String!, $after: String) {
    model(by: { path: $path }) {
      versions(first: 100, after: $after) {
        nodes {
          id
          number
          format
          createdAt
          archivedAt
          artifact {
            digest
            sizeBytes
          }
          lineage {
            runId
            sourceUrl
          }
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
  }
`);

const RegisterModel = graphql(`
  mutation RegisterModel($input: RegisterModelInput!, $idempotencyKey: String) {
    registerModel(input: $input, idempotencyKey: $idempotencyKey) {
      model {
        path
      }
      userErrors {
        ...Refusal
      }
    }
  }
`);

const RegisterModelVersion = graphql(`
  mutation RegisterModelVersion($input: RegisterModelVersionInput!, $idempotencyKey: String) {
    registerModelVersion(input: $input, idempotencyKey: $idempotencyKey) {
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
        ...Refusal
      }
    }
  }
`);

const SetModelAlias = graphql(`
  mutation SetModelAlias($input: SetModelAliasInput!, $idempotencyKey: String) {
    setModelAlias(input: $input, idempotencyKey: $idempotencyKey) {
      alias {
        name
        version {
          number
        }
      }
      userErrors {
        ...Refusal
      }
    }
  }
`);

const ArchiveModelVersion = graphql(`
  mutation ArchiveModelVersion($input: ArchiveModelVersionInput!, $idempotencyKey: String) {
    archiveModelVersion(input: $input, idempotencyKey: $idempotencyKey) {
      modelVersion {
        number
        archivedAt
      }
      userErrors {
        ...Refusal
      }
    }
  }
`);

const AliasHistory = graphql(`
  query AliasHistory($path: String!) {
    model(by: { path: $path }) {
      aliases {
        name
        version {
          number
        }
        history {
          validFrom
          version {
            number
          }
        }
      }
    }
  }
`);

interface RegisterOptions {
  readonly onnx?: string;
  readonly command?: string;
  readonly image?: string;
  readonly port: string;
  readonly healthPath: string;
  readonly protocol: string;
  readonly cpu: string;
  readonly memory: string;
  readonly gpu?: string;
  readonly carries?: string[];
  readonly runId?: string;
  readonly sourceUrl?: string;
}

export function addRegistryCommands(program: Command, cli: () => Cli): void {
  const models = program.command('models').description('list the models, or register one');
  models
    .command('list', { isDefault: true })
    .description('list the models')
    .action(() => listModels(cli()));
  models
    .command('register <model>')
    .description('make a model (team/project/name)')
    .option('--description <text>', 'one sentence', '')
    .action((path: string, options: { description: string }) => registerModel(cli(), path, options.description));

  const versions = program.command('versions').description('list the versions of a model, or register one');
  versions
    .command('list <model>', { isDefault: true })
    .description('list the versions, newest first')
    .action((path: string) => listVersions(cli(), path));
  versions
    .command('register <model>')
    .description('register the next version: an ONNX file, a command or an image')
    .option('--onnx <file>', 'ONNX file; uploaded unless the project has it')
    .option('--command <command>', 'command line of a process that serves HTTP on $PORT')
    .option('--image <image>', 'container image')
    .option('--port <port>', 'port that it listens on', '8080')
    .option('--health-path <path>', 'answers 2xx when ready', '/')
    .option('--protocol <protocol>', 'OIP, OPENAI or HTTP', 'HTTP')
    .option('--cpu <milli>', 'thousandths of a CPU per replica', '500')
    .option('--memory <mib>', 'MiB per replica', '512')
    .option('--gpu <model>', 'MODEL[:GIB] per replica, such as T4 or any:8 for whatever GPU has 8 GiB')
    .option('--carries <rates...>', 'requests per second of one replica: 3.5 without an accelerator, L4=40 on one')
    .option('--run-id <id>', 'training run that made it')
    .option('--source-url <url>', 'where its code is')
    .action((path: string, options: RegisterOptions) => registerVersion(cli(), path, options));

  versions
    .command('archive <model> <version>')
    .description('take a version out of use; what serves it goes on')
    .action((path: string, version: string) => archiveVersion(cli(), path, wholeNumber('version', version)));

  const aliases = program.command('aliases').description('what the aliases of a model point at, and did');
  aliases
    .command('list <model>', { isDefault: true })
    .description('with the history')
    .action((path: string) => listAliases(cli(), path));
  aliases
    .command('set <model> <alias> <version>')
    .description('point an alias at a version')
    .action((path: string, name: string, version: string) =>
      setAlias(cli(), path, { name, version: wholeNumber('version', version) }),
    );
}

async function listModels({ client, output }: Cli): Promise<void> {
  const api = client();
  const rows = await allNodes(async (after) => (await api.request(Models, { after })).models);
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
  const rows = await versionsOf(client(), path);
  output.result(rows, () =>
    table(
      ['version', 'format', 'created', 'size', 'digest'],
      rows.map((row) => [
        String(row.number),
        row.format,
        row.createdAt,
        row.artifact ? `${row.artifact.sizeBytes} B` : '-',
        row.artifact?.digest ?? '-',
      ]),
    ),
  );
}

const versionsOf = (api: PurserClient, path: string) =>
  allNodes(async (after) => found((await api.request(Versions, { path, after })).model, 'model').versions);

async function registerModel({ client, output }: Cli, path: string, description: string): Promise<void> {
  const { projectPath, name } = parsePath(path);
  const input = { project: { path: projectPath }, name, description };
  const { registerModel: payload } = await client().request(RegisterModel, { input, idempotencyKey: randomUUID() });
  refuse(payload.userErrors);
  output.result(payload.model, () => `Registered ${path}. Next: purser versions register ${path} --onnx FILE.onnx`);
}

const resourcesOf = ({ cpu, memory, gpu }: RegisterOptions): RegisterModelVersionInput['resources'] => ({
  ...{ cpuMilli: wholeNumber('--cpu', cpu), memoryMib: wholeNumber('--memory', memory) },
  ...(gpu === undefined ? {} : { accelerator: gpuOf(gpu) }),
});

/** `3.5`, or `L4=40`. */
function carriedOf(text: string): ReplicaRateInput {
  const [rate = '', accelerator] = text.split('=').reverse();
  const requestsPerSecond = rateOf('--carries', rate);
  return accelerator === undefined ? { requestsPerSecond } : { accelerator, requestsPerSecond };
}

async function registerVersion({ client, output }: Cli, path: string, options: RegisterOptions): Promise<void> {
  const { projectPath } = parsePath(path);
  const artifact = options.onnx ? await readArtifact(options.onnx) : null;
  const input: RegisterModelVersionInput = {
    model: { path },
    ...runtimeOf(options, artifact),
    resources: resourcesOf(options),
    ...(options.carries ? { carries: options.carries.map(carriedOf) } : {}),
    ...(options.runId || options.sourceUrl
      ? { lineage: { runId: options.runId ?? null, sourceUrl: options.sourceUrl ?? null } }
      : {}),
  };
  const api = client();
  if (artifact) await api.uploadArtifact(projectPath, artifact);
  const { registerModelVersion: payload } = await api.request(RegisterModelVersion, { input, idempotencyKey: randomUUID() });
  refuse(payload.userErrors);
  const { name } = parsePath(path);
  output.result(
    payload.modelVersion,
    () =>
      `Registered ${path} version ${payload.modelVersion?.number ?? '?'}. Next: purser deploy ${projectPath}/${name} --model ${name} --plan`,
  );
}

const readArtifact = (file: string): Promise<ArtifactSource> =>
  artifactFile(file).catch((error: unknown) => {
    throw unreadable(file, error);
  });

const PROTOCOLS: readonly Protocol[] = ['HTTP', 'OIP', 'OPENAI'];

function runtimeOf(
  options: RegisterOptions,
  artifact: ArtifactSource | null,
): Pick<RegisterModelVersionInput, 'artifactDigest' | 'container' | 'process'> {
  if (artifact) return { artifactDigest: artifact.digest };
  const protocol = PROTOCOLS.find((name) => name === options.protocol.toUpperCase());
  if (!protocol) throw new CommandFailure(`--protocol must be one of ${PROTOCOLS.join(', ')}.`, EXIT.USAGE);
  const shape = { healthPath: options.healthPath, protocol, port: wholeNumber('--port', options.port) };
  if (options.image) return { container: { ...shape, image: options.image } };
  if (options.command) return { process: { ...shape, command: options.command.split(' ') } };
  throw new CommandFailure('Give one of --onnx, --command or --image.', EXIT.USAGE);
}

async function archiveVersion({ client, output }: Cli, path: string, number: number): Promise<void> {
  const api = client();
  const modelVersion = await versionId(api, path, number);
  const { archiveModelVersion: payload } = await api.request(ArchiveModelVersion, {
    input: { modelVersion },
    idempotencyKey: randomUUID(),
  });
  refuse(payload.userErrors);
  output.result(payload.modelVersion, () => `Archived ${path} version ${number}.`);
}

async function versionId(api: PurserClient, path: string, number: number): Promise<string> {
  const version = (await versionsOf(api, path)).find((candidate) => candidate.number === number);
  return found(version, 'version').id;
}

async function listAliases({ client, output }: Cli, path: string): Promise<void> {
  const { model } = await client().request(AliasHistory, { path });
  const { aliases } = found(model, 'model');
  output.result(aliases, () =>
    table(
      ['alias', 'version', 'since'],
      aliases.flatMap(({ name, history }) =>
        history.map((change) => [name, String(change.version?.number ?? '-'), change.validFrom]),
      ),
    ),
  );
}

async function setAlias({ client, output }: Cli, path: string, alias: { name: string; version: number }): Promise<void> {
  const input = { model: { path }, ...alias };
  const { setModelAlias: payload } = await client().request(SetModelAlias, { input, idempotencyKey: randomUUID() });
  refuse(payload.userErrors);
  output.result(payload.alias, () => `${path}@${alias.name} is version ${alias.version}.`);
}
