// Machines that clusters may rent, against a real database with the whole bundled price book: whoever grows asks the source of his machines, and no more is
// held of it than is wished for or there.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SimulatedCloud } from '../../src/clouds/simulated/simulated-cloud.adapter.ts';
import { DeploymentRepository } from '../../src/deployments/deployment.repository.ts';
import type { DeployInput, DeployOptions } from '../../src/deployments/deploy.service.ts';
import { FailoverReconciler } from '../../src/deployments/failover.reconciler.ts';
import { Restoration } from '../../src/deployments/restoration.service.ts';
import { SpotRepository } from '../../src/deployments/spot.repository.ts';
import { ClusterRepository } from '../../src/fleet/cluster.repository.ts';
import { IdentityRepository } from '../../src/identity/identity.repository.ts';
import { newId } from '../../src/kernel/id.ts';
import { PICO_PER_USD } from '../../src/kernel/money.ts';
import { acquireLease } from '../../src/persistence/lease.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { principalOf, seededRandom } from '../support/actors.ts';
import type { TestDatabase } from '../support/database.ts';
import { addCluster, fleetOf, makeControlPlane, rows, type ControlPlane, type Ground } from '../support/deployments-world.ts';
import { GPU, openPlacementWorld, rentForPods, rentFrom, scalingsOf, sourceOf } from '../support/placement-world.ts';

const SCOPE = { kind: 'reconciler', loop: 'test' } as const;
const regions = ['aws/us-east-1'];

let db: TestDatabase;
let ground: Ground;
let plane: ControlPlane;

beforeEach(async () => {
  ({ db, ground, plane } = await openPlacementWorld([sourceOf('aws', 'aws/us-east-1')]));
});
afterEach(() => db.close());

const wish = { regions, resources: GPU, replicas: 2, maxSpendPerHour: 100n * PICO_PER_USD };
const deploy = (more: Partial<DeployInput> = {}, how: Partial<DeployOptions> = {}) => plane.deploy(1, { ...wish, ...more }, how);
const rent = (maxNodes: number) => rentFrom(ground, plane, [sourceOf('aws', 'aws/us-east-1', maxNodes)]);
const scalings = () => scalingsOf(db.database);

/** A team beside the one of the test. */
async function otherTeam(): Promise<string> {
  const id = newId(ground.clock.now(), ground.random);
  await db.database.write(SCOPE, (tx) =>
    new IdentityRepository().insertTeam(tx, { id, name: 'other', version: 1, createdAt: ground.clock.now() }),
  );
  return id;
}

