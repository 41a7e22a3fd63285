import { Arg, Ctx, FieldResolver, Int, Query, Resolver, Root } from 'type-graphql';
import { DecisionType, toDecisionType } from '../decisions/decision.type.ts';
import type { DecisionsService } from '../decisions/decisions.service.ts';
import { DEFAULT_PAGE, decodeCursor, toConnection } from '../graphql/connection.type.ts';
import type { ApiContext } from '../graphql/context.ts';
import { idOfType, NOWHERE } from '../graphql/global-id.ts';
import { MoneyType, toMoney } from '../graphql/money.type.ts';
import type { NodeSource } from '../graphql/node.type.ts';
import { numberCursor, pageSize } from '../graphql/page.ts';
import { projectRef } from '../identity/identity.resolver.ts';
import type { Id } from '../kernel/id.ts';
import { versionLoader } from '../registry/model.loader.ts';
import { ModelType, ModelVersionType, toModelVersionType } from '../registry/model.type.ts';
import type { ModelsService } from '../registry/models.service.ts';
import { allowedActions } from './allowed-actions.ts';
import type { ClusterPort } from './cluster.port.ts';
import { deploymentPath, type Deployment } from './deployment.ts';
import { DeploymentBy, DeploymentFilter } from './deployment.input.ts';
import {
  clusterNameLoader,
  decisionsOfLoader,
  deploymentLoader,
  deploymentsOfModelLoader,
  deploymentsOfVersionLoader,
  hourlyLoader,
  replicaLoader,
  replicasLoader,
  revisionLoader,
  revisionsLoader,
  rolloutsLoader,
} from './deployment.loader.ts';
import type { DeploymentRef } from './deployment-store.port.ts';
import {
  AllowedActionType,
  DeploymentConnection,
  DeploymentType,
  EndpointType,
  LogPageType,
  ReplicaType,
  RevisionConnection,
  RevisionType,
  RolloutType,
  toDeploymentType,
  toReplicaType,
  toRevisionType,
  toRolloutType,
  TrafficType,
} from './deployment.type.ts';
import type { DeploymentsService } from './deployments.service.ts';
import { HOURS_PER_MONTH } from './plan.ts';
import type { Revision } from './revision.ts';
import { effectiveWeights } from './rollout.ts';

/** Lines of one answer. Higher: large answers; lower: many calls to read a stack trace. */
const MAX_LINES = 1_000;

export function deploymentRef(by: DeploymentBy): DeploymentRef {
  if (!by.path) return { id: idOfType('Deployment', by.id ?? '') ?? NOWHERE };
  const [teamName = '', projectName = '', name = '', ...rest] = by.path.split('/');
  return rest.length > 0 ? { id: NOWHERE } : { teamName, projectName, name };
}

export interface DeploymentReads {
  readonly deployments: DeploymentsService;
  readonly decisions: DecisionsService;
  /** Base URL of the router, without a slash at the end. */
  readonly routerUrl: string;
}

@Resolver(() => DeploymentType)
export class DeploymentResolver {
  readonly #reads: DeploymentReads;
  readonly #service: DeploymentsService;

  constructor(reads: DeploymentReads) {
    this.#reads = reads;
    this.#service = reads.deployments;
  }

  @Query(() => DeploymentType, { nullable: true, description: 'One deployment.' })
  async deployment(
    @Ctx() context: ApiContext,
    @Arg('by', () => DeploymentBy, { description: 'Which.' }) by: DeploymentBy,
  ): Promise<DeploymentType | null> {
    const deployment = await this.#service.deployment(await context.read(), context.principal, deploymentRef(by));
    return deployment && toDeploymentType(deployment);
  }

