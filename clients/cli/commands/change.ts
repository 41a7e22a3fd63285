import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import { graphql } from '../../typescript/generated/gql.ts';
import type { Cli } from '../cli-context.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { wholeNumber } from '../output.ts';
import { costLine, peakLine, type CostOfPlan } from '../plans.ts';
import { found, refuse } from '../refusals.ts';

const Rollback = graphql(`
  mutation Rollback($input: RollbackInput!, $dryRun: Boolean!, $planHash: String, $idempotencyKey: String) {
    rollback(input: $input, dryRun: $dryRun, planHash: $planHash, idempotencyKey: $idempotencyKey) {
      deployment {
        path
        generation
      }
      decision {
        reasons
      }
      plan {
        ...PlanOfChange
      }
      userErrors {
        ...Refusal
      }
    }
  }
`);

const Scale = graphql(`
  mutation Scale($input: ScaleDeploymentInput!, $dryRun: Boolean!, $planHash: String, $idempotencyKey: String) {
    scaleDeployment(input: $input, dryRun: $dryRun, planHash: $planHash, idempotencyKey: $idempotencyKey) {
      deployment {
        path
        generation
      }
      decision {
        reasons
      }
      plan {
        ...PlanOfChange
      }
      userErrors {
        ...Refusal
      }
    }
  }
`);

const SetTraffic = graphql(`
  mutation SetTraffic($input: SetTrafficInput!, $dryRun: Boolean!, $planHash: String, $idempotencyKey: String) {
    setTraffic(input: $input, dryRun: $dryRun, planHash: $planHash, idempotencyKey: $idempotencyKey) {
      deployment {
        path
        generation
      }
      decision {
        reasons
      }
      plan {
        ...PlanOfChange
      }
      userErrors {
        ...Refusal
      }
    }
  }
`);

const Delete = graphql(`
  mutation DeleteDeployment($input: DeleteDeploymentInput!, $dryRun: Boolean!, $planHash: String, $idempotencyKey: String) {
    deleteDeployment(input: $input, dryRun: $dryRun, planHash: $planHash, idempotencyKey: $idempotencyKey) {
      deletedId
      deployment {
        path
        generation
      }
      decision {
        reasons
      }
      plan {
        ...PlanOfChange
      }
      userErrors {
        ...Refusal
      }
    }
  }
`);

interface PlanOptions {
  readonly plan?: boolean;
  readonly planHash?: string;
}

export function addChangeCommands(program: Command, cli: () => Cli): void {
  planned(program.command('rollback <deployment>'))
    .description('roll an earlier revision out again')
    .option('--to <revision>', 'revision number (default: the one before)')
    .action((path: string, options: PlanOptions & { to?: string }) => rollback(cli(), path, options));
  planned(program.command('scale <deployment>'))
    .description('change the number of replicas')
    .requiredOption('--replicas <n>', 'replicas; 0 hibernates it')
    .action((path: string, options: PlanOptions & { replicas: string }) => scale(cli(), path, options));
  planned(program.command('traffic <deployment> <weights...>'))
    .description('share traffic among revisions: 3=90 4=10')
    .action((path: string, weights: string[], options: PlanOptions) => setTraffic(cli(), path, weights, options));
  planned(program.command('delete <deployment>'))
    .description('drain it and give everything up; its history and costs stay')
    .action((path: string, options: PlanOptions) => remove(cli(), path, options));
}

const planned = (command: Command): Command =>
  command
    .option('--plan', 'show the priced plan and change nothing')
    .option('--plan-hash <hash>', 'run exactly this plan, or nothing');

const howOf = ({ plan = false, planHash = null }: { plan?: boolean; planHash?: string | null }) => ({
  dryRun: plan,
  planHash,
  idempotencyKey: plan ? null : randomUUID(),
});

async function rollback({ client, output }: Cli, path: string, options: PlanOptions & { to?: string }): Promise<void> {
  const revision = options.to === undefined ? {} : { revision: wholeNumber('--to', options.to) };
  const answer = await client().request(Rollback, { input: { deployment: { path }, ...revision }, ...howOf(options) });
  show(output, answer.rollback, `${path} is going back. Next: purser describe ${path}`, options);
}

async function scale({ client, output }: Cli, path: string, options: PlanOptions & { replicas: string }): Promise<void> {
  const replicas = wholeNumber('--replicas', options.replicas);
  const answer = await client().request(Scale, { input: { deployment: { path }, replicas }, ...howOf(options) });
  show(output, answer.scaleDeployment, `${path} is going to ${replicas} replicas. Next: purser describe ${path}`, options);
}

async function setTraffic({ client, output }: Cli, path: string, texts: readonly string[], options: PlanOptions): Promise<void> {
  const weights = texts.map(parseWeight);
  const answer = await client().request(SetTraffic, { input: { deployment: { path }, weights }, ...howOf(options) });
  show(output, answer.setTraffic, `${path} shares its traffic anew. Next: purser describe ${path}`, options);
}

function parseWeight(text: string): { revision: number; weight: number } {
  const match = /^(\d{1,6})=(\d{1,3})$/.exec(text);
  if (!match) throw new CommandFailure(`"${text}" must be REVISION=PERCENT, for example 3=90.`, EXIT.USAGE);
  return { revision: Number(match[1]), weight: Number(match[2]) };
}

async function remove({ client, output }: Cli, path: string, options: PlanOptions): Promise<void> {
  const answer = await client().request(Delete, { input: { deployment: { path } }, ...howOf(options) });
  show(output, answer.deleteDeployment, `${path} is being deleted; its costs stay.`, options);
}

interface Payload {
  readonly deployment?: { readonly path: string; readonly generation: number } | null;
  readonly decision?: { readonly reasons: readonly string[] } | null;
  readonly plan?: ShownPlan | null;
  readonly userErrors: Parameters<typeof refuse>[0];
}

interface ShownPlan extends CostOfPlan {
  readonly hash: string;
  readonly expiresAt?: string | null;
  readonly peakReplicas: number;
  readonly risks: readonly string[];
  readonly actions: readonly { readonly message: string }[];
}

function show(output: Cli['output'], payload: Payload, done: string, options: PlanOptions): void {
  refuse(payload.userErrors);
  const { deployment, decision, plan } = payload;
  if (options.plan) {
    const shown = found(plan, 'plan');
    output.result(shown, () => planText(shown));
    return;
  }
  output.result({ ...deployment, reasons: decision?.reasons ?? [] }, () =>
    [...(decision?.reasons ?? []).map((reason) => `- ${reason}`), done].join('\n'),
  );
}

const planText = (plan: ShownPlan): string =>
  [
    ...plan.actions.map(({ message }) => `- ${message}`),
    ...plan.risks.map((risk) => `Risk: ${risk}`),
    costLine(plan),
    peakLine(plan),
    `Next: the same command with --plan-hash ${plan.hash} instead of --plan`,
  ].join('\n');
