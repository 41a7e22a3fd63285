// Clusters that are lost or cannot be seen, against a real database: three simulated clusters, their loops, a clock that is moved by hand.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FailoverReconciler } from '../../src/deployments/failover.reconciler.ts';
import { CONFIRM_MS, planFailover, type FailoverWorld } from '../../src/deployments/plan-failover.ts';
import type { DeploymentSpec } from '../../src/deployments/deployment.ts';
import type { Workload } from '../../src/deployments/replica.ts';
import { SpotRepository } from '../../src/deployments/spot.repository.ts';
import { WishWriter } from '../../src/deployments/wish-writer.service.ts';
import type { Cluster } from '../../src/fleet/cluster.ts';
import { ClusterRepository } from '../../src/fleet/cluster.repository.ts';
import { NodeRepository } from '../../src/fleet/node.repository.ts';
import { QuotasService } from '../../src/identity/quotas.service.ts';
import { IdentityRepository } from '../../src/identity/identity.repository.ts';
import { PICO_PER_USD } from '../../src/kernel/money.ts';
import { acquireLease, renewLease, type Lease } from '../../src/persistence/lease.ts';
import { addCluster, fleetOf, makeControlPlane, rows } from '../support/deployments-world.ts';
import { on, openSpanningWorld, type SpanningWorld } from '../support/spanning-world.ts';
import { quietLogger } from '../support/quiet-logger.ts';

const SCOPE = { kind: 'reconciler', loop: 'test' } as const;

let world: SpanningWorld;
let lease: Lease;

beforeEach(async () => {
  world = await openSpanningWorld();
  const held = await world.db.database.write(SCOPE, (tx) => acquireLease(tx, 'failover', 'me'));
  if (!held) throw new Error('the lease is held');
  lease = held;
});
afterEach(() => world.db.close());

const failover = (plane = world.plane) => {
  const { clock, random } = world.ground;
  const deps = plane.depsOf(world.ground.clusterId, world.ground.cluster);
  const writer = new WishWriter({
    ...deps,
    clusters: new ClusterRepository(),
    nodes: new NodeRepository(),
    quotas: new QuotasService(new IdentityRepository()),
    random,
  });
  return new FailoverReconciler({
    ...deps,
    ...{
      spot: new SpotRepository(),
      clusters: new ClusterRepository(),
      writer,
      deploy: plane.deploys,
      decisions: plane.decisions,
    },
    ...{ clock, logger: quietLogger, lease: () => lease },
  });
};

async function pass(plane = world.plane): Promise<void> {
  // The lease ends by the database's clock, which is the real one.
  await world.db.database.write(SCOPE, (tx) => renewLease(tx, lease));
  const loop = failover(plane);
  await loop.execute(loop.plan(await loop.prepare(), world.ground.clock.now()), new AbortController().signal);
}

const counts = async (): Promise<Record<string, number>> =>
  Object.fromEntries(
    (
      await rows<{ cluster: string; replicas: number }>(
        world.db.database,
        `select c.name as cluster, w.replicas from workload w join cluster c on c.id = w.cluster_id where w.removed_at is null order by c.name`,
      )
    ).map(({ cluster, replicas }) => [cluster, replicas]),
  );

const declareLost = async (name: string, lost = true) => {
  const clusterId = name === 'acme' ? world.ground.clusterId : world.ground.others.get(name)!.id;
  const outcome = await fleetOf(world.ground).declareLost(world.plane.caller, { clusterId, lost, expectedVersion: null });
  expect(outcome).toMatchObject({ ok: true });
};

/** The cluster is out of sight, or back, for so long. */
const sight = async (reachable: boolean, ms: number) => {
  world.east.reachable = reachable;
  await world.passes(40);
  world.ground.clock.advance(ms);
};

const wish = { replicas: 4, maxReplicas: 10, ...on(['east', 1], ['west', 1, 1]) };

describe('Failover: unknown is not dead', () => {
  test('a cluster out of sight keeps what it has; the standby grows once that is confirmed, and shrinks when it is back', async () => {
    await world.plane.deploy(1, { ...wish, clusters: on(['east', 4], ['west', 1, 1]).clusters });
    await world.plane.until(({ phase }) => phase === 'READY');
    expect(await counts()).toEqual({ east: 4, west: 1 });
    await sight(false, 0);
    await pass();
    expect(await counts()).toEqual({ east: 4, west: 1 });
    await sight(false, CONFIRM_MS);
    await pass();
    expect(await counts()).toEqual({ east: 4, west: 4 });
    expect(world.east.running()).toEqual(['v1 serving ×4']);
    await pass();
    await sight(true, 0);
    await pass();
    expect(await counts()).toEqual({ east: 4, west: 4 });
    await sight(true, CONFIRM_MS);
    await pass();
    expect(await counts()).toEqual({ east: 4, west: 1 });
    const kinds = await rows<{ kind: string }>(world.db.database, `select kind from decision order by id`);
    expect(kinds.map(({ kind }) => kind)).toEqual(['deploy', 'failover', 'failover']);
  });

  test('the standby grows as far as the wish allows, and what cannot be seen counts', async () => {
    await world.plane.deploy(1, { ...wish, maxReplicas: 6, clusters: on(['east', 4], ['west', 1, 1]).clusters });
    await world.plane.until(({ phase }) => phase === 'READY');
    await sight(false, CONFIRM_MS);
    await pass();
    expect(await counts()).toEqual({ east: 4, west: 2 });
  });
});

