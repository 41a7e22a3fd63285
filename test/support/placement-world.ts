import type { MachineProvider } from '../../src/clouds/cloud-provider.port.ts';
import { DecisionRepository } from '../../src/decisions/decision.repository.ts';
import { DecisionsService } from '../../src/decisions/decisions.service.ts';
import { CapacityRepository } from '../../src/fleet/capacity.repository.ts';
import { ClusterRepository } from '../../src/fleet/cluster.repository.ts';
import type { CapacitySource } from '../../src/fleet/cluster.ts';
import { NodeRepository } from '../../src/fleet/node.repository.ts';
import { NodesReconciler } from '../../src/fleet/nodes.reconciler.ts';
import { POOL_PACE } from '../../src/fleet/plan-pools.ts';
import { VELOCITY_LIMITS } from '../../src/fleet/velocity-breaker.ts';
import type { Database } from '../../src/persistence/database.ts';
import { acquireLease } from '../../src/persistence/lease.ts';
import { openTestDatabase, type TestDatabase } from './database.ts';
import { addCluster, fleetOf, makeControlPlane, makeGround, rows, type ControlPlane, type Ground } from './deployments-world.ts';
import { loadPriceBook } from './price-book.ts';
import { quietLogger } from './quiet-logger.ts';
import { SimulatedNodes } from './simulated-nodes.ts';

const SCOPE = { kind: 'reconciler', loop: 'test' } as const;
export const GPU = { cpuMilli: 2000, memoryMib: 8192, accelerator: { model: 'any', countMilli: 1000, memoryMib: 8192 } };

export const sourceOf = (provider: string, region: string, maxNodes = 10): CapacitySource => ({
  ...{ provider, region, maxNodes, zones: [], config: {} },
});

export interface PlacementWorld {
  readonly db: TestDatabase;
  readonly ground: Ground;
  readonly plane: ControlPlane;
}

/** A team with the whole bundled price book, a cluster mesh that may rent from these sources, and a control plane. */
export async function openPlacementWorld(sources: readonly CapacitySource[]): Promise<PlacementWorld> {
  const db = await openTestDatabase();
  const ground = await makeGround(db.database, 'acme');
  await loadPriceBook(ground);
  await addCluster(ground, 'mesh', undefined, sources);
  return { db, ground, plane: await makeControlPlane(ground) };
}

/** What the cluster mesh may rent from now on. */
export async function rentFrom(ground: Ground, plane: ControlPlane, capacitySources: readonly CapacitySource[]): Promise<void> {
  const clusterId = ground.others.get('mesh')!.id;
  const edit = { access: null, modelServerImage: null, routerCidrs: null, routerNamespace: null, pools: [], removePools: [] };
  const change = { clusterId, expectedVersion: null, edit: { ...edit, capacitySources } };
  const changed = await fleetOf(ground).update(plane.caller, change);
  if (!changed.ok) throw new Error(changed.error.message);
}

export const scalingsOf = (database: Database) =>
  rows<{ name: string; provider: string; maxNodes: number; config: Record<string, string> }>(
    database,
    `select p.name, s.provider, s.max_nodes as "maxNodes", s.config from pool p join pool_scaling s on s.pool_id = p.id order by p.name`,
  );

/** Passes of the loop of the cluster's nodes, with its pods waiting for the one pool that was made; what came of it. */
export async function rentForPods(
  ground: Ground,
  cloud: MachineProvider,
): Promise<{ readonly desired: number; readonly running: number }> {
  const { clock, random, database } = ground;
  const clusterId = ground.others.get('mesh')!.id;
  const [{ name: pool } = { name: '' }] = await scalingsOf(database);
  const size = { ...GPU, accelerator: { model: 'T4', countMilli: 1000, memoryMib: 16_384 } };
  const numbers = new Map<string, number>();
  const numberOf = (id: string): number => numbers.get(id) ?? numbers.set(id, numbers.size).size;
  const nodes = new SimulatedNodes({ clock, market: cloud, prefix: 'here/mesh', pools: [pool], size, numberOf });
  const [workload] = await rows<{ id: string }>(database, `select id from workload`);
  nodes.want(workload!.id, pool, 3, GPU);
  const lease = await database.write(SCOPE, (tx) => acquireLease(tx, `nodes/${clusterId}`, 'one'));
  const none = () => Promise.resolve(new Map<string, never>());
  const loop = new NodesReconciler({
    ...{
      database,
      store: new NodeRepository(),
      capacity: new CapacityRepository(),
      clusters: new ClusterRepository(),
    },
    ...{ prices: { priced: () => Promise.resolve([]), stepsOf: none }, inventory: nodes, actions: nodes, meter: null },
    decisions: new DecisionsService({ store: new DecisionRepository(), clock, random }),
    ...{ clock, random, clusterId, installation: 'here', logger: quietLogger, pace: POOL_PACE, lease: () => lease },
    ...{ providers: new Map([[cloud.name, cloud]]), velocity: VELOCITY_LIMITS },
  });
  for (let n = 0; n < 8; n += 1) {
    clock.advance(POOL_PACE.stepMs);
    await loop.execute(loop.plan(await loop.prepare(), clock.now()), new AbortController().signal);
  }
  return { desired: (await cloud.observeNodes(`here/mesh/${pool}`))?.desired ?? 0, running: nodes.running(workload!.id) };
}
