import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import { graphql } from '../../typescript/generated/gql.ts';
import type { Cli } from '../cli-context.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { wholeNumber } from '../output.ts';
import { refuse } from '../refusals.ts';

const Rollback = graphql(`
  mutation Rollback($input: RollbackInput!, $idempotencyKey: String) {
    rollback(input: $input, idempotencyKey: $idempotencyKey) {
      deployment {
        path
        generation
      }
      decision {
        reasons
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

const Scale = graphql(`
  mutation Scale($input: ScaleDeploymentInput!, $idempotencyKey: String) {
    scaleDeployment(input: $input, idempotencyKey: $idempotencyKey) {
      deployment {
        path
        generation
      }
      decision {
        reasons
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

const SetTraffic = graphql(`
  mutation SetTraffic($input: SetTrafficInput!, $idempotencyKey: String) {
    setTraffic(input: $input, idempotencyKey: $idempotencyKey) {
      deployment {
        path
        generation
      }
      decision {
        reasons
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

const Delete = graphql(`
  mutation DeleteDeployment($input: DeleteDeploymentInput!, $idempotencyKey: String) {
    deleteDeployment(input: $input, idempotencyKey: $idempotencyKey) {
      deletedId
      deployment {
        path
        generation
      }
      decision {
        reasons
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

export function addChangeCommands(program: Command, cli: () => Cli): void {
  program
    .command('rollback <deployment>')
    .description('roll an earlier revision out again')
    .option('--to <revision>', 'revision number (default: the one before)')
    .action((path: string, options: { to?: string }) => rollback(cli(), path, options.to));
  program
    .command('scale <deployment>')
    .description('change the number of replicas')
    .requiredOption('--replicas <n>', 'replicas')
    .action((path: string, options: { replicas: string }) => scale(cli(), path, wholeNumber('--replicas', options.replicas)));
  program
    .command('traffic <deployment> <weights...>')
    .description('share traffic among revisions: 3=90 4=10')
    .action((path: string, weights: string[]) => setTraffic(cli(), path, weights));
  program
    .command('delete <deployment>')
    .description('drain it and give everything up; its history and costs stay')
    .action((path: string) => remove(cli(), path));
}

interface Payload {
  readonly deployment?: { readonly path: string; readonly generation: number } | null;
  readonly decision?: { readonly reasons: readonly string[] } | null;
  readonly userErrors: Parameters<typeof refuse>[0];
}

async function rollback({ client, output }: Cli, path: string, to: string | undefined): Promise<void> {
  const revision = to === undefined ? {} : { revision: wholeNumber('--to', to) };
  const answer = await client().request(Rollback, { input: { deployment: { path }, ...revision }, idempotencyKey: randomUUID() });
  show(output, answer.rollback, `${path} is going back. Next: purser describe ${path}`);
}

async function scale({ client, output }: Cli, path: string, replicas: number): Promise<void> {
  const answer = await client().request(Scale, { input: { deployment: { path }, replicas }, idempotencyKey: randomUUID() });
  show(output, answer.scaleDeployment, `${path} is going to ${replicas} replicas. Next: purser describe ${path}`);
}

async function setTraffic({ client, output }: Cli, path: string, texts: readonly string[]): Promise<void> {
  const weights = texts.map(parseWeight);
  const answer = await client().request(SetTraffic, { input: { deployment: { path }, weights }, idempotencyKey: randomUUID() });
  show(output, answer.setTraffic, `${path} shares its traffic anew. Next: purser describe ${path}`);
}

function parseWeight(text: string): { revision: number; weight: number } {
  const match = /^(\d{1,6})=(\d{1,3})$/.exec(text);
  if (!match) throw new CommandFailure(`"${text}" must be REVISION=PERCENT, for example 3=90.`, EXIT.USAGE);
  return { revision: Number(match[1]), weight: Number(match[2]) };
}

async function remove({ client, output }: Cli, path: string): Promise<void> {
  const answer = await client().request(Delete, { input: { deployment: { path } }, idempotencyKey: randomUUID() });
  show(output, answer.deleteDeployment, `${path} is being deleted; its costs stay.`);
}

function show(output: Cli['output'], payload: Payload, done: string): void {
  refuse(payload.userErrors);
  const { deployment, decision } = payload;
  output.result({ ...deployment, reasons: decision?.reasons ?? [] }, () =>
    [...(decision?.reasons ?? []).map((reason) => `- ${reason}`), done].join('\n'),
  );
}