describe('Failover: what a person declares lost is wished elsewhere', () => {
  test('the other clusters of the wish take it, and what ran there is wished no more', async () => {
    await world.plane.deploy(1, { replicas: 4, maxReplicas: 8, ...on(['east', 1], ['west', 1]) });
    await world.plane.until(({ phase }) => phase === 'READY');
    world.east.reachable = false;
    await declareLost('east');
    await pass();
    expect(await counts()).toEqual({ west: 4 });
    await pass();
    const kinds = await rows<{ kind: string }>(world.db.database, `select kind from decision where kind = 'failover'`);
    expect(kinds).toHaveLength(1);
    // It comes back after all: what it still runs goes.
    world.east.reachable = true;
    await world.plane.until(() => world.east.running().length === 0);
    expect(world.west.running()).toEqual(['v1 serving ×4']);
  });

  test('where machines are rented, another place is found within the policy, under the same limits', async () => {
    const source = { provider: 'sim', region: 'aws/us-east-1', zones: [], maxNodes: 10, config: {} };
    const [north, south] = [
      await addCluster(world.ground, 'north', undefined, [source]),
      await addCluster(world.ground, 'south', undefined, [source]),
    ];
    const plane = await makeControlPlane(world.ground, { holder: 'two' });
    expect(await plane.deploy(1, { replicas: 2 })).toMatchObject({ ok: true });
    expect(Object.keys(await counts())).toEqual(['north']);
    await plane.until(({ phase }) => phase === 'READY');
    north.reachable = false;
    await declareLost('north');
    await pass(plane);
    await plane.until(() => south.running().join() === 'v1 serving ×2');
    const [{ places } = { places: [] }] = await rows<{ places: { cluster: string }[] }>(
      world.db.database,
      `select spec->'placement'->'places' as places from deployment`,
    );
    expect(places.map(({ cluster }) => cluster)).toEqual(['south']);
    await pass(plane);
    expect(await counts()).toEqual({ south: 2 });
  });
});

describe('Failover: the plan', () => {
  const cluster = (name: string, status: 'True' | 'False', since: number, lostAt: number | null = null): Cluster =>
    ({
      name,
      lostAt,
      conditions: [{ type: 'Reachable', status, reason: '', message: '', lastTransitionTime: since }],
    }) as Partial<Cluster> as Cluster;
  const workload = (clusterName: string, replicas: number, pool = ''): Workload =>
    ({ id: `${clusterName}${pool}`, clusterName, replicas, offeringId: 'o' }) as Partial<Workload> as Workload;
  const SPEC = {
    ...{ replicas: 4, maxReplicas: 10, maxSpendPerHour: 100n * PICO_PER_USD, model: 'm' },
    placement: { regions: ['aws/us-east-1'], capacityTypes: ['on_demand'], ...on(['a', 4], ['b', 1, 1]) },
  } as Partial<DeploymentSpec> as DeploymentSpec;
  const planned = (change: Pick<FailoverWorld, 'clusters'> & Partial<FailoverWorld>) =>
    planFailover(
      { spec: SPEC, workloads: [workload('a', 4), workload('b', 1)], rates: new Map([['o', PICO_PER_USD]]), ...change },
      1_000_000,
    ).changes.map(({ workload: { clusterName }, replicas, gone }) => `${clusterName} ${gone ? 'gone' : replicas}`);
  const [longAgo, justNow] = [1_000_000 - CONFIRM_MS, 999_999];

  test.each([
    ['all is seen', [cluster('a', 'True', longAgo), cluster('b', 'True', longAgo)], []],
    ['silence that is short', [cluster('a', 'False', justNow), cluster('b', 'True', longAgo)], []],
    ['silence that is long', [cluster('a', 'False', longAgo), cluster('b', 'True', longAgo)], ['b 4']],
    ['silence of all', [cluster('a', 'False', longAgo), cluster('b', 'False', longAgo)], []],
    ['a standby that is silent', [cluster('a', 'True', longAgo), cluster('b', 'False', longAgo)], []],
    ['a loss', [cluster('a', 'False', justNow, 1), cluster('b', 'True', longAgo)], ['a gone', 'b 4']],
    ['a loss of all', [cluster('a', 'False', justNow, 1), cluster('b', 'False', justNow, 1)], []],
  ])('%s', (_what, clusters, changes) => expect(planned({ clusters })).toEqual(changes));

  test('a cluster with several pools gets what it needs once', () => {
    const clusters = [cluster('a', 'False', longAgo), cluster('b', 'True', longAgo)];
    const workloads = [workload('a', 4), workload('b', 0, 'spare'), workload('b', 1)];
    expect(planned({ clusters, workloads })).toEqual(['b 4']);
    expect(planned({ clusters, workloads: [workload('a', 4), workload('b', 2, 'spare'), workload('b', 1)] })).toEqual(['b 3']);
  });

  test('money that is not there is not spent', () => {
    const clusters = [cluster('a', 'False', longAgo), cluster('b', 'True', longAgo)];
    const spec = { ...SPEC, maxSpendPerHour: 6n * PICO_PER_USD };
    expect(planned({ clusters, spec })).toEqual(['b 2']);
    expect(planned({ clusters, rates: new Map() })).toEqual([]);
  });
});
