import type { Id } from '../kernel/id.ts';
import { DAY_MS, type Instant } from '../kernel/instant.ts';
import { splitByLargestRemainder, type PicoUsdPerHour } from '../kernel/money.ts';
import type {
  RouteCredential,
  RouteDeployment,
  RouteGroup,
  RouteIssuer,
  RouteReplica,
  RouteRevision,
  RouteTable,
  RouteWake,
} from '../traffic/router-contract/route-table.ts';
import { deploymentPath, type Deployment, type DeploymentPhase } from './deployment.ts';
import { isServing } from './observe-replicas.ts';
import { isHeld, type Replica, type Workload } from './replica.ts';
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
  /** Of every cluster that has replicas. */
  readonly clusterNames: ReadonlyMap<Id, string>;
  /** Clusters that cannot be seen: what runs there may still serve, and is the last resort. */
  readonly unreachable: ReadonlySet<Id>;
  /** How long a start mostly takes, in ms, by deployment; only those matter that have no ready replica. */
  readonly startsMs: ReadonlyMap<Id, number>;
  /** By offering. */
  readonly rates: ReadonlyMap<Id, PicoUsdPerHour>;
  /** Of replicas on shared nodes, where their offering's rate does not count; null = unpriced. */
  readonly replicaRates?: ReadonlyMap<Id, PicoUsdPerHour | null>;
  readonly credentials: readonly RouteCredential[];
  readonly issuers: readonly RouteIssuer[];
}

export type RouteTableContent = Omit<RouteTable, 'version' | 'madeAt'>;

/** Everything that routers need, in an order that depends on nothing but the content, so that equal worlds give equal tables. */
export function makeRouteTable(input: RouteTableInput): RouteTableContent {
  const present = input.workloads.filter(({ removedAt }) => removedAt === null);
  const leaving = new Set(input.workloads.filter(({ removedAt }) => removedAt !== null).map(({ id }) => id));
  const routable = newestPerAddress(
    input.replicas.filter((replica) => isServing(replica) && replica.address !== null && !leaving.has(replica.workloadId)),
  );
  const index: Index = {
    ...input,
    revisions: Map.groupBy(input.revisions, ({ deploymentId }) => deploymentId),
    rollouts: new Map(input.rollouts.map((rollout) => [rollout.deploymentId, rollout])),
    routable: Map.groupBy(routable, ({ revisionId }) => revisionId),
    starting: Map.groupBy(
      input.replicas.filter((replica) => isHeld(replica) && replica.state === 'starting'),
      ({ deploymentId }) => deploymentId,
    ),
    workloads: Map.groupBy(present, ({ deploymentId }) => deploymentId),
  };
  return {
    deployments: byId(input.deployments, ({ id }) => id).map((deployment) => routeOf(deployment, index)),
    deleted: byId(input.deleted, ({ deploymentId }) => deploymentId),
    credentials: byId(input.credentials, ({ tokenSha256 }) => tokenSha256),
    issuers: byId(input.issuers, ({ issuer }) => issuer),
  };
}

interface Index extends Pick<RouteTableInput, 'clusterNames' | 'unreachable' | 'startsMs' | 'rates' | 'replicaRates'> {
  readonly revisions: ReadonlyMap<Id, readonly Revision[]>;
  readonly rollouts: ReadonlyMap<Id, Rollout>;
  /** By revision. */
  readonly routable: ReadonlyMap<Id, readonly Replica[]>;
  /** By deployment. */
  readonly starting: ReadonlyMap<Id, readonly Replica[]>;
  readonly workloads: ReadonlyMap<Id, readonly Workload[]>;
}

/** Addresses are given again: one replica at most is where the database knows two, the one that came last. */
function newestPerAddress(replicas: readonly Replica[]): readonly Replica[] {
  const newest = new Map<string, Replica>();
  for (const replica of replicas) {
    const key = `${replica.clusterId} ${replica.address ?? ''}`;
    const other = newest.get(key);
    if (!other || isNewer(replica, other)) newest.set(key, replica);
  }
  return [...newest.values()];
}

