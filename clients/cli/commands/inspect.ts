import type { Command } from 'commander';
import { graphql } from '../../typescript/generated/gql.ts';
import type { DescribeDeploymentQuery } from '../../typescript/generated/graphql.ts';
import type { Cli } from '../cli-context.ts';
import { money, table } from '../output.ts';
import { found } from '../refusals.ts';

const Deployments = graphql(`
  query Deployments($after: String) {
    deployments(first: 100, after: $after) {
      nodes {
        path
        phase: status {
          phase
        }
        revision {
          number
        }
        replicas {
          state
        }
        monthlyEstimate {
          amount
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`);

const DescribeDeployment = graphql(`
  query DescribeDeployment($path: String!, $events: EventFilter) {
    deployment(by: { path: $path }) {
      id
      path
      version
      endpoint {
        url
        protocols
      }
      monthlyEstimate {
        amount
      }
      status {
        phase
        observedGeneration
        conditions {
          type
          status
          reason
          message
          lastTransitionTime
        }
      }
      revision {
        number
        modelVersion {
          number
          model {
            path
          }
        }
      }
      traffic {
        weights {
          revision
          weight
        }
      }
      replicas {
        id
        state
        address
        restarts
        message
        revision {
          number
        }
      }
      allowedActions {
        action
        allowed
        reason
      }
    }
    events(filter: $events, last: 10) {
      events {
        at
        type
        message
      }
    }
  }
`);

const Logs = graphql(`
  query Logs($path: String!, $lines: Int!) {
    deployment(by: { path: $path }) {
      replicas {
        id
        logs(limit: $lines) {
          lines {
            at
            stream
            text
          }
        }
      }
    }
  }
`);

export function addInspectCommands(program: Command, cli: () => Cli): void {
  program
    .command('get')
    .description('list the deployments')
    .action(() => list(cli()));
  program
    .command('describe <deployment>')
    .description('all about one deployment (team/project/name)')
    .action((path: string) => describe(cli(), path));
  program
    .command('logs <deployment>')
    .description('the newest lines of every replica')
    .option('--lines <n>', 'lines per replica', '50')
    .action((path: string, options: { lines: string }) => logs(cli(), path, Number(options.lines)));
}

async function list({ client, output }: Cli): Promise<void> {
  const api = client();
  const rows = [];
  for (let after: string | null | undefined = null; ; ) {
    const { deployments } = await api.request(Deployments, { after });
    rows.push(...deployments.nodes);
    if (!deployments.pageInfo.hasNextPage) break;
    after = deployments.pageInfo.endCursor;
  }
  output.result(rows, () =>
    table(
      ['deployment', 'phase', 'revision', 'ready', 'per month'],
      rows.map((row) => [
        row.path,
        row.phase.phase,
        String(row.revision?.number ?? '-'),
        `${row.replicas.filter((replica) => replica.state === 'SERVING').length}/${row.replicas.length}`,
        money(row.monthlyEstimate.amount),
      ]),
    ),
  );
}

async function describe({ client, output }: Cli, path: string): Promise<void> {
  const answer = await client().request(DescribeDeployment, { path, events: { deployment: path } });
  const deployment = found(answer.deployment, 'deployment');
  output.result({ ...deployment, events: answer.events.events }, () => describeText(deployment, answer.events.events));
}

type Described = NonNullable<DescribeDeploymentQuery['deployment']>;
type DescribedEvent = DescribeDeploymentQuery['events']['events'][number];

function describeText(deployment: Described, events: readonly DescribedEvent[]): string {
  const model = deployment.revision?.modelVersion;
  const weights = deployment.traffic.weights.map(({ revision, weight }) => `revision ${revision} ${weight} %`).join(', ');
  return [
    `${deployment.path}  ${deployment.status.phase}`,
    `  endpoint   ${deployment.endpoint.url}`,
    `  model      ${model ? `${model.model.path} version ${model.number}` : '-'}`,
    `  traffic    ${weights || '-'}`,
    `  per month  ${money(deployment.monthlyEstimate.amount)} (estimate)`,
    '',
    'Conditions',
    table(
      ['type', 'status', 'reason', 'message'],
      deployment.status.conditions.map((condition) => [condition.type, condition.status, condition.reason, condition.message]),
    ),
    '',
    'Replicas',
    table(
      ['replica', 'revision', 'state', 'restarts', 'message'],
      deployment.replicas.map((replica) => [replica.id, String(replica.revision.number), replica.state, String(replica.restarts), replica.message]),
    ),
    '',
    'Events',
    ...events.map((event) => `  ${event.at}  ${event.type}  ${event.message}`),
    '',
    nextStep(deployment),
  ].join('\n');
}

/** The one command that most people want next. */
function nextStep({ path, status }: Described): string {
  if (status.phase === 'READY') return `Next: purser infer ${path} --input FILE.json`;
  if (status.phase === 'FAILED' || status.phase === 'DEGRADED') return `Next: purser logs ${path}`;
  return `Next: purser events --deployment ${path} --follow`;
}

async function logs({ client, output }: Cli, path: string, lines: number): Promise<void> {
  const answer = await client().request(Logs, { path, lines });
  const { replicas } = found(answer.deployment, 'deployment');
  output.result(replicas, () =>
    replicas.flatMap((replica) => [`== ${replica.id}`, ...replica.logs.lines.map((line) => `${line.at} ${line.text}`)]).join('\n'),
  );
}
