import type { Offering } from '../clouds/offering.ts';
import { digestOfJson } from '../kernel/digest.ts';
import type { Id } from '../kernel/id.ts';
import type { PricedOffering } from '../pricing/price-store.port.ts';
import type { Peak } from './broken-guard.ts';
import { deploymentPath, type Deployment } from './deployment.ts';
import { HOURS_PER_MONTH, type Plan, type PlanAction } from './plan.ts';
import type { CurrentDeployment } from './plan-deployment.ts';
import { hourlyOf, hourlyOfReplica, placesOf, replicasOf, type PricedPool } from './placement.ts';
import type { Workload } from './replica.ts';
import type { Revision } from './revision.ts';
import { effectiveWeights } from './rollout.ts';
import { hourlyOfWorkloads, knownHourlyOf, sumOf } from './workload-cost.ts';

/** A change of an existing deployment, decided but not written. */
export interface ChangeInput {
  readonly mutation: string;
  readonly current: CurrentDeployment;
  readonly next: Deployment;
  readonly actions: readonly PlanAction[];
  readonly risks: readonly string[];
  /** Every revision that the new wish sends traffic to; none for a deletion. */
  readonly revisions: readonly Revision[];
  /** Those that keep their replicas until a rollout is through. */
  readonly kept: readonly Revision[];
  /** Where its replicas are: a change keeps that, and the offerings. */
  readonly pools: readonly PricedPool[];
  /** The offering of the first of them; null = the price book has lost it. */
  readonly priced: PricedOffering | null;
}

/** What a change leads to and what it costs, both sides of a rollout counted. It keeps the offering, so that is the one candidate. */
export function planChange(input: ChangeInput): Plan {
  const { mutation, current, actions, risks, revisions, kept, priced, pools } = input;
  const offeringId = pools[0]?.offeringId ?? null;
  const path = deploymentPath(current.deployment);
  const { generation } = current.deployment;
  const after = (hourlyOf(pools) ?? 0n) * BigInt(revisions.length);
  const peak = peakOf(input);
  const hourlyPerReplica = hourlyOfReplica(pools);
  const candidate = { hourly: pools[0]?.price === null ? null : hourlyPerReplica, score: hourlyPerReplica };
  return {
    path,
    hash: digestOfJson({
      path,
      mutation,
      actions: actions.map(({ kind, message }) => ({ kind, message })),
      generation,
      places: pools.map(({ pool, replicas, offeringId: offering }) => ({ pool: pool.id, replicas, offering })),
    }),
    actions,
    generation,
    candidates: priced ? [{ offering: priced.offering, ...candidate, chosen: true, rejectedBecause: null }] : [],
    rejectedCounts: {},
    offeringId,
    hourlyPerReplica,
    costDelta: after - knownHourlyOf(current.workloads, current.rates),
    monthlyAfter: after * HOURS_PER_MONTH,
    peakReplicas: peak.replicas,
    peakHourly: peak.hourly ?? 0n,
    places: placesOf(pools, offeringsOf(priced)),
    ...{ why: 'A change keeps the offerings that it has.', wouldChange: [] },
    risks: kept.length > 0 ? [...risks, 'While traffic shifts, both revisions run and cost.'] : risks,
  };
}

const offeringsOf = (priced: PricedOffering | null): ReadonlyMap<Id, Offering> =>
  new Map(priced ? [[priced.offering.id, priced.offering]] : []);

/** What runs while both sides of the change do. What is given up drains at the size that it has; what gets traffic beside it, of a rollout under way, keeps what it has; all else is as wished. */
export function peakOf({ current, next, revisions, kept, pools }: ChangeInput): Peak {
  const countOf = (some: readonly Workload[]): number => some.reduce((all, { replicas }) => all + replicas, 0);
  if (next.deletedAt !== null)
    return { replicas: countOf(current.workloads), hourly: hourlyOfWorkloads(current.workloads, current.rates) };
  const sides = new Set([...revisions, ...kept].map(({ id }) => id));
  const isWished = ({ revisionId, poolId }: Workload): boolean =>
    sides.has(revisionId) && pools.some(({ pool }) => pool.id === poolId);
  const others = current.workloads.filter((workload) => !isWished(workload) && isRouted(current, workload));
  const wished = hourlyOf(pools);
  return {
    replicas: sides.size * replicasOf(pools) + countOf(others),
    hourly: sumOf([wished === null ? null : BigInt(sides.size) * wished, hourlyOfWorkloads(others, current.rates)]),
  };
}

function isRouted({ deployment, revisions, rollout }: CurrentDeployment, { revisionId }: Workload): boolean {
  const number = revisions.find(({ id }) => id === revisionId)?.number;
  return effectiveWeights(deployment.spec.traffic, rollout).some(({ revision, weight }) => revision === number && weight > 0);
}

/** Where its replicas are while both sides of the change run. */
export function placedAt({ current, revisions, kept, pools }: ChangeInput) {
  const sides = new Set([...revisions, ...kept].map(({ id }) => id));
  const isWished = ({ revisionId, poolId }: Workload): boolean =>
    sides.has(revisionId) && pools.some(({ pool }) => pool.id === poolId);
  const wished = pools.map(({ pool, replicas, perMachine = 1 }) => ({
    ...{ poolId: pool.id, clusterId: pool.clusterId, replicas, perMachine },
  }));
  return [...[...sides].flatMap(() => wished), ...current.workloads.filter((workload) => !isWished(workload))];
}

/**
 * True if a revision gets more replicas somewhere than it has. What only shrinks needs no room and no price: nothing may keep somebody from letting
 * go of what he has.
 */
export const growsIn = ({
  current,
  next,
  revisions,
  pools,
}: Pick<ChangeInput, 'current' | 'next' | 'revisions' | 'pools'>): boolean =>
  next.deletedAt === null &&
  revisions.some(({ id }) =>
    pools.some(({ pool, replicas }) => {
      const held = current.workloads.find(({ revisionId, poolId }) => revisionId === id && poolId === pool.id);
      return replicas > (held?.replicas ?? 0);
    }),
  );