const isNewer = (a: Replica, b: Replica): boolean =>
  a.capacityFrom > b.capacityFrom || (a.capacityFrom === b.capacityFrom && a.id > b.id);

function routeOf(deployment: Deployment, index: Index): RouteDeployment {
  const { id, teamId, projectId, spec } = deployment;
  const weights = effectiveWeights(spec.traffic, index.rollouts.get(id) ?? null);
  const shares = new Map(weights.map(({ revision, weight }) => [revision, weight]));
  const all = index.revisions.get(id) ?? [];
  const replicas = all.flatMap((revision) => index.routable.get(revision.id) ?? []);
  const groups = groupsOf(deployment, replicas, index);
  const revisions = all
    .map((revision) => routeRevision(revision, { weight: shares.get(revision.number) ?? 0, grouped: groups.length > 0 }, index))
    .filter((revision) => revision.weight > 0 || revision.replicas.length > 0)
    .sort((a, b) => a.number - b.number);
  const wake = replicas.length === 0 ? wakeOf(deployment, index) : null;
  return {
    deploymentId: id,
    teamId,
    projectId,
    path: deploymentPath(deployment),
    hosts: spec.hosts,
    deadlineMs: spec.deadlineMs,
    queueLimit: spec.queueLimit,
    revisions: towardsServing(revisions),
    ...(groups.length > 0 ? { groups } : {}),
    ...(wake ? { wake } : {}),
  };
}

/**
 * A group per cluster, where the wish says how they share or one of them cannot be seen. Without a wish each counts by its replicas.
 * What cannot be seen comes after all others, and so do clusters that the wish does not name any more.
 */
function groupsOf({ spec }: Deployment, replicas: readonly Replica[], { clusterNames, unreachable }: Index): RouteGroup[] {
  const placed = spec.placement.clusters ?? [];
  const byCluster = Map.groupBy(replicas, ({ clusterId }) => clusterId);
  const unseen = [...byCluster.keys()].filter((id) => unreachable.has(id));
  if (placed.length === 0 && unseen.length === 0) return [];
  const last = Math.max(0, ...placed.map(({ order }) => order)) + 1;
  const groups = [...byCluster].map(([id, some]): RouteGroup => {
    const name = clusterNames.get(id) ?? id;
    const wish = placed.find(({ cluster }) => cluster === name);
    const weight = wish?.weight ?? (placed.length === 0 ? some.length : 0);
    return { name, weight, order: unreachable.has(id) ? last : (wish?.order ?? 0) };
  });
  return byId(groups, ({ name }) => name);
}

/** Nobody is asked to wait for what is known to fail. */
function wakeOf({ id, phase }: Deployment, { workloads, starting, startsMs }: Index): RouteWake | null {
  if (phase === ('FAILED' satisfies DeploymentPhase)) return null;
  const wished = (workloads.get(id) ?? []).reduce((all, { replicas }) => all + replicas, 0);
  const since = wished === 0 ? [] : (starting.get(id) ?? []).map(({ capacityFrom }) => capacityFrom);
  return {
    wished,
    since: since.length === 0 ? null : Math.min(...since),
    etaMs: wished === 0 ? null : (startsMs.get(id) ?? null),
  };
}

const routeRevision = (
  revision: Revision,
  { weight, grouped }: { readonly weight: number; readonly grouped: boolean },
  index: Index,
): RouteRevision => ({
  revisionId: revision.id,
  number: revision.number,
  weight,
  concurrency: revision.concurrency,
  protocol: revision.spec.protocol,
  retryable: revision.spec.retryable,
  replicas: byId(index.routable.get(revision.id) ?? [], ({ id }) => id).map((replica) => routeReplica(replica, grouped, index)),
});

function routeReplica({ id, address, offeringId, clusterId }: Replica, grouped: boolean, index: Index): RouteReplica {
  const shared = index.replicaRates?.get(id);
  const ratePicoUsdPerHour = (shared === undefined ? index.rates.get(offeringId) : shared)?.toString() ?? null;
  const row = { replicaId: id, address: address ?? '', ratePicoUsdPerHour };
  return grouped ? { ...row, group: index.clusterNames.get(clusterId) ?? clusterId } : row;
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
