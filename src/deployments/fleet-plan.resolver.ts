import { Arg, Ctx, Extensions, Field, Int, ObjectType, Query, Resolver } from 'type-graphql';
import type { ApiContext } from '../graphql/context.ts';
import { priced } from '../graphql/cost.ts';
import { MoneyType, toMoney } from '../graphql/money.type.ts';
import { ProjectBy } from '../identity/identity.input.ts';
import { projectRef } from '../identity/identity.resolver.ts';
import type { IdentityService } from '../identity/identity.service.ts';
import type { FleetPlanService, JointPlan } from './fleet-plan.service.ts';

@ObjectType('FleetMachines', { description: 'Machines of one kind.' })
export class FleetMachinesType {
  @Field(() => String, { description: 'The offering, as one line; with `@zone` where replicas are spread.' })
  offering!: string;

  @Field(() => Int, { description: 'How many.' })
  count!: number;
}

@ObjectType('FleetSeats', { description: 'Replicas of a deployment on one kind of machine.' })
export class FleetSeatsType {
  @Field(() => String, { description: '`team/project/deployment`.' })
  deployment!: string;

  @Field(() => String, { description: 'The offering.' })
  offering!: string;

  @Field(() => Int, { description: 'How many replicas.' })
  replicas!: number;
}

@ObjectType('FleetUnplaced', { description: 'Replicas that find no place.' })
export class FleetUnplacedType {
  @Field(() => String, { description: '`team/project/deployment`.' })
  deployment!: string;

  @Field(() => Int, { description: 'How many replicas.' })
  replicas!: number;

  @Field(() => String, { description: 'NO_OFFERING_FITS, ON_DEMAND_OR_SPREAD, LIMITS or BUDGET.' })
  reason!: string;
}

@ObjectType('FleetPlan', { description: 'What deployments would come to if all were placed anew together, machines shared.' })
export class FleetPlanType {
  @Field(() => [FleetMachinesType], { description: 'Machines by offering.' })
  machines!: readonly FleetMachinesType[];

  @Field(() => [FleetSeatsType], { description: 'Who sits where.' })
  seats!: readonly FleetSeatsType[];

  @Field(() => [FleetUnplacedType], { description: 'Who finds no place, and why.' })
  unplaced!: readonly FleetUnplacedType[];

  @Field(() => MoneyType, { description: 'All machines, per hour.' })
  hourly!: MoneyType;

  @Field(() => MoneyType, { description: 'The same deployments as they are, per hour: each replica on a machine of its own.' })
  hourlyNow!: MoneyType;

  @Field(() => MoneyType, {
    nullable: true,
    description:
      'No plan that seats everybody is cheaper among those that were compared: on the best 20 offerings of each deployment, machines divided by halves or given to one deployment alone. Null = nobody proved it.',
  })
  lowerBound!: MoneyType | null;

  @Field(() => String, { description: 'greedy or exact.' })
  method!: string;

  @Field(() => String, { nullable: true, description: 'What kept the plan from being better; null = it is what was asked for.' })
  shortOf!: string | null;
}

@Resolver()
export class FleetPlanResolver {
  readonly #service: FleetPlanService;
  readonly #identity: Pick<IdentityService, 'project'>;

  constructor(service: FleetPlanService, identity: Pick<IdentityService, 'project'>) {
    [this.#service, this.#identity] = [service, identity];
  }

  @Query(() => FleetPlanType, {
    nullable: true,
    description: 'A joint plan over deployments, the first 100 by path; changes nothing. Null if there is no such project.',
  })
  @Extensions(priced({ points: 250, when: { argument: 'exact', points: 1_000 } }))
  async fleetPlan(
    @Ctx() context: ApiContext,
    @Arg('exact', () => Boolean, { defaultValue: false, description: 'Better and bound it by a solver; takes up to a second.' })
    exact: boolean,
    @Arg('project', () => ProjectBy, { nullable: true, description: 'Of this project; default: all that one may read.' })
    by?: ProjectBy | null,
  ): Promise<FleetPlanType | null> {
    const tx = await context.read();
    const project = by ? await this.#identity.project(tx, context.principal, projectRef(by)) : null;
    if (by && !project) return null;
    return toFleetPlanType(await this.#service.plan(tx, context.principal, { projectId: project?.id ?? null, exact }));
  }
}

const toFleetPlanType = ({ plan, hourlyNow, shortOf }: JointPlan): FleetPlanType => ({
  machines: plan.machines,
  seats: plan.seats.map(({ demand, offering, replicas }) => ({ deployment: demand, offering, replicas })),
  unplaced: plan.unplaced.map(({ demand, replicas, reason }) => ({ deployment: demand, replicas, reason })),
  hourly: toMoney(plan.costPerHour),
  hourlyNow: toMoney(hourlyNow),
  lowerBound: plan.lowerBoundPerHour === null ? null : toMoney(plan.lowerBoundPerHour),
  method: plan.method,
  shortOf,
});
