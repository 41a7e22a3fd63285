import type { Id } from '../kernel/id.ts';
import { DAY_MS, type Instant } from '../kernel/instant.ts';
import { splitByLargestRemainder, type PicoUsdPerHour } from '../kernel/money.ts';
import type {
  RouteCredential,
  RouteDeployment,
  RouteIssuer,
  RouteReplica,
  RouteRevision,
  RouteTable,
} from '../traffic/router-contract/route-table.ts';
import { deploymentPath, type Deployment } from './deployment.ts';
import { isServing } from './observe-replicas.ts';
import type { Replica, Workload } from './replica.ts';
import type { Revision } from './revision.ts';
import { effectiveWeights, type Rollout } from './rollout.ts';

/** A deletion is told to routers for this long. Higher lengthens every table, lower lets a router that was away hold its table. */
export const DELETION_KEPT_MS = DAY_MS;

export interface RouteTableInput {
  /** Those not deleted. */
  readonly deployments: readonly Deployment[];
  readonly deleted: readonly { readonly deploymentId: Id; readonly at: Instant }[];
  readonly revisions: readonly Revision[];
  readonly rollouts: readonly Rollout[];
  /** Those not gone. */
  readonly workloads: readonly Workload[];
  readonly replicas: readonly Replica[];
  readonly rates: ReadonlyMap<Id, PicoUsdPerHour>;
  readonly credentials: readonly RouteCredential[];
  readonly issuers: readonly RouteIssuer[];
}

export type RouteTableContent = Omit<RouteTable, 'version' | 'madeAt'>;

/** Everything that routers need, in an order that depends on nothing but the content, so that equal worlds give equal tables. */
export function makeRouteTable(input: RouteTableInput): RouteTableContent {
  const leaving = new Set(input.workloads.filter(({ removedAt }) => removedAt !== null).map(({ id }) => id));
  const routable = input.replicas.filter(
    (replica) => isServing(replica) && replica.address !== null && !leaving.has(replica.workloadId),
  );
  const index: Index = {
    revisions: Map.groupBy(input.revisions, ({ deploymentId }) => deploymentId),
    rollouts: new Map(input.rollouts.map((rollout) => [rollout.deploymentId, rollout])),
    replicas: Map.groupBy(routable, ({ revisionId }) => revisionId),
    rates: input.rates,
  };
  return {
    deployments: byId(input.deployments, ({ id }) => id).map((deployment) => routeOf(deployment, index)),
    deleted: byId(input.deleted, ({ deploymentId }) => deploymentId),
    credentials: byId(input.credentials, ({ tokenSha256 }) => tokenSha256),
    issuers: byId(input.issuers, ({ issuer }) => issuer),
  };
}

interface Index {
  readonly revisions: ReadonlyMap<Id, readonly Revision[]>;
  readonly rollouts: ReadonlyMap<Id, Rollout>;
  readonly replicas: ReadonlyMap<Id, readonly Replica[]>;
  readonly rates: ReadonlyMap<Id, PicoUsdPerHour>;
}

function routeOf(deployment: Deployment, index: Index): RouteDeployment {
  const { id, teamId, projectId, spec } = deployment;
  const weights = effectiveWeights(spec.traffic, index.rollouts.get(id) ?? null);
  const shares = new Map(weights.map(({ revision, weight }) => [revision, weight]));
  const revisions = (index.revisions.get(id) ?? [])
    .map((revision) => routeRevision(revision, shares.get(revision.number) ?? 0, index))
    .filter((revision) => revision.weight > 0 || revision.replicas.length > 0)
    .sort((a, b) => a.number - b.number);
  return {
    deploymentId: id,
    teamId,
    projectId,
    path: deploymentPath(deployment),
    hosts: spec.hosts,
    deadlineMs: spec.deadlineMs,
    queueLimit: spec.queueLimit,
    revisions: towardsServing(revisions),
  };
}

const routeRevision = (revision: Revision, weight: number, { replicas, rates }: Index): RouteRevision => ({
  revisionId: revision.id,
  number: revision.number,
  weight,
  concurrency: revision.concurrency,
  protocol: revision.spec.protocol,
  retryable: revision.spec.retryable,
  replicas: byId(replicas.get(revision.id) ?? [], ({ id }) => id).map((replica) => routeReplica(replica, rates)),
});

function routeReplica({ id, address, offeringId }: Replica, rates: Index['rates']): RouteReplica {
  return { replicaId: id, address: address ?? '', ratePicoUsdPerHour: rates.get(offeringId)?.toString() ?? null };
}

/**
 * The share of a revision that cannot serve goes to those that can, in proportion. If none with a share can, the newest that still has
 * replicas takes it all: it is kept until its successors are ready. As long as nobody can serve, shares stay.
 */
function towardsServing(revisions: readonly RouteRevision[]): readonly RouteRevision[] {
  const shared = revisions.filter(({ weight }) => weight > 0);
  const able = shared.filter(({ replicas }) => replicas.length > 0);
  if (able.length === shared.length && able.length > 0) return revisions;
  const stand = able.length > 0 ? able : revisions.filter(({ replicas }) => replicas.length > 0).slice(-1);
  if (stand.length === 0) return revisions;
  const parts = splitByLargestRemainder(
    100n,
    stand.map(({ revisionId, weight }) => ({ key: revisionId, weight: BigInt(weight || 1) })),
  );
  return revisions.map((revision) => ({ ...revision, weight: Number(parts.get(revision.revisionId) ?? 0n) }));
}

const byId = <T>(items: readonly T[], key: (item: T) => string): T[] =>
  [...items].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
