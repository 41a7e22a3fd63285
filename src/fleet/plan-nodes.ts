import type { CloudInterruption } from '../clouds/cloud-provider.port.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { RateStep } from '../pricing/worth-it.ts';
import type { InventoryObservation, NodeResources, ObservedNode } from './cluster-inventory.port.ts';
import { inWords, type CapacityAnswer } from './capacity-answer.ts';
import type { Pool } from './cluster.ts';
import type { ClusterNode, PoolScaling } from './node.ts';
import { observeNodes, poolOf, type NodeChange } from './observe-nodes.ts';
import { planConsolidation } from './plan-consolidation.ts';
import { planDepartures, type DeparturesPlan } from './plan-departures.ts';
import { planPoolRemoval } from './plan-pool-removal.ts';
import { planPools, type Consolidation, type PoolPace, type PoolPlan, type ScaledPool } from './plan-pools.ts';
import type { GrowthHold } from './velocity-breaker.ts';

/** Everything that one pass over the nodes of a cluster decides from. */
export interface NodesWorld {
  readonly clusterId: Id;
  /** Null = the cluster could not be seen. */
  readonly observation: InventoryObservation | null;
  readonly seenAt: Instant | null;
  readonly known: readonly ClusterNode[];
  /** With removed ones whose machines are not all given back. */
  readonly pools: readonly Pool[];
  readonly scalings: readonly PoolScaling[];
  readonly offerings: ReadonlySet<Id>;
  /** By pool; null = its provider could not be asked. */
  readonly clouds: ReadonlyMap<Id, ScaledPool['cloud']>;
  readonly interruptions: readonly CloudInterruption[];
  readonly refusedUntil: ReadonlyMap<Id, Instant>;
  /** What providers said of kinds of capacity, by pool. */
  readonly answers: ReadonlyMap<Id, CapacityAnswer>;
  /** By pool: what a node of it has cost, as change points. */
  readonly history: ReadonlyMap<Id, readonly RateStep[]>;
  /** Growth that waits for a person. */
  readonly holds: readonly GrowthHold[];
  readonly alone: ReadonlyMap<Id, Instant>;
}

/** What the provider says of a node and the node does not say itself. */
export interface Announcement {
  readonly node: Pick<ObservedNode, 'uid' | 'name'>;
  readonly message: string;
}

export interface NodesPlan {
  readonly changes: readonly NodeChange[];
  readonly announcements: readonly Announcement[];
  readonly departures: DeparturesPlan;
  readonly pools: readonly PoolPlan[];
}

const NOTHING: NodesPlan = { changes: [], announcements: [], departures: { departures: [], alone: [] }, pools: [] };

/** One pass: what was observed becomes rows, pods leave doomed nodes, pools take their next step. Without an observation nothing happens. */
export function planNodes(world: NodesWorld, pace: PoolPace, now: Instant): NodesPlan {
  const { observation } = world;
  if (!observation) return NOTHING;
  const changes = observeNodes(world);
  const rows = new Map(world.known.map((row) => [row.id, row]));
  for (const { after } of changes) rows.set(after.id, after);
  const scaled = world.scalings.flatMap((scaling): ScaledPool[] => {
    const pool = world.pools.find(({ id }) => id === scaling.poolId);
    return pool ? [scaledPool(pool, scaling, { world, observation, rows: [...rows.values()] })] : [];
  });
  const pools = planPools(
    scaled.filter(({ pool }) => pool.removedAt === null),
    observation.waiting,
    pace,
    now,
  );
  const quiet = scaled.filter(({ pool }) => pools.some((plan) => plan.poolId === pool.id && isQuiet(plan)));
  const emptied = planConsolidation({ pools: quiet, observation, history: world.history }, pace, now);
  return {
    changes,
    announcements: announcementsOf(observation, world.interruptions),
    departures: planDepartures(observation, world.alone, now),
    pools: [
      ...pools.map((plan) => withEmptied(plan, emptied)),
      ...scaled.filter(({ pool }) => pool.removedAt !== null).map((one) => planPoolRemoval(one, pace, now)),
    ],
  };
}

const isQuiet = ({ steps, stalled }: PoolPlan): boolean => steps.length === 0 && stalled === null;

function withEmptied(plan: PoolPlan, emptied: readonly Consolidation[]): PoolPlan {
  const consolidation = emptied.find(({ poolId }) => poolId === plan.poolId);
  if (!consolidation) return plan;
  const reason = `Others have room for all that is on ${consolidation.node.name}. ${consolidation.verdict.reasons[0]?.message ?? ''}`;
  return { ...plan, steps: [{ step: { kind: 'empty', poolId: plan.poolId, consolidation }, reason: reason.trim() }] };
}

interface Seen {
  readonly world: NodesWorld;
  readonly observation: InventoryObservation;
  readonly rows: readonly ClusterNode[];
}

function scaledPool(pool: Pool, scaling: PoolScaling, { world, observation, rows }: Seen): ScaledPool {
  // That there are no more machines keeps nobody from giving back those of a removed pool.
  const answer = pool.removedAt === null ? (world.answers.get(pool.id) ?? null) : null;
  const nodes = observation.nodes.filter((node) => poolOf(node, world.pools)?.id === pool.id);
  return {
    ...{ pool, scaling, nodes },
    rows: rows.filter(({ poolId }) => poolId === pool.id),
    cloud: world.clouds.get(pool.id) ?? null,
    shape: shapeOf(nodes, scaling),
    refusedUntil: Math.max(answer?.until ?? 0, world.refusedUntil.get(pool.id) ?? 0),
    refusal: answer && inWords(answer),
    held: world.holds.find(({ poolId }) => poolId === null || poolId === pool.id)?.message ?? null,
  };
}

/** What pods find on an empty node of the pool: the least that its present ones have without their daemons, else what its settings say. */
function shapeOf(nodes: readonly ObservedNode[], { config }: PoolScaling): NodeResources | null {
  const free = nodes.filter(({ readiness }) => readiness === 'ready').map(withoutDaemons);
  const [first] = free;
  if (first)
    return {
      cpuMilli: Math.min(...free.map(({ cpuMilli }) => cpuMilli)),
      memoryMib: Math.min(...free.map(({ memoryMib }) => memoryMib)),
      accelerator: first.accelerator,
    };
  const [cpuMilli, memoryMib] = [Number(config['cpuMilli']), Number(config['memoryMib'])];
  return cpuMilli > 0 && memoryMib > 0 ? { cpuMilli, memoryMib, accelerator: null } : null;
}

function withoutDaemons({ allocatable, pods }: ObservedNode): NodeResources {
  const daemons = pods.filter(({ daemon }) => daemon).map(({ requests }) => requests);
  const sum = (of: (requests: NodeResources) => number): number => daemons.reduce((all, requests) => all + of(requests), 0);
  return {
    cpuMilli: allocatable.cpuMilli - sum(({ cpuMilli }) => cpuMilli),
    memoryMib: allocatable.memoryMib - sum(({ memoryMib }) => memoryMib),
    accelerator: allocatable.accelerator,
  };
}

function announcementsOf({ nodes }: InventoryObservation, interruptions: readonly CloudInterruption[]): Announcement[] {
  return nodes.flatMap(({ uid, name, instanceId, notice }) => {
    const said = interruptions.find((one) => (instanceId === null ? one.nodeName === name : one.instanceId === instanceId));
    return said && !notice ? [{ node: { uid, name }, message: said.message }] : [];
  });
}
