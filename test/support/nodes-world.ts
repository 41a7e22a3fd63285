import { SimulatedCloud } from '../../src/clouds/simulated/simulated-cloud.adapter.ts';
import type { PricedMarket } from '../../src/clouds/simulated/simulated-market.ts';
import { DecisionRepository } from '../../src/decisions/decision.repository.ts';
import { DecisionsService } from '../../src/decisions/decisions.service.ts';
import { CapacityRepository } from '../../src/fleet/capacity.repository.ts';
import { ClusterRepository } from '../../src/fleet/cluster.repository.ts';
import type { Pool } from '../../src/fleet/cluster.ts';
import { NodeRepository } from '../../src/fleet/node.repository.ts';
import { NodesReconciler, type NodesReconcilerDeps } from '../../src/fleet/nodes.reconciler.ts';
import { NodesService } from '../../src/fleet/nodes.service.ts';
import { POOL_PACE } from '../../src/fleet/plan-pools.ts';
import { VELOCITY_LIMITS } from '../../src/fleet/velocity-breaker.ts';
import type { Id } from '../../src/kernel/id.ts';
import { Commands } from '../../src/persistence/commands.ts';
import { acquireLease, renewLease } from '../../src/persistence/lease.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { principalOf, seededRandom } from './actors.ts';
import type { TestDatabase } from './database.ts';
import { NOW, poolCalled, small, uid } from './nodes.ts';
import { quietLogger } from './quiet-logger.ts';
import { SimulatedNodes } from './simulated-nodes.ts';

export const SYSTEM = { kind: 'reconciler', loop: 'test' } as const;

/** Pools of one cluster on a simulated market, with the loop of their nodes; `wide` machines with two CPUs that join 30 seconds after the wish. */
export async function makeNodesWorld(
  { database }: Pick<TestDatabase, 'database'>,
  {
    cluster,
    pools: names,
    price = null,
    priced,
  }: {
    readonly cluster: string;
    readonly pools: readonly string[];
    readonly price?: bigint | null;
    /** What the market sells; absent = anything. */
    readonly priced?: PricedMarket;
  },
) {
  let now = NOW;
  const clock = { now: () => now };
  const seed = Buffer.from(cluster).reduce((all, byte) => (all * 31 + byte) % 1_000_003, 7);
  const [clusterId, store, clusters, capacity] = [
    uid(seed),
    new NodeRepository(),
    new ClusterRepository(),
    new CapacityRepository(),
  ];
  const pools = names.map((name, n): Pool => ({ ...poolCalled(name, seed + 1 + n), clusterId, capacityType: 'spot' }));
  await database.write(SYSTEM, async (tx) => {
    await sqlOf(tx).execute(`insert into cluster (id, name, kind, version, created_at) values ($1, $2, 'kubernetes', 1, 0)`, [
      ...[clusterId, cluster],
    ]);
    for (const pool of pools) await clusters.insertPool(tx, pool, 'test');
  });
  const lease = await database.write(SYSTEM, (tx) => acquireLease(tx, `nodes/${clusterId}`, 'me'));
  if (!lease) throw new Error('the lease is not free');
  const market = new SimulatedCloud({
    clock,
    random: seededRandom(4),
    market: { startMs: [30_000, 30_000], stopMs: 1_000 },
    priced,
  });
  const nodes = new SimulatedNodes({
    clock,
    market,
    prefix: `here/${cluster}`,
    pools: names,
    size: small,
    priceOf: () => price,
    uids: seed * 1_000,
  });
  const decisions = new DecisionsService({ store: new DecisionRepository(), clock, random: seededRandom(seed) });
  const prices = {
    priced: () => Promise.resolve([]),
    stepsOf: () => Promise.resolve(new Map<Id, never>()),
    believedAt: () => Promise.resolve(new Map<Id, never>()),
  };
  /** As a restart makes one: what it knows it has from the database. */
  const restarted = (more: Partial<NodesReconcilerDeps> = {}): NodesReconciler =>
    new NodesReconciler({
      ...{ database, store, capacity, clusters, prices, decisions, inventory: nodes, actions: nodes, meter: null, clock },
      ...{ clusterId, installation: 'here', logger: quietLogger, pace: POOL_PACE, lease: () => lease },
      ...{ providers: new Map([[market.name, market]]), velocity: VELOCITY_LIMITS, random: seededRandom(seed + now) },
      ...more,
    });
  let reconciler = restarted();
  const service = new NodesService({
    ...{ commands: new Commands({ database, clock }), clock, store, capacity, clusters, prices, providers: ['simulated'] },
  });
  const admin = { principal: principalOf('platform_admin', null), idempotencyKey: null };
  const rows = <R>(text: string, values: readonly unknown[] = []) =>
    database.read(SYSTEM, (tx) => sqlOf(tx).query<R>(text, values));
  return {
    ...{ clock, clusterId, pools, market, nodes, capacity, store, service, admin, rows },
    restart: (more: Partial<NodesReconcilerDeps> = {}) => (reconciler = restarted(more)),
    scale: async (pool: Pool, wish: { minNodes?: number; maxNodes?: number; config?: Record<string, string> }) => {
      const config = { cpuMilli: '2000', memoryMib: '4096', instanceType: cluster, ...wish.config };
      const all = { minNodes: 0, maxNodes: 10, ...wish, config, poolId: pool.id, provider: 'simulated', expectedVersion: null };
      const set = await service.setScaling(admin, all);
      if (!set.ok) throw new Error(set.error.message);
    },
    /** So many passes, each after such a time. */
    pass: async (times = 1, everyMs: number = POOL_PACE.stepMs) => {
      for (let n = 0; n < times; n += 1) {
        now += everyMs;
        // The lease ends by the database's clock, which is the real one.
        await database.write(SYSTEM, (tx) => renewLease(tx, lease));
        const turn = reconciler.plan(await reconciler.prepare(), now);
        await reconciler.execute(turn, new AbortController().signal);
      }
    },
    desired: async (pool: Pool) => (await market.observeNodes(`here/${cluster}/${pool.name}`))?.desired ?? 0,
    conditionOf: async (pool: Pool) => {
      const [scaling] = await database.read(SYSTEM, (tx) => store.scalings(tx, [pool.id]));
      return scaling?.conditions.find(({ type }) => type === 'Growing');
    },
    events: async (type: string) =>
      rows<{ type: string; message: string; subject: Id }>(
        `select type, message, subject_id as subject from outbox where type = $1 and subject_id = any ($2) order by seq`,
        [type, pools.map(({ id }) => id)],
      ),
  };
}

export type NodesTestWorld = Awaited<ReturnType<typeof makeNodesWorld>>;
