import { graphql } from '../typescript/generated/gql.ts';
import type { FleetPlanQuery } from '../typescript/generated/graphql.ts';
import type { Cli } from './cli-context.ts';
import { money, table } from './output.ts';
import { found } from './refusals.ts';

const FleetPlan = graphql(`
  query FleetPlan($project: ProjectBy, $exact: Boolean!) {
    fleetPlan(project: $project, exact: $exact) {
      machines {
        offering
        count
      }
      seats {
        deployment
        offering
        replicas
      }
      unplaced {
        deployment
        replicas
        reason
      }
      hourly {
        amount
      }
      hourlyNow {
        amount
      }
      lowerBound {
        amount
      }
      method
      shortOf
    }
  }
`);

export interface JointOptions {
  /** True = everything; else a project. */
  readonly all?: boolean | string;
  readonly exact?: boolean;
}

/** What everything that runs would come to if it were placed anew, together. */
export async function showJointPlan(cli: Cli, { all, exact = false }: JointOptions): Promise<void> {
  const project = typeof all === 'string' ? { path: all } : null;
  const { fleetPlan } = await cli.client().request(FleetPlan, { project, exact });
  const plan = found(fleetPlan, 'project');
  cli.output.result(plan, () => textOf(plan));
}

function textOf({
  machines,
  seats,
  unplaced,
  hourly,
  hourlyNow,
  lowerBound,
  method,
  shortOf,
}: NonNullable<FleetPlanQuery['fleetPlan']>): string {
  return [
    table(
      ['machines', 'offering'],
      machines.map(({ count, offering }) => [String(count), offering]),
    ),
    '',
    table(
      ['deployment', 'replicas', 'on'],
      seats.map(({ deployment, replicas, offering }) => [deployment, String(replicas), offering]),
    ),
    ...unplaced.map(({ deployment, replicas, reason }) => `${deployment}: no place for ${replicas} replicas (${reason}).`),
    '',
    `Together ${money(hourly.amount)} per hour (${method}); as it is, each replica on a machine of its own, ${money(hourlyNow.amount)}.`,
    ...(lowerBound
      ? [
          `No plan that seats everybody on these offerings, machines shared by halves, costs less than ${money(lowerBound.amount)}.`,
        ]
      : []),
    ...(shortOf === null ? [] : [shortOf]),
  ].join('\n');
}
