// Deployments over several clusters: real services and a real database, clusters in memory that behave and can be cut off, and a clock that is
// moved by hand. A pass is one of every cluster's loop, one after the other.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { planOf } from '../../src/deployments/deploy.service.ts';
import { fleetOf, rows } from '../support/deployments-world.ts';
import { on, openSpanningWorld, type SpanningWorld } from '../support/spanning-world.ts';

let world: SpanningWorld;

beforeEach(async () => {
  world = await openSpanningWorld();
});
afterEach(() => world.db.close());

const both = on(['east', 50], ['west', 50]);

describe('Several clusters: placement', () => {
  test('replicas are shared by weight, each cluster at least one, and a standby holds its part', async () => {
    const outcome = await world.plane.deploy(1, { replicas: 4, ...on(['east', 75], ['west', 25], ['acme', 50, 1]) });
    expect(outcome).toMatchObject({ ok: true });
    await world.plane.until(({ phase }) => phase === 'READY');
    expect([world.east.running(), world.west.running(), world.ground.cluster.running()]).toEqual([
      ['v1 serving ×3'],
      ['v1 serving ×1'],
      ['v1 serving ×2'],
    ]);
    const plan = outcome.ok ? planOf(outcome.value.plan) : null;
    expect(plan?.actions.find(({ kind }) => kind === 'PLACE')?.message).toBe(
      'Place 3 on east/default, 1 on west/default, 2 on acme/default.',
    );
  });

  test('all clusters count for the guards and quotas', async () => {
    const more = { replicas: 4, maxReplicas: 5, ...on(['east', 100], ['west', 100, 1]) };
    expect(await world.plane.deploy(1, more)).toMatchObject({ ok: false, error: { code: 'LIMIT_EXCEEDED' } });
    expect(await world.plane.deploy(1, { ...more, maxReplicas: 8 })).toMatchObject({ ok: true });
  });

  test('without a name the first registered cluster that takes replicas is taken, and kept', async () => {
    await world.plane.deploy(1);
    await world.readyOn(1, [world.ground.cluster, 1]);
    await world.plane.deploy(2);
    await world.readyOn(2, [world.ground.cluster, 1]);
    expect([...world.east.effects, ...world.west.effects]).toEqual([]);
  });

  test.each([
    ['one that is not there', on(['north', 1]), 'NO_CAPACITY'],
    ['the same twice', on(['east', 1], ['east', 1]), 'INVALID_INPUT'],
    ['none with a weight', on(['east', 0]), 'INVALID_INPUT'],
    ['a pool that is not there', { clusters: [{ cluster: 'east', pool: 'gpu', weight: 1, order: 0 }] }, 'NO_CAPACITY'],
  ])('refused: %s', async (_what, more, code) => {
    expect(await world.plane.deploy(1, more)).toMatchObject({ ok: false, error: { code } });
  });

  test('a cluster that takes nothing new takes no new deployment, and goes on with what it has', async () => {
    await world.plane.deploy(1, both);
    await world.readyOn(1, [world.east, 1], [world.west, 1]);
    const admin = { principal: world.plane.admin, idempotencyKey: null };
    const { id } = await world.row('east');
    expect(await fleetOf(world.ground).cordon(admin, { clusterId: id, cordoned: true, expectedVersion: null })).toMatchObject({
      ok: true,
    });
    expect(await world.plane.deploy(1, { ...both, name: 'other' })).toMatchObject({ ok: false, error: { code: 'NO_CAPACITY' } });
    expect(await world.plane.deploy(2)).toMatchObject({ ok: true });
    await world.readyOn(2, [world.east, 1], [world.west, 1]);
  });

  test('a move drains the old cluster only once the new one serves', async () => {
    await world.plane.deploy(1, { replicas: 2, ...on(['east', 1]) });
    await world.readyOn(1, [world.east, 2]);
    await world.plane.deploy(1, on(['west', 1]));
    for (let n = 0; n < 20 && world.east.running().length > 0; n += 1) {
      if (!world.east.running().join().includes('serving ×2')) expect(world.west.running()).toEqual(['v1 serving ×2']);
      await world.passes(1);
    }
    expect(world.east.running()).toEqual([]);
    await world.readyOn(1, [world.west, 2]);
    expect(await rows(world.db.database, `select 1 from revision`)).toHaveLength(1);
  });

  test('deleting ends it everywhere', async () => {
    await world.plane.deploy(1, both);
    await world.readyOn(1, [world.east, 1], [world.west, 1]);
    await world.plane.deployments.delete(world.plane.caller, world.plane.ref);
    await world.passes(8);
    expect([...world.east.running(), ...world.west.running()]).toEqual([]);
    await expect(world.plane.look()).rejects.toThrow('no such deployment');
  });
});

