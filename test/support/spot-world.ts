import { SimulatedCloud } from '../../src/clouds/simulated/simulated-cloud.adapter.ts';
import { offeringIdOf } from '../../src/clouds/offering-key.ts';
import type { CapacityType, Offering } from '../../src/clouds/offering.ts';
import { DeploymentsReconciler } from '../../src/deployments/deployments.reconciler.ts';
import type { DeployInput } from '../../src/deployments/deploy.service.ts';
import { isHeld } from '../../src/deployments/replica.ts';
import { SpotReconciler } from '../../src/deployments/spot.reconciler.ts';
import { SpotRepository } from '../../src/deployments/spot.repository.ts';
import { CapacityRepository } from '../../src/fleet/capacity.repository.ts';
import { ClusterRepository } from '../../src/fleet/cluster.repository.ts';
import { NodeRepository } from '../../src/fleet/node.repository.ts';
import { NodesReconciler } from '../../src/fleet/nodes.reconciler.ts';
import { POOL_PACE } from '../../src/fleet/plan-pools.ts';
import { VELOCITY_LIMITS } from '../../src/fleet/velocity-breaker.ts';
import { newId } from '../../src/kernel/id.ts';
import { PICO_PER_USD } from '../../src/kernel/money.ts';
import { acquireLease, type Lease } from '../../src/persistence/lease.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { PriceRepository } from '../../src/pricing/price.repository.ts';
import { principalOf, seededRandom } from './actors.ts';
import type { TestDatabase } from './database.ts';
import { fleetOf, makeControlPlane, makeGround } from './deployments-world.ts';
import { small } from './nodes.ts';
import { PodsCluster } from './pods-cluster.ts';
import { quietLogger } from './quiet-logger.ts';
import { SimulatedNodes } from './simulated-nodes.ts';

const SYSTEM = { kind: 'reconciler', loop: 'test' } as const;
/** Pools by name: three of spot in zones of their own at 3 cents, one of on-demand at 10. */
export const POOLS = { 'zone-a': 'spot', 'zone-b': 'spot', 'zone-c': 'spot', steady: 'on_demand' } as const;

const CENT = PICO_PER_USD / 100n;
/** Instance types are named after their pool, so that the market runs out of each by itself. */
const offeringOf = (pool: string, capacityType: CapacityType): Offering => {
  const key = { provider: 'aws', region: 'us-east-1', zone: `us-east-1-${pool}`, instanceType: pool, capacityType };
  return {
    ...{ id: offeringIdOf(key), ...key, architecture: 'amd64', cpuMilli: 2_000, memoryMib: 4_096 },
    ...{ accelerator: null, interruptionBand: null },
  };
};

