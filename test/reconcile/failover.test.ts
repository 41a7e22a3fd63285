// Clusters that are lost or cannot be seen, against a real database: three simulated clusters, their loops, a clock that is moved by hand.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FailoverReconciler } from '../../src/deployments/failover.reconciler.ts';
import { CONFIRM_MS, planFailover, type FailoverWorld } from '../../src/deployments/plan-failover.ts';
import type { DeployInput } from '../../src/deployments/deploy.service.ts';
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
import { acquireLease, LeaseLost, renewLease, type Lease } from '../../src/persistence/lease.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
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
    ...{ clock, random, logger: quietLogger, lease: () => lease },
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

  test('found again, it gets its share back, and who stood in shrinks once it serves', async () => {
    await world.plane.deploy(1, { ...wish, clusters: on(['east', 4], ['west', 1, 1]).clusters });
    await world.plane.until(({ phase }) => phase === 'READY');
    await declareLost('east');
    await pass();
    expect(await counts()).toEqual({ west: 4 });
    await world.plane.until(() => world.east.running().length === 0 && world.west.running().join() === 'v1 serving ×4');
    await declareLost('east', false);
    world.ground.clock.advance(CONFIRM_MS);
    await pass();
    expect(await counts()).toEqual({ east: 4, west: 4 });
    await pass();
    expect(await counts()).toEqual({ east: 4, west: 4 });
    await world.plane.until(() => world.east.running().join() === 'v1 serving ×4');
    await pass();
    expect(await counts()).toEqual({ east: 4, west: 1 });
    const before = await world.fingerprint();
    await pass();
    expect(await world.fingerprint()).toBe(before);
  });

  describe('what is placed anew', () => {
    const source = { provider: 'sim', region: 'aws/us-east-1', zones: [], maxNodes: 10, config: {} };
    /** On north, which is lost; `more` are other clusters that may rent. */
    const stranded = async (more: readonly string[], version: DeployInput['version']) => {
      const north = await addCluster(world.ground, 'north', undefined, [source]);
      for (const name of more) await addCluster(world.ground, name, undefined, [source]);
      const plane = await makeControlPlane(world.ground, { holder: 'two' });
      expect(await plane.deploy(1, { replicas: 2, version })).toMatchObject({ ok: true });
      await plane.until(({ phase }) => phase === 'READY');
      north.reachable = false;
      await declareLost('north');
      return { plane, loop: failover(plane) };
    };
    const alias = (number: number) =>
      world.db.database.write(SCOPE, (tx) =>
        sqlOf(tx).execute(
          `insert into model_alias (team_id, model_id, name, version_id, version)
           select team_id, model_id, 'stable', id, 1 from model_version where number = $1
           on conflict (model_id, name) do update set version_id = excluded.version_id, version = model_alias.version + 1`,
          [number],
        ),
      );

    test('keeps the alias of its wish and the version that it runs, wherever the alias points to by now', async () => {
      await alias(1);
      const { plane } = await stranded(['south'], { alias: 'stable' });
      await alias(2);
      await pass(plane);
      await pass(plane);
      expect(await counts()).toEqual({ south: 2 });
      const { spec, generation } = await plane.look();
      expect([spec.version, generation]).toEqual([{ alias: 'stable' }, 2]);
      const revisions = await rows<{ n: number }>(world.db.database, `select count(*)::integer as n from revision`);
      expect(revisions).toEqual([{ n: 1 }]);
    });

    test('is not touched by a leader that has lost its lease', async () => {
      const { plane, loop } = await stranded(['south'], { number: 1 });
      const plan = loop.plan(await loop.prepare(), world.ground.clock.now());
      await world.db.database.write(SCOPE, (tx) =>
        sqlOf(tx).execute(`update lease set epoch = epoch + 1 where name = 'failover'`),
      );
      await expect(loop.execute(plan, new AbortController().signal)).rejects.toThrow(LeaseLost);
      expect((await plane.look()).generation).toBe(1);
    });

    test('is tried less and less often where there is no place; why is told once', async () => {
      const { plane } = await stranded([], { number: 1 });
      await world.db.database.write(SCOPE, (tx) => sqlOf(tx).execute(`update cluster set cordoned = true`));
      let tries = 0;
      const deploys = plane.deploys;
      const counted = Object.assign(Object.create(deploys) as typeof deploys, {
        deployWithin: (...args: Parameters<typeof deploys.deployWithin>) => {
          tries += 1;
          return deploys.deployWithin(...args);
        },
      });
      const patient = failover({ ...plane, deploys: counted });
      for (let n = 0; n < 6 * 60; n += 1) {
        await world.db.database.write(SCOPE, (tx) => renewLease(tx, lease));
        await patient.execute(patient.plan(await patient.prepare(), world.ground.clock.now()), new AbortController().signal);
        world.ground.clock.advance(10_000);
      }
      expect([tries >= 5, tries <= 8]).toEqual([true, true]);
      const told = await rows<{ reasons: string[] }>(world.db.database, `select reasons from decision where kind = 'failover'`);
      expect(told).toHaveLength(1);
      expect(told[0]?.reasons[0]).toContain('finds no other place');
    }, 60_000);
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
    ({ id: `${clusterName}${pool}`, clusterName, replicas, offeringId: 'o', generation: 1 }) as Partial<Workload> as Workload;
  const SPEC = {
    ...{ replicas: 4, maxReplicas: 10, maxSpendPerHour: 100n * PICO_PER_USD, model: 'm' },
    placement: { regions: ['aws/us-east-1'], capacityTypes: ['on_demand'], ...on(['a', 4], ['b', 1, 1]) },
  } as Partial<DeploymentSpec> as DeploymentSpec;
  const planned = (change: Pick<FailoverWorld, 'clusters'> & Partial<FailoverWorld>) =>
    planFailover(
      {
        ...{ spec: SPEC, workloads: [workload('a', 4), workload('b', 1)], serving: new Map([['a', 4]]) },
        ...{ rates: new Map([['o', PICO_PER_USD]]), ...change },
      },
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

  describe('who stood in falls back by as much as the first ones serve, whatever else is lost', () => {
    const seen = (name: string, lostAt: number | null = null) => cluster(name, 'True', longAgo, lostAt);
    const SPANNING = {
      ...SPEC,
      placement: { ...SPEC.placement, ...on(['a', 4], ['c', 4], ['b', 1, 1]) },
    } as DeploymentSpec;

    test.each<[string, readonly Cluster[], Record<string, number>, Record<string, number>, string[]]>([
      ['another one of the first is lost for good', [seen('a', 1), seen('c'), seen('b')], { c: 4, b: 4 }, { c: 4 }, ['b 1']],
      ['the first ones do not serve yet', [seen('a', 1), seen('c'), seen('b')], { c: 4, b: 4 }, { c: 1 }, ['b 3']],
      ['none of them does', [seen('a', 1), seen('c'), seen('b')], { c: 4, b: 4 }, {}, []],
      [
        'one is out of sight, which says nothing',
        [seen('a', 1), cluster('c', 'False', justNow), seen('b')],
        { c: 4, b: 4 },
        { c: 4 },
        [],
      ],
      ['the lost one left the wish or the fleet', [seen('c'), seen('b')], { c: 4, b: 4 }, { c: 4 }, ['b 1']],
      ['nobody stood in', [seen('a', 1), seen('c'), seen('b')], { c: 4, b: 1 }, {}, []],
    ])('%s', (...[, clusters, replicas, serving, changes]) => {
      const workloads = Object.entries(replicas).map(([name, count]) => workload(name, count));
      expect(planned({ spec: SPANNING, clusters, workloads, serving: new Map(Object.entries(serving)) })).toEqual(changes);
    });

    test('one that is found again gets its share, as far as the limits go, and then the other half', () => {
      const clusters = [seen('a'), seen('b')];
      const fresh = { ...workload('a', 0), generation: 0 };
      const spec = { ...SPEC, maxReplicas: 6 };
      expect(planned({ clusters, workloads: [fresh, workload('b', 4)], serving: new Map() })).toEqual(['a 4']);
      expect(planned({ clusters, spec, workloads: [fresh, workload('b', 4)], serving: new Map() })).toEqual(['a 2']);
      const half = [workload('a', 2), workload('b', 4)];
      expect(planned({ clusters, spec, workloads: half, serving: new Map([['a', 2]]) })).toEqual(['b 2']);
      const rest = [workload('a', 2), workload('b', 2)];
      expect(planned({ clusters, spec, workloads: rest, serving: new Map([['a', 2]]) })).toEqual(['a 4']);
      expect(planned({ clusters, spec, workloads: [workload('a', 4), workload('b', 2)] })).toEqual(['b 1']);
    });

    test('who follows the spot market is left to it', () => {
      const clusters = [seen('a', 1), seen('c'), seen('b')];
      const spot = (pool: string) => ({ ...workload('c', 1, pool), capacityType: 'spot' as const });
      expect(planned({ spec: SPANNING, clusters, workloads: [spot('p'), spot('q'), workload('b', 1)] })).toEqual([]);
      expect(planned({ spec: SPANNING, clusters, workloads: [spot('p'), workload('b', 1)] })).toEqual(['c 4']);
    });
  });

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
