import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { InventoryObservation, ObservedNode } from './cluster-inventory.port.ts';
import type { Pool } from './cluster.ts';
import { offeringsOf } from './node-offering.ts';
import { carries, type ClusterNode } from './node.ts';

export interface NodeChange {
  /** Null = it was not known before. */
  readonly before: ClusterNode | null;
  readonly after: ClusterNode;
}

export interface NodesInput {
  readonly clusterId: Id;
  /** Null = the cluster could not be seen. */
  readonly observation: InventoryObservation | null;
  /** Nodes of this cluster that are not gone. */
  readonly known: readonly ClusterNode[];
  readonly pools: readonly Pool[];
  /** Offerings that the price book knows. */
  readonly offerings: ReadonlySet<Id>;
  /** When this process saw the cluster last, before this observation; null = not yet. */
  readonly seenAt: Instant | null;
}

/** An observation after a longer silence than this has not watched. Higher trusts a gap, lower calls a slow cluster blind. */
const WATCHED_MS = 90_000;

/** What the rows must become: nothing where nothing changed, and nothing at all without an observation. */
export function observeNodes(input: NodesInput): NodeChange[] {
  const { observation, known } = input;
  if (!observation) return [];
  const rows = new Map(known.map((node) => [node.id, node]));
  const seen = new Set(observation.nodes.map(({ uid }) => uid));
  const changes = observation.nodes.flatMap((node): NodeChange[] => {
    const before = rows.get(node.uid) ?? null;
    const after = rowOf(node, before, input, observation.observedAt);
    return before && isSame(before, after) ? [] : [{ before, after }];
  });
  const lost = known.filter(({ id }) => !seen.has(id));
  return [...changes, ...lost.map((before) => ({ before, after: gone(before, input.seenAt, observation.observedAt) }))];
}

function rowOf(node: ObservedNode, before: ClusterNode | null, input: NodesInput, now: Instant): ClusterNode {
  const { uid, name, provider, instanceId, region, zone, instanceType, capacity, allocatable } = node;
  const pool = poolOf(node, input.pools);
  return {
    ...{ id: uid, clusterId: input.clusterId, poolId: pool?.id ?? null, name },
    ...{ provider, instanceId, region, zone, instanceType, capacity, allocatable },
    ...{ pricePerHour: node.pricePerHour, priceProblem: node.priceProblem },
    capacityType: node.capacityType ?? 'on_demand',
    offeringId: offeringsOf(node).find((id) => input.offerings.has(id)) ?? pool?.offeringId ?? null,
    ...{ from: node.from, until: null, untilEstimated: false },
    ...{ readiness: node.readiness, readinessSince: node.readinessSince, schedulable: node.schedulable },
    ...{ notice: node.notice, releasing: node.releasing, noticedReplicas: noticedOn(node) },
    ...useOf(node, before, now),
    ...{ observedAt: now, version: (before?.version ?? 0) + 1 },
  };
}

/** What will be lost there: those that end already have a successor or need none. */
function noticedOn({ notice, pods }: ObservedNode): Readonly<Record<Id, number>> {
  if (notice === null) return {};
  const counts: Record<Id, number> = {};
  for (const { workloadId, endingSince } of pods)
    if (workloadId !== null && endingSince === null) counts[workloadId] = (counts[workloadId] ?? 0) + 1;
  return counts;
}

function useOf(node: ObservedNode, before: ClusterNode | null, now: Instant): Pick<ClusterNode, 'pods' | 'idleSince'> {
  const pods = node.pods.filter(({ daemon }) => !daemon).length;
  return { pods, idleSince: pods > 0 ? null : (before?.idleSince ?? now) };
}

/** By its label, else the pool whose selector says the most about it. */
export function poolOf(node: Pick<ObservedNode, 'pool' | 'labels'>, pools: readonly Pool[]): Pool | null {
  const named = pools.find(({ name }) => name === node.pool);
  if (named) return named;
  const matching = pools.filter(({ nodeSelector }) => carries(node.labels, nodeSelector));
  const width = ({ nodeSelector }: Pool): number => Object.keys(nodeSelector).length;
  return matching.reduce<Pool | null>((best, pool) => (best === null || width(pool) > width(best) ? pool : best), null);
}

/** A whole observation without it: whoever watched knows when, else it was gone at some time since the last sight. */
function gone(before: ClusterNode, seenAt: Instant | null, now: Instant): ClusterNode {
  const watched = seenAt !== null && now - seenAt <= WATCHED_MS;
  const until = watched ? now : Math.max(seenAt ?? 0, before.observedAt);
  return {
    ...before,
    until: Math.max(until, before.from),
    untilEstimated: !watched,
    observedAt: now,
    version: before.version + 1,
  };
}

const COMPARED = [
  ...(['poolId', 'name', 'provider', 'instanceId', 'region', 'zone', 'instanceType', 'capacityType', 'offeringId'] as const),
  ...(['pricePerHour', 'priceProblem', 'readiness', 'readinessSince', 'schedulable', 'releasing', 'idleSince', 'pods'] as const),
] as const;
const COMPARED_DEEPLY = ['capacity', 'allocatable', 'notice', 'noticedReplicas'] as const;

const isSame = (a: ClusterNode, b: ClusterNode): boolean =>
  COMPARED.every((key) => a[key] === b[key]) && COMPARED_DEEPLY.every((key) => sorted(a[key]) === sorted(b[key]));

/** The database keeps the keys of an object in an order of its own. */
const sorted = (value: object | null): string =>
  JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