describe('Several clusters: one cannot be seen', () => {
  test('it is said once, nothing is deleted or launched anywhere, the rest serves; it heals without doubling', async () => {
    await world.plane.deploy(1, { replicas: 4, ...both });
    await world.readyOn(1, [world.east, 2], [world.west, 2]);
    const effects = [world.east.effects.length, world.west.effects.length];
    const replicas = await rows(world.db.database, `select id from replica order by id`);
    world.west.reachable = false;
    await world.passes(3);
    expect(await world.clusterEvents()).toEqual([]);
    await world.passes(5);
    expect(await world.clusterEvents()).toEqual(['cluster.unreachable west']);
    expect((await world.row('west')).conditions.find(({ type }) => type === 'Reachable')).toMatchObject({
      status: 'False',
      message: 'unplugged',
    });
    const seen = await world.plane.look();
    expect(seen.phase).toBe('DEGRADED');
    expect(seen.conditions.find(({ type }) => type === 'Ready')).toMatchObject({ status: 'False', reason: 'ClusterUnknown' });
    expect(seen.conditions.find(({ type }) => type === 'Ready')?.message).toContain('Cluster west cannot be seen');
    expect(seen.conditions.find(({ type }) => type === 'Available')).toMatchObject({ status: 'True' });

    const before = await world.fingerprint();
    await world.passes(10, 60_000);
    expect(await world.fingerprint()).toBe(before);
    world.west.reachable = true;
    await world.readyOn(1, [world.east, 2], [world.west, 2]);
    expect(await world.clusterEvents()).toEqual(['cluster.unreachable west', 'cluster.reachable west']);
    expect([world.east.effects.length, world.west.effects.length]).toEqual(effects);
    expect(await rows(world.db.database, `select id from replica order by id`)).toEqual(replicas);
  });

  test('silent for long: a person is told once what he can do, and nothing is moved; lost or back, it is not said again', async () => {
    await world.plane.deploy(1, { replicas: 4, ...both });
    await world.readyOn(1, [world.east, 2], [world.west, 2]);
    world.west.reachable = false;
    await world.passes(25, 60_000);
    expect(await world.clusterEvents()).toEqual(['cluster.unreachable west', 'cluster.silent west']);
    const told = await rows<{ message: string; severity: string }>(
      world.db.database,
      `select message, severity from outbox where type = 'cluster.silent'`,
    );
    expect(told).toMatchObject([{ severity: 'error', message: expect.stringContaining('purser clusters lost west') as string }]);
    expect(world.east.running()).toEqual(['v1 serving ×2']);
    const before = await world.fingerprint();
    await world.passes(25, 60_000);
    expect(await world.fingerprint()).toBe(before);
    world.west.reachable = true;
    await world.readyOn(1, [world.east, 2], [world.west, 2]);
    expect((await world.clusterEvents()).at(-1)).toBe('cluster.reachable west');
  });

  test('a blink shorter than the grace is not said', async () => {
    await world.plane.deploy(1, both);
    await world.readyOn(1, [world.east, 1], [world.west, 1]);
    for (let n = 0; n < 4; n += 1) {
      world.west.reachable = false;
      await world.passes(3);
      world.west.reachable = true;
      await world.passes(1);
    }
    expect(await world.clusterEvents()).toEqual([]);
    expect((await world.plane.look()).phase).toBe('READY');
  });

  test('a rollout goes on where it can be seen and ends; the other cluster follows when it is back', async () => {
    await world.plane.deploy(1, { replicas: 2, ...both });
    await world.readyOn(1, [world.east, 1], [world.west, 1]);
    world.west.reachable = false;
    await world.passes(8);
    await world.plane.deploy(2);
    await world.plane.until(({ conditions }) => conditions.some(({ reason }) => reason === 'RolloutDone'), 60);
    expect(world.east.running()).toEqual(['v2 serving ×1']);
    expect(world.west.running()).toEqual(['v1 serving ×1']);
    world.west.reachable = true;
    for (let n = 0; n < 20 && world.west.running().join() !== 'v2 serving ×1'; n += 1) {
      if (!world.west.running().join().includes('v1 serving')) expect(world.west.running().join()).toContain('v2 serving ×1');
      await world.passes(1);
    }
    await world.readyOn(2, [world.east, 1], [world.west, 1]);
  });

  test('what may be the only serving side is not drained: a move to a cluster out of sight waits', async () => {
    await world.plane.deploy(1, on(['east', 1]));
    await world.readyOn(1, [world.east, 1]);
    world.west.reachable = false;
    await world.passes(8);
    await world.plane.deploy(1, on(['west', 1]));
    await world.passes(20, 10_000);
    expect(world.east.running()).toEqual(['v1 serving ×1']);
    world.west.reachable = true;
    await world.readyOn(1, [world.west, 1]);
    await world.passes(5);
    expect(world.east.running()).toEqual([]);
  });

  test('all out of sight: nothing moves, and the status says so', async () => {
    await world.plane.deploy(1, both);
    await world.readyOn(1, [world.east, 1], [world.west, 1]);
    [world.east.reachable, world.west.reachable] = [false, false];
    await world.plane.deploy(2);
    await world.passes(10, 60_000);
    const { conditions } = await world.plane.look();
    expect(conditions.find(({ type }) => type === 'Ready')).toMatchObject({ status: 'Unknown', reason: 'ClusterUnknown' });
    [world.east.reachable, world.west.reachable] = [true, true];
    await world.readyOn(2, [world.east, 1], [world.west, 1]);
  });

  test('a deletion ends where it can be seen and waits for the rest', async () => {
    await world.plane.deploy(1, both);
    await world.readyOn(1, [world.east, 1], [world.west, 1]);
    world.west.reachable = false;
    await world.passes(8);
    await world.plane.deployments.delete(world.plane.caller, world.plane.ref);
    await world.passes(8);
    expect([world.east.running(), world.west.running()]).toEqual([[], ['v1 serving ×1']]);
    expect((await world.plane.look()).phase).toBe('DELETING');
    world.west.reachable = true;
    await world.passes(8);
    expect(world.west.running()).toEqual([]);
    await expect(world.plane.look()).rejects.toThrow('no such deployment');
  });
});

describe('Several clusters: a steady state writes nothing', () => {
  test('with every loop passing', async () => {
    await world.plane.deploy(1, { replicas: 3, ...on(['east', 2], ['west', 1], ['acme', 1, 1]) });
    await world.plane.until(({ phase }) => phase === 'READY');
    await world.passes(3);
    const before = await world.fingerprint();
    await world.passes(5, 10_000);
    expect(await world.fingerprint()).toBe(before);
  });

  test('a rollout that fails on one cluster goes back on all', async () => {
    await world.plane.deploy(1, { replicas: 2, ...both });
    await world.readyOn(1, [world.east, 1], [world.west, 1]);
    world.west.behaviours.set('2', 'failing');
    await world.plane.deploy(2);
    await world.plane.until(({ conditions }) => conditions.some(({ reason }) => reason === 'RolloutRolledBack'), 60);
    expect([world.east.running(), world.west.running()]).toEqual([['v1 serving ×1'], ['v1 serving ×1']]);
    await world.passes(3);
    const before = await world.fingerprint();
    await world.passes(5, 10_000);
    expect(await world.fingerprint()).toBe(before);
  });
});