/** One deployment over pools of spot and on-demand capacity, on nodes that a simulated market rents: every loop of the control plane by hand. */
export async function makeSpotWorld({ database }: Pick<TestDatabase, 'database'>, team: string, wish: Partial<DeployInput>) {
  const ground = await makeGround(database, team);
  const { clock, random } = ground;
  const offerings = Object.entries(POOLS).map(([pool, type]) => offeringOf(`${team}-${pool}`, type));
  await database.write(SYSTEM, async (tx) => {
    const prices = new PriceRepository();
    await prices.saveOfferings(tx, offerings);
    const observed = offerings.map((offering) => ({
      ...{ id: newId(clock.now(), random), offering, price: offering.capacityType === 'spot' ? 3n * CENT : 10n * CENT },
      ...{ source: 'test@2026-01-01', asOf: Date.UTC(2026, 0, 1) },
    }));
    await prices.appendObserved(tx, observed, clock.now());
  });
  const names = Object.keys(POOLS);
  const caller = { principal: principalOf('platform_admin', null), idempotencyKey: null };
  const wishes = names.map((name, n) => ({
    name,
    capacityType: offerings[n]!.capacityType,
    offeringId: offerings[n]!.id,
    nodeSelector: {},
  }));
  const made = await fleetOf(ground).register(caller, { name: `${team}-nodes`, kind: 'simulated', config: null, pools: wishes });
  if (!made.ok) throw new Error(made.error.message);
  const { clusterId } = made.value;
  const [clusters, nodeStore, capacity] = [new ClusterRepository(), new NodeRepository(), new CapacityRepository()];
  const pools = await database.read(SYSTEM, (tx) => clusters.pools(tx, [clusterId]));
  await database.write(SYSTEM, async (tx) => {
    for (const pool of pools) {
      const config = { cpuMilli: '2000', memoryMib: '4096', instanceType: `${team}-${pool.name}`, idleSeconds: '60' };
      const blank = { desiredNodes: null, scaledAt: null, conditions: [], emptying: null, emptiedAt: null, version: 1 };
      const scaling = { poolId: pool.id, provider: 'simulated', config, minNodes: 0, maxNodes: 20, ...blank };
      await nodeStore.saveScaling(tx, scaling, { at: clock.now(), principal: 'test' });
    }
  });
  const market = new SimulatedCloud({ clock, random: seededRandom(4), market: { startMs: [30_000, 30_000], stopMs: 1_000 } });
  const uids = Buffer.from(team).reduce((all, byte) => (all * 31 + byte) % 1_000_003, 7) * 1_000;
  const nodes = new SimulatedNodes({ clock, market, prefix: `here/${team}-nodes`, pools: names, size: small, uids });
  const cluster = new PodsCluster(nodes, clock);
  const leaseOf = (name: string) => database.write(SYSTEM, (tx) => longLease(tx, name));
  const [nodesLease, workLease, spotLease] = [
    await leaseOf(`nodes/${clusterId}`),
    await leaseOf(`deployments/${clusterId}`),
    await leaseOf(`spot/${team}`),
  ];
  const plane = await makeControlPlane(ground);
  const deps = plane.depsOf(clusterId, cluster);
  const work = new DeploymentsReconciler({ ...deps, lease: () => workLease });
  const fleet = new NodesReconciler({
    ...{
      database,
      store: nodeStore,
      capacity,
      clusters,
      prices: deps.prices,
      decisions: plane.decisions,
      inventory: nodes,
      actions: nodes,
    },
    ...{ meter: null, clock, clusterId, installation: 'here', logger: quietLogger, pace: POOL_PACE, lease: () => nodesLease },
    ...{ providers: new Map([[market.name, market]]), velocity: VELOCITY_LIMITS, random },
  });
  const makeSpot = () =>
    new SpotReconciler({
      ...{ ...deps, spot: new SpotRepository(), capacity, nodes: nodeStore, clusters, lease: () => spotLease },
    });
  let spot = makeSpot();
  const placed = { clusters: [{ cluster: `${team}-nodes`, weight: 1, order: 0 }], capacityTypes: ['spot', 'on_demand'] as const };
  const deployed = await plane.deploy(1, { ...placed, ...wish });
  if (!deployed.ok) throw new Error(deployed.error.message);
  const { id } = await plane.look();
  const rows = <R>(text: string, values: readonly unknown[] = []) =>
    database.read(SYSTEM, (tx) => sqlOf(tx).query<R>(text, values));
  const signal = new AbortController().signal;
  const state = async () => {
    const [workloads, replicas] = await database.read(SYSTEM, async (tx) => [
      (await plane.store.workloads(tx, [id])).filter(({ removedAt }) => removedAt === null),
      (await plane.store.replicas(tx, [id])).filter(isHeld),
    ]);
    const wished = Object.fromEntries(workloads.map(({ poolName, replicas: count }) => [poolName, count]));
    const hourly =
      workloads.reduce((all, { capacityType, replicas: n }) => all + BigInt(n) * (capacityType === 'spot' ? 3n : 10n), 0n) * CENT;
    const total = workloads.reduce((all, { replicas: count }) => all + count, 0);
    return { wished, total, hourly, ready: replicas.filter(({ state: now }) => now === 'serving').length };
  };
  return {
    ...{ ground, plane, market, nodes, id, rows, state, clock },
    restart: () => (spot = makeSpot()),
    /** What the loop that follows the market would change of it now. */
    changes: async () => {
      const pass = spot.plan(await spot.prepare(), clock.now());
      return (pass?.steps ?? []).flatMap(({ deployment, plan }) => (deployment.id === id ? plan.changes : []));
    },
    /** The loop that follows the market once, with something that happens between its plan and its carrying out. */
    follow: async (between: () => Promise<unknown>) => {
      const pass = spot.plan(await spot.prepare(), clock.now());
      await between();
      await spot.execute(pass, signal);
      return state();
    },
    /** Every loop once, ten seconds later. */
    tick: async () => {
      clock.advance(10_000);
      await work.execute(work.plan(await work.prepare(), clock.now()), signal);
      await fleet.execute(fleet.plan(await fleet.prepare(), clock.now()), signal);
      await spot.execute(spot.plan(await spot.prepare(), clock.now()), signal);
      return state();
    },
    /** The market takes every machine of these pools back in two minutes, and has no more of them. */
    takeBack: async (...taken: string[]) => {
      const stock = Object.fromEntries(taken.map((pool) => [`${team}-${pool}`, 0]));
      market.change({ stock });
      for (const pool of taken)
        for (const { instanceId } of (await market.observeNodes(`here/${team}-nodes/${pool}`))?.nodes ?? [])
          market.interrupt(instanceId, 120_000);
    },
    decisions: () =>
      rows<{ at: number; reasons: string[] }>(
        `select at, reasons from decision where kind = 'place_spot' and subject_id = $1 order by at`,
        [id],
      ),
  };
}

/** Nobody renews it here, and a busy machine may take long. */
async function longLease(tx: Parameters<typeof acquireLease>[0], name: string): Promise<Lease> {
  const lease = await acquireLease(tx, name, 'me');
  if (!lease) throw new Error('the lease is held');
  await sqlOf(tx).execute(`update lease set expires_at = expires_at + 3600000 where name = $1`, [name]);
  return lease;
}
