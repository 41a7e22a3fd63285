import { Args, ArgsType, Ctx, Field, ID, InputType, Int, Mutation, ObjectType, Resolver, registerEnumType } from 'type-graphql';
import { ClusterType, toClusterType } from '../fleet/cluster.type.ts';
import type { FleetService } from '../fleet/fleet.service.ts';
import type { ApiContext } from '../graphql/context.ts';
import { idOfType, NOWHERE } from '../graphql/global-id.ts';
import { IDEMPOTENCY_KEY } from '../graphql/idempotency-key.ts';
import { PayloadType, toUserErrors } from '../graphql/payload.type.ts';
import { callerOf } from '../identity/identity.resolver.ts';
import { REBUILD_ACTIONS, type RebuildAction, type RebuildActionKind } from './plan-rebuild.ts';
import type { RebuildService } from './rebuild.service.ts';

const RebuildActionKindName = Object.fromEntries(REBUILD_ACTIONS.map((kind) => [kind, kind])) as Record<
  RebuildActionKind,
  RebuildActionKind
>;
registerEnumType(RebuildActionKindName, {
  name: 'RebuildActionKind',
  description: 'What a rebuild does about one workload.',
  valuesConfig: {
    MAKE: { description: 'It is not there.' },
    UPDATE: { description: 'The cluster knows an older wish, or what is there is not as it was told.' },
    KEEP: { description: 'It is as told; it is told again, which changes nothing.' },
    REMOVE: { description: 'Nobody wishes it.' },
    HOLD: { description: 'The database cannot explain it; it is left as it is until `approveRemovals`.' },
  },
});

@ObjectType('RebuildAction', { description: 'What a rebuild does about one workload.' })
export class RebuildActionType {
  @Field(() => RebuildActionKindName, { description: 'What.' })
  kind!: RebuildActionKind;

  @Field(() => String, { description: 'For people.' })
  message!: string;
}

@ObjectType('RebuildClusterPayload', { description: 'What is told to the cluster, unless refused.' })
export class RebuildClusterPayload extends PayloadType {
  @Field(() => ClusterType, { nullable: true, description: 'The cluster.' })
  cluster!: ClusterType | null;

  @Field(() => [RebuildActionType], {
    nullable: true,
    description: 'One per workload; null while the cluster cannot be seen: then it is told everything once it can.',
  })
  actions!: readonly RebuildActionType[] | null;
}

@InputType('RebuildClusterInput', { description: 'Which cluster to bring back.' })
export class RebuildClusterInput {
  @Field(() => ID, { description: 'Global id of the cluster.' })
  cluster!: string;
}

@ArgsType()
class RebuildClusterArgs {
  @Field(() => RebuildClusterInput, { description: 'Which.' })
  input!: RebuildClusterInput;

  @Field(() => Boolean, { defaultValue: false, description: 'Only say what would be told.' })
  dryRun!: boolean;

  @Field(() => String, IDEMPOTENCY_KEY)
  idempotencyKey?: string | null;

  @Field(() => Int, { nullable: true, description: 'Refused if the cluster has changed since.' })
  expectedVersion?: number | null;
}

@Resolver()
export class RebuildResolver {
  readonly #rebuilds: RebuildService;
  readonly #fleet: FleetService;

  constructor(rebuilds: RebuildService, fleet: FleetService) {
    this.#rebuilds = rebuilds;
    this.#fleet = fleet;
  }

  @Mutation(() => RebuildClusterPayload, {
    description: 'Tells a cluster everything that is wished there again, from the database alone; nothing is made twice.',
  })
  async rebuildCluster(
    @Ctx() context: ApiContext,
    @Args(() => RebuildClusterArgs) { input, dryRun, idempotencyKey, expectedVersion = null }: RebuildClusterArgs,
  ): Promise<RebuildClusterPayload> {
    const clusterId = idOfType('Cluster', input.cluster) ?? NOWHERE;
    const outcome = await this.#rebuilds.rebuild(callerOf(context, idempotencyKey), { clusterId, dryRun, expectedVersion });
    await context.changed();
    if (!outcome.ok) return { cluster: null, actions: null, userErrors: toUserErrors([outcome.error]) };
    const cluster = await this.#fleet.cluster(await context.read(), context.principal, { id: clusterId });
    const actions = outcome.value.actions as readonly RebuildAction[] | null;
    return { cluster: cluster && toClusterType(cluster), actions, userErrors: [] };
  }
}
