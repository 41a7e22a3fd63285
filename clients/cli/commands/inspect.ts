import type { Command } from 'commander';
import { graphql } from '../../typescript/generated/gql.ts';
import type { DescribeDeploymentQuery } from '../../typescript/generated/graphql.ts';
import type { Cli } from '../cli-context.ts';
import { money, table, wholeNumber } from '../output.ts';
import { allNodes } from '../pages.ts';
import { found } from '../refusals.ts';

const Deployments = graphql(`
  query Deployments($after: String) {
    deployments(first: 50, after: $after) {
      nodes {
        path
        wishedReplicas
        status {
          phase
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
  query DescribeDeployment($path: String!, $events: EventFilter, $day: TimeRange!) {
    deployment(by: { path: $path }) {
      id
      path
      version
      generation
      wishedReplicas
      requestsPerSecond
      maxReplicas
      maxSpendPerHour {
        amount
      }
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
      rollout {
        state
        toRevision
        reason
        startedAt
        endedAt
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
        cluster
        address
        restarts
        message
        revision {
          number
        }
      }
      costs(range: $day) {
        total {
          amount
        }
        isEstimate
      }
      decisions(first: 3) {
        kind
        at
        reasons
      }
      allowedActions {
        action
        allowed
        reason
      }
    }
    events(filter: $events, last: 10) {
      events {
        cursor
        at
        type
        severity
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
        revision {
          number
        }
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
    .action((path: string, options: { lines: string }) => logs(cli(), path, wholeNumber('--lines', options.lines)));
}

async function list({ client, output }: Cli): Promise<void> {
  const api = client();
  const rows = await allNodes(async (after) => (await api.request(Deployments, { after })).deployments);
  output.result(rows, () =>
    table(
      ['deployment', 'phase', 'model', 'revision', 'serving', 'per month'],
      rows.map((row) => [
        row.path,
        row.status.phase,
        row.revision?.modelVersion ? `${row.revision.modelVersion.model.path} ${row.revision.modelVersion.number}` : '-',
        String(row.revision?.number ?? '-'),
        `${row.replicas.filter((replica) => replica.state === 'SERVING').length}/${row.wishedReplicas}`,
        money(row.monthlyEstimate.amount),
      ]),
    ),
  );
}

async function describe({ client, output }: Cli, path: string): Promise<void> {
  const answer = await client().request(DescribeDeployment, { path, events: { deployment: path }, day: lastDay() });
  const deployment = found(answer.deployment, 'deployment');
  output.result({ ...deployment, events: answer.events.events }, () => describeText(deployment, answer.events.events));
}

/** The 24 hours up to now. */
function lastDay(): { from: string; to: string } {
  const now = Date.now();
  return { from: new Date(now - 86_400_000).toISOString(), to: new Date(now).toISOString() };
}

type Described = NonNullable<DescribeDeploymentQuery['deployment']>;
type DescribedEvent = DescribeDeploymentQuery['events']['events'][number];

function describeText(deployment: Described, events: readonly DescribedEvent[]): string {
  return [
    ...summary(deployment),
    '',
    'Conditions',
    table(
      ['type', 'status', 'reason', 'message'],
      deployment.status.conditions.map((condition) => [condition.type, condition.status, condition.reason, condition.message]),
    ),
    '',
    'Replicas',
    table(
      ['replica', 'cluster', 'revision', 'state', 'restarts', 'message'],
      deployment.replicas.map((replica) => [
        replica.id,
        replica.cluster ?? '-',
        String(replica.revision?.number ?? '-'),
        replica.state,
        String(replica.restarts),
        replica.message,
      ]),
    ),
    '',
    'Decisions',
    ...deployment.decisions.map(({ at, kind, reasons }) => `  ${at}  ${kind}  ${reasons.join(' ')}`),
    '',
    'Events',
    ...events.map((event) => `  ${event.at}  ${event.type}  ${event.message}`),
    '',
    nextStep(deployment),
  ].join('\n');
}

function summary(deployment: Described): string[] {
  const {
    path,
    status,
    endpoint,
    revision,
    rollout,
    traffic,
    costs,
    monthlyEstimate,
    wishedReplicas,
    requestsPerSecond,
    maxReplicas,
    maxSpendPerHour,
  } = deployment;
  const model = revision?.modelVersion;
  const weights = traffic.weights.map((share) => `revision ${share.revision} ${share.weight} %`).join(', ');
  return [
    `${path}  ${status.phase}`,
    `  endpoint   ${endpoint.url} (${endpoint.protocols.join(', ')})`,
    `  model      ${model ? `${model.model.path} version ${model.number}` : '-'}`,
    `  traffic    ${weights || '-'}`,
    `  rollout    ${rollout ? `to revision ${rollout.toRevision}: ${rollout.state}${rollout.reason ? `, ${rollout.reason}` : ''}` : '-'}`,
    `  replicas   ${wishedReplicas} wished${requestsPerSecond === null ? '' : ` for ${requestsPerSecond} requests per second`}, at most ${maxReplicas}`,
    `  last day   ${money(costs.total.amount)}${costs.isEstimate ? ' (estimate: the newest minutes are open)' : ''}`,
    `  per month  ${money(monthlyEstimate.amount)} (estimate), at most ${money(maxSpendPerHour.amount)} per hour`,
  ];
}

/** The one command that most people want next; what is not allowed is not offered. */
function nextStep({ path, status, revision, allowedActions }: Described): string {
  const may = (action: string) => allowedActions.some((entry) => entry.action === action && entry.allowed);
  if (status.phase === 'READY') return `Next: purser infer ${path} --input FILE.json`;
  if (status.phase === 'HIBERNATED') return `Next: purser scale ${path} --replicas 1`;
  if (status.phase === 'DEGRADED' || status.phase === 'FAILED') {
    const back = may('ROLLBACK') && (revision?.number ?? 1) > 1;
    return `Next: purser logs ${path}${back ? `, or purser rollback ${path}` : ''}`;
  }
  return `Next: purser events --deployment ${path} --follow`;
}

async function logs({ client, output }: Cli, path: string, lines: number): Promise<void> {
  const answer = await client().request(Logs, { path, lines });
  const { replicas } = found(answer.deployment, 'deployment');
  output.result(replicas, () =>
    replicas
      .flatMap((replica) => [
        `== ${replica.id} (revision ${replica.revision?.number ?? '-'})`,
        ...replica.logs.lines.map((line) => `${line.at} ${line.text}`),
      ])
      .join('\n'),
  );
}