  @Query(() => DeploymentConnection, { description: 'The deployments that you may see, by path.' })
  async deployments(
    @Ctx() context: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE, description: 'At most 100.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'Cursor to go on behind.' }) after?: string | null,
    @Arg('filter', () => DeploymentFilter, { nullable: true, description: 'Which; all when left out.' })
    filter?: DeploymentFilter | null,
  ) {
    const page = await this.#service.deployments(await context.read(), context.principal, {
      project: filter?.project ? projectRef(filter.project) : null,
      phases: filter?.phases ?? null,
      nameContains: filter?.nameContains ?? null,
      after: decodeCursor(after),
      first: pageSize(first),
    });
    return toConnection({ ...page, totalCount: null }, toDeploymentType, deploymentPath);
  }

  @FieldResolver(() => EndpointType, { description: 'Where requests go.' })
  async endpoint(@Root() { row }: DeploymentType, @Ctx() context: ApiContext): Promise<EndpointType> {
    const revisions = await revisionsLoader(context, this.#service).load(row.id);
    const served = revisions.filter(({ number }) => row.spec.traffic.some(({ revision }) => revision === number));
    return {
      url: `${this.#reads.routerUrl}/${deploymentPath(row)}`,
      protocols: [...new Set(served.map(({ spec }) => spec.protocol))],
    };
  }

  @FieldResolver(() => RevisionType, { nullable: true, description: 'The revision with the largest share of the wish.' })
  async revision(@Root() { row }: DeploymentType, @Ctx() context: ApiContext): Promise<RevisionType | null> {
    const heaviest = [...row.spec.traffic].sort((a, b) => b.weight - a.weight)[0];
    const revisions = await revisionsLoader(context, this.#service).load(row.id);
    const found = revisions.find(({ number }) => number === heaviest?.revision);
    return found ? toRevisionType(found) : null;
  }

  @FieldResolver(() => RevisionConnection, { description: 'Everything it ever ran, newest first.' })
  async revisions(
    @Root() { row }: DeploymentType,
    @Ctx() context: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE, description: 'At most 100.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'Cursor to go on behind.' }) after?: string | null,
  ) {
    const limit = pageSize(first);
    const below = numberCursor(after) ?? Number.MAX_SAFE_INTEGER;
    const rows = (await revisionsLoader(context, this.#service).load(row.id)).filter(({ number }) => number < below).reverse();
    const page = { items: rows.slice(0, limit), hasNextPage: rows.length > limit, totalCount: null };
    return toConnection(page, toRevisionType, ({ number }: Revision) => String(number));
  }

  @FieldResolver(() => TrafficType, { description: 'How requests are shared now.' })
  async traffic(@Root() { row }: DeploymentType, @Ctx() context: ApiContext): Promise<TrafficType> {
    const [rollout = null] = await rolloutsLoader(context, this.#service).load(row.id);
    return { weights: effectiveWeights(row.spec.traffic, rollout) };
  }

  @FieldResolver(() => RolloutType, { nullable: true, description: 'The rollout under way, else the last one.' })
  async rollout(@Root() { row }: DeploymentType, @Ctx() context: ApiContext): Promise<RolloutType | null> {
    const [rollout] = await rolloutsLoader(context, this.#service).load(row.id);
    return rollout ? toRolloutType(rollout) : null;
  }

  @FieldResolver(() => [ReplicaType], {
    description: 'Those that hold their slot, oldest first; at most as many as maxReplicas allows.',
  })
  async replicas(@Root() { row }: DeploymentType, @Ctx() context: ApiContext): Promise<ReplicaType[]> {
    return (await replicasLoader(context, this.#service).load(row.id)).map(toReplicaType);
  }

  @FieldResolver(() => MoneyType, { description: 'What it costs per month of 730 hours as it is wished now, an estimate.' })
  async monthlyEstimate(@Root() { row }: DeploymentType, @Ctx() context: ApiContext): Promise<MoneyType> {
    return toMoney((await hourlyLoader(context, this.#service).load(row.id)) * HOURS_PER_MONTH);
  }

  @FieldResolver(() => [DecisionType], { description: 'The newest decisions about it, newest first.' })
  async decisions(
    @Root() { row }: DeploymentType,
    @Ctx() context: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE, description: 'At most 100; older ones are in the query `decisions`.' })
    first: number,
  ): Promise<DecisionType[]> {
    const rows = await decisionsOfLoader(context, this.#reads.decisions, pageSize(first)).load(row.id);
    return rows.map(toDecisionType);
  }

  @FieldResolver(() => [AllowedActionType], { description: 'What you may do with it now, and why not the rest.' })
  async allowedActions(@Root() { row }: DeploymentType, @Ctx() context: ApiContext): Promise<AllowedActionType[]> {
    const [rollout = null] = await rolloutsLoader(context, this.#service).load(row.id);
    const revisions = (await revisionsLoader(context, this.#service).load(row.id)).length;
    const mayWrite = this.#service.mayWrite(context.principal, row);
    return allowedActions({ deployment: row, revisions, rollout, manager: null, mayWrite });
  }
}

@Resolver(() => RevisionType)
export class RevisionResolver {
  readonly #models: ModelsService;

  constructor(models: ModelsService) {
    this.#models = models;
  }

  @FieldResolver(() => ModelVersionType, { nullable: true, description: 'The model version that it runs.' })
  async modelVersion(@Root() { row }: RevisionType, @Ctx() context: ApiContext): Promise<ModelVersionType | null> {
    const version = await versionLoader(context, this.#models).load(row.modelVersionId);
    return version && toModelVersionType(version);
  }
}

@Resolver(() => ReplicaType)
export class ReplicaResolver {
  readonly #service: DeploymentsService;
  readonly #clusterOf: (clusterId: Id) => ClusterPort | null;

  constructor(service: DeploymentsService, clusterOf: (clusterId: Id) => ClusterPort | null) {
    this.#service = service;
    this.#clusterOf = clusterOf;
  }

  @FieldResolver(() => RevisionType, { nullable: true, description: 'What it runs.' })
  async revision(@Root() { row }: ReplicaType, @Ctx() context: ApiContext): Promise<RevisionType | null> {
    const revision = await revisionLoader(context, this.#service).load(row.revisionId);
    return revision && toRevisionType(revision);
  }

  @FieldResolver(() => String, { nullable: true, description: 'Name of the cluster that it runs on.' })
  cluster(@Root() { row }: ReplicaType, @Ctx() context: ApiContext): Promise<string | null> {
    return clusterNameLoader(context, this.#service).load(row.clusterId);
  }

  @FieldResolver(() => LogPageType, { description: 'What it wrote; empty for those who may not read logs.' })
  async logs(
    @Root() { row }: ReplicaType,
    @Ctx() context: ApiContext,
    @Arg('limit', () => Int, { defaultValue: 100, description: 'At most 1,000 lines.' }) limit: number,
    @Arg('cursor', () => String, { nullable: true, description: 'Of an earlier page; without it the newest lines.' })
    cursor?: string | null,
  ): Promise<LogPageType> {
    const replica = await this.#service.replicaForLogs(await context.read(), context.principal, row.id);
    const cluster = replica && this.#clusterOf(replica.clusterId);
    if (!cluster) return { lines: [], cursor: cursor ?? '' };
    return cluster.logs(row.id, { cursor: cursor ?? null, limit: Math.min(Math.max(limit, 1), MAX_LINES) });
  }
}

@Resolver(() => ModelType)
export class ModelDeploymentsResolver {
  readonly #service: DeploymentsService;

  constructor(service: DeploymentsService) {
    this.#service = service;
  }

  @FieldResolver(() => DeploymentConnection, { description: 'The deployments that run a version of it now, by path.' })
  async deployments(
    @Root() model: ModelType,
    @Ctx() context: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE, description: 'At most 100.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'Cursor to go on behind.' }) after?: string | null,
  ) {
    return pageByPath(await deploymentsOfModelLoader(context, this.#service).load(model.row.id), first, after);
  }
}

@Resolver(() => ModelVersionType)
export class ModelVersionDeploymentsResolver {
  readonly #service: DeploymentsService;

  constructor(service: DeploymentsService) {
    this.#service = service;
  }

  @FieldResolver(() => DeploymentConnection, { description: 'The deployments that run it now, by path.' })
  async deployments(
    @Root() version: ModelVersionType,
    @Ctx() context: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE, description: 'At most 100.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'Cursor to go on behind.' }) after?: string | null,
  ) {
    return pageByPath(await deploymentsOfVersionLoader(context, this.#service).load(version.row.id), first, after);
  }
}

/** A page of rows that one statement read for all parents of a level. */
function pageByPath(rows: readonly Deployment[], first: number, after: string | null | undefined) {
  const limit = pageSize(first);
  const behind = decodeCursor(after) ?? '';
  const rest = rows
    .map((row) => ({ row, path: deploymentPath(row) }))
    .filter(({ path }) => path > behind)
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  const items = rest.slice(0, limit).map(({ row }) => row);
  return toConnection({ items, hasNextPage: rest.length > limit, totalCount: rows.length }, toDeploymentType, deploymentPath);
}

/** How `node(id)` finds deployments, their revisions and replicas. */
export const deploymentNodes = (service: DeploymentsService): NodeSource[] => [
  {
    typeName: 'Deployment',
    load: async (context, id) => {
      const row = await deploymentLoader(context, service).load(id);
      return row && toDeploymentType(row);
    },
  },
  {
    typeName: 'Revision',
    load: async (context, id) => {
      const row = await revisionLoader(context, service).load(id);
      return row && service.mayRead(context.principal, row) ? toRevisionType(row) : null;
    },
  },
  {
    typeName: 'Replica',
    load: async (context, id) => {
      const row = await replicaLoader(context, service).load(id);
      return row && service.mayRead(context.principal, row) ? toReplicaType(row) : null;
    },
  },
];