describe('Placement: what a source may rent is asked of it by whoever grows', () => {
  test('a pool that was made and never had a machine holds nothing once nothing is wished there', async () => {
    await rent(3);
    expect(await deploy()).toMatchObject({ ok: true });
    const second = () => plane.deploy(1, { ...wish, name: 'second' });
    expect(await second()).toMatchObject({ ok: false, error: { code: 'NO_CAPACITY' } });
    expect(await plane.deployments.delete(plane.caller, plane.ref)).toMatchObject({ ok: true });
    for (let n = 0; n < 10; n += 1) {
      ground.clock.advance(1_000);
      await plane.pass();
    }
    expect(await second()).toMatchObject({ ok: true });
  });

  test('of a pool that several share each gives back its own part, and those of other teams count', async () => {
    await rent(6);
    const tenant = principalOf('team_admin', ground.teamId);
    const asTenant = (name: string, how: Partial<DeployOptions> = {}) =>
      plane.deploys.deploy(
        { principal: tenant, idempotencyKey: null },
        { ...wish, name, project: { teamName: 'acme', name: 'demo' }, model: 'digits', version: { number: 1 } },
        { dryRun: false, planHash: null, expectedVersion: null, ...how },
      );
    expect(await asTenant('digits')).toMatchObject({ ok: true });
    // Four are held: two, and two for a rollout of them.
    expect(await asTenant('second')).toMatchObject({ ok: true });
    expect(await scalings()).toMatchObject([{ maxNodes: 6 }]);
    const other = await otherTeam();
    await db.database.write(SCOPE, (tx) => sqlOf(tx).execute(`update workload set team_id = $1`, [other]));
    expect(await asTenant('third', { dryRun: true })).toMatchObject({ ok: false, error: { code: 'NO_CAPACITY' } });
    await db.database.write(SCOPE, (tx) => sqlOf(tx).execute(`update workload set team_id = $1`, [ground.teamId]));
    await plane.until(({ phase }) => phase === 'READY');
    expect(await plane.deployments.scale(plane.caller, plane.ref, 0)).toMatchObject({ ok: true });
    expect(await asTenant('third')).toMatchObject({ ok: true });
    expect(await scalings()).toMatchObject([{ maxNodes: 6 }]);
  });

  test('what gave way gets its machines back only where its source has them, and no pool is let grow beyond it', async () => {
    await rent(3);
    const { clock, random, teamId } = ground;
    const quota = { id: newId(clock.now(), random), teamId, projectId: null, resource: 'replicas' as const };
    const limit = (maximum: bigint, version: number) =>
      db.database.write(SCOPE, (tx) =>
        new IdentityRepository().saveQuota(tx, { ...quota, maximum, version }, { at: clock.now(), principal: 'test' }),
      );
    const held = async () =>
      (
        await rows<{ replicas: number }>(
          db.database,
          `select w.replicas from workload w join deployment d on d.id = w.deployment_id where d.name = 'digits' and w.removed_at is null`,
        )
      ).map(({ replicas }) => replicas);
    await limit(2n, 1);
    expect(await deploy({ priority: 'low' })).toMatchObject({ ok: true });
    await plane.until(({ phase }) => phase === 'READY');
    const urgent = { ...wish, name: 'urgent', priority: 'high' as const, replicas: 1, pool: 'default' };
    expect(await plane.deploy(1, urgent)).toMatchObject({ ok: true });
    expect(await held()).toEqual([1]);
    await limit(10n, 2);
    const second = { deployment: { teamName: 'acme', projectName: 'demo', name: 'second' }, expectedVersion: null };
    expect(await plane.deploy(1, { ...wish, replicas: 1, name: 'second' })).toMatchObject({ ok: true });
    const lease = await db.database.write(SCOPE, (tx) => acquireLease(tx, 'spot', 'me'));
    const restoration = new Restoration({ ...plane.depsOf(ground.clusterId, ground.cluster), spot: new SpotRepository() });
    await restoration.pass(lease, new AbortController().signal);
    expect(await held()).toEqual([1]);
    expect(await plane.deployments.delete(plane.caller, second)).toMatchObject({ ok: true });
    for (let n = 0; n < 20; n += 1) {
      clock.advance(1_000);
      await plane.pass();
    }
    await restoration.pass(lease, new AbortController().signal);
    expect(await held()).toEqual([2]);
  });

  test('pools of one source together never have more machines than it may rent, whatever each of them is allowed', async () => {
    await rent(3);
    expect(await deploy({ replicas: 3 })).toMatchObject({ ok: true });
    const { clock, random } = ground;
    const id = newId(clock.now(), random);
    await db.database.write(SCOPE, async (tx) => {
      const values = [id, ground.others.get('mesh')!.id, clock.now()];
      await sqlOf(tx).execute(
        `insert into pool (id, cluster_id, name, capacity_type, node_selector, version, created_at) values ($1, $2, 'zz', 'spot', '{}', 1, $3)`,
        values,
      );
      await sqlOf(tx).execute(
        `insert into pool_scaling (pool_id, provider, config, min_nodes, max_nodes, desired_nodes, scaled_at, version)
         values ($1, 'aws', '{"region":"us-east-1"}', 0, 2, 2, 1, 1)`,
        [id],
      );
    });
    const cloud = new SimulatedCloud({ name: 'aws', clock, random: seededRandom(1), market: { startMs: [1_000, 1_000] } });
    expect(await rentForPods(ground, cloud)).toEqual({ desired: 1, running: 1 });
  });

  test('a pool that is named, and was made for others, is asked for like any other; idle machines of it are for whoever grows there', async () => {
    await rent(3);
    expect(await deploy()).toMatchObject({ ok: true });
    const [{ name: pool } = { name: '' }] = await scalings();
    const named = () => deploy({ name: 'named', replicas: 2, clusters: [{ cluster: 'mesh', pool, weight: 100, order: 0 }] });
    expect(await named()).toMatchObject({ ok: false, error: { code: 'NO_CAPACITY' } });
    await plane.until(({ phase }) => phase === 'READY');
    expect(await plane.deployments.scale(plane.caller, plane.ref, 0)).toMatchObject({ ok: true });
    // Its machines are there still.
    await db.database.write(SCOPE, (tx) => sqlOf(tx).execute(`update pool_scaling set desired_nodes = 2, scaled_at = 1`));
    expect(await named()).toMatchObject({ ok: true });
    expect(await plane.deployments.scale(plane.caller, plane.ref, 1)).toMatchObject({
      ok: false,
      error: { code: 'NO_CAPACITY' },
    });
  });

  test('who stands by grows after a loss only as far as the source of its machines goes', async () => {
    await rent(5);
    expect(await deploy()).toMatchObject({ ok: true });
    const [{ name: pool } = { name: '' }] = await scalings();
    await addCluster(ground, 'north');
    const both = await makeControlPlane(ground, { holder: 'two' });
    const clusters = [
      { cluster: 'north', weight: 4, order: 0 },
      { cluster: 'mesh', pool, weight: 1, order: 1 },
    ];
    expect(await both.deploy(1, { ...wish, name: 'both', clusters })).toMatchObject({ ok: true });
    const { clock } = ground;
    for (let n = 0; n < 20; n += 1) {
      clock.advance(1_000);
      await both.pass();
    }
    const clusterId = ground.others.get('north')!.id;
    const lost = { clusterId, lost: true, expectedVersion: null };
    expect(await fleetOf(ground).declareLost(both.caller, lost)).toMatchObject({ ok: true });
    const lease = await db.database.write(SCOPE, (tx) => acquireLease(tx, 'failover', 'me'));
    const deps = {
      ...both.depsOf(ground.clusterId, ground.cluster),
      clusters: new ClusterRepository(),
      spot: new SpotRepository(),
    };
    const failover = new FailoverReconciler({ ...deps, spot: new SpotRepository(), deploy: both.deploys, lease: () => lease });
    const pass = async () => {
      clock.advance(10_000);
      await failover.execute(failover.plan(await failover.prepare(), clock.now()), new AbortController().signal);
      return rows<{ replicas: number }>(
        db.database,
        `select w.replicas from workload w join deployment d on d.id = w.deployment_id
         where d.name = 'both' and w.cluster_id <> $1 and w.removed_at is null`,
        [clusterId],
      );
    };
    expect(await pass()).toEqual([{ replicas: 1 }]);
    await rent(6);
    expect(await pass()).toEqual([{ replicas: 2 }]);
  });

  test('a plan that is only shown waits for nobody who places, and nobody waits for it', async () => {
    const [held, release] = [Promise.withResolvers<null>(), Promise.withResolvers<null>()];
    const placing = db.database.write(SCOPE, async (tx) => {
      await new ClusterRepository().lockSources(tx);
      await new DeploymentRepository().lockTeam(tx, ground.teamId);
      held.resolve(null);
      await release.promise;
    });
    await held.promise;
    expect(await deploy({}, { dryRun: true })).toMatchObject({ ok: true });
    release.resolve(null);
    await placing;
  });
});
