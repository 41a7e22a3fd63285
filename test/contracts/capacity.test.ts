// The loop of nodes on a real database, a simulated market that refuses, and pods that go where there is room: what refusals teach, how fast pools
// may grow, and what outlives a restart.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { VELOCITY_LIMITS } from '../../src/fleet/velocity-breaker.ts';
import { DAY_MS } from '../../src/kernel/instant.ts';
import { PICO_PER_USD } from '../../src/kernel/money.ts';
import { principalOf } from '../support/actors.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { small, uid } from '../support/nodes.ts';
import { makeNodesWorld, SYSTEM } from '../support/nodes-world.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());

const WORK = uid(500);

describe('Capacity: refusals teach the next plan', () => {
  test('a quota of 0 is asked about ever less often, also after a restart, by no pool of its kind, and forgotten once there is some', async () => {
    const world = await makeNodesWorld(db, { cluster: 'refused', pools: ['one', 'two'] });
    const [one, two] = [world.pools[0]!, world.pools[1]!];
    for (const pool of world.pools) await world.scale(pool, {});
    const answers = () => db.database.read(SYSTEM, (tx) => world.capacity.answers(tx));
    world.market.change({ quota: 0 });
    world.nodes.want(WORK, one.name, 2, small);
    await world.pass(10);
    world.nodes.want(uid(501), two.name, 1, small);
    world.restart();
    await world.pass(11);
    // After 1, 3 and 7 minutes; ten have passed. The other pool is of the same kind: asked once, when the time had come.
    expect((await answers()).map(({ reason, refusals, key }) => [reason, refusals, key.capacityType])).toEqual([
      ['QUOTA', 4, 'spot'],
    ]);
    const asked = await world.events('pool.grown');
    expect(asked.length).toBeLessThanOrEqual(6);
    expect(await world.events('pool.stalled')).toHaveLength(2);
    expect(await world.conditionOf(two)).toMatchObject({ status: 'False', reason: 'QUOTA' });
    world.market.change({ quota: 100 });
    await world.pass(20);
    expect(await answers()).toEqual([]);
    expect(await world.conditionOf(one)).toMatchObject({ status: 'True' });
    expect([await world.desired(one), await world.desired(two), world.nodes.running()]).toEqual([2, 1, 3]);
  });
});

describe('Velocity breaker: a runaway stops, and only a person lets it go on', () => {
  test('growth is held at the limit, also after a restart and for lost answers; shrinking is not', async () => {
    const world = await makeNodesWorld(db, { cluster: 'runaway', pools: ['burst'] });
    const pool = world.pools[0]!;
    const velocity = { ...VELOCITY_LIMITS, poolNodes: 12 };
    world.restart({ velocity });
    await world.scale(pool, { maxNodes: 50, config: { idleSeconds: '60' } });
    world.market.change({ lost: 0.3 });
    world.nodes.want(WORK, pool.name, 40, small);
    for (let n = 0; n < 20; n += 1) {
      world.restart({ velocity });
      await world.pass();
    }
    world.market.change({ lost: 0 });
    await world.pass(3);
    expect(await world.desired(pool)).toBeLessThanOrEqual(12);
    expect(await world.events('pool.growth_held')).toHaveLength(1);
    const condition = await world.conditionOf(pool);
    expect(condition).toMatchObject({ status: 'False', reason: 'VELOCITY' });
    expect(condition?.message).toContain('purser clusters resume-growth');

    const resume = (more: object = {}, caller = world.admin) =>
      world.service.resumeGrowth(caller, { poolId: pool.id, all: false, expectedVersion: null, ...more });
    const stranger = { ...world.admin, principal: principalOf('team_admin', uid(1)) };
    expect(await resume({}, stranger)).toMatchObject({ error: { code: 'NOT_FOUND' } });
    expect(await resume({ expectedVersion: 7 })).toMatchObject({ error: { code: 'CONFLICT' } });
    expect(await resume({ all: true })).toMatchObject({ error: { code: 'PRECONDITION_FAILED' } });
    expect(await resume()).toMatchObject({ ok: true });
    const before = await world.desired(pool);
    await world.pass(5);
    expect(await world.desired(pool)).toBe(before + 12);
    expect(await world.events('pool.growth_held')).toHaveLength(2);

    world.nodes.want(WORK, pool.name, 0, small);
    await world.pass(20);
    expect([await world.desired(pool), world.nodes.running()]).toEqual([0, 0]);
  });
});

describe('Velocity breaker: what is long over is forgotten', () => {
  test('growth and released holds, some at a time; what is held, and what is of late, stays', async () => {
    const world = await makeNodesWorld(db, { cluster: 'pruned', pools: ['old', 'held'] });
    const [old, held] = [world.pools[0]!.id, world.pools[1]!.id];
    const left = async () => [
      (await world.rows<{ at: number }>(`select at from pool_growth where pool_id = $1 order by at`, [old])).map(({ at }) => at),
      (await world.rows<{ id: string }>(`select id from growth_hold where pool_id in ($1, $2) order by id`, [old, held])).map(
        ({ id }) => id,
      ),
    ];
    await db.database.write(SYSTEM, async (tx) => {
      for (const at of [1, 2, 3, 50, 60]) await world.capacity.addGrowth(tx, { poolId: old, at, nodes: 1, hourly: null });
      const facts = { heldAt: 1, message: 'it is held', releasedAt: null };
      await world.capacity.hold(tx, { ...facts, id: uid(901), poolId: old });
      await world.capacity.release(tx, old, { at: 10, principal: 'somebody' });
      await world.capacity.hold(tx, { ...facts, id: uid(902), poolId: old });
      await world.capacity.release(tx, old, { at: 60, principal: 'somebody' });
      await world.capacity.hold(tx, { ...facts, id: uid(903), poolId: held });
    });
    const prune = (limit: number) => db.database.write(SYSTEM, (tx) => world.capacity.prune(tx, 50, limit));
    expect(await prune(2)).toBe(3);
    expect(await left()).toEqual([
      [3, 50, 60],
      [uid(902), uid(903)],
    ]);
    expect([await prune(2), await prune(2)]).toEqual([1, 0]);
    expect(await left()).toEqual([
      [50, 60],
      [uid(902), uid(903)],
    ]);
  });
});

describe('Consolidation: what is half empty is emptied, and given back', () => {
  test('replicas move before their node goes, the bill falls, the decision says what it saves, and then nothing is written', async () => {
    const world = await makeNodesWorld(db, { cluster: 'halves', pools: ['web'], price: PICO_PER_USD });
    const pool = world.pools[0]!;
    await world.scale(pool, {});
    const third = { cpuMilli: 600, memoryMib: 256, accelerator: null };
    for (const n of [1, 2, 3]) world.nodes.want(uid(600 + n), pool.name, 3, third);
    await world.pass(4);
    expect([await world.desired(pool), world.nodes.running()]).toEqual([3, 9]);
    for (const n of [1, 2, 3]) world.nodes.want(uid(600 + n), pool.name, 1, third);
    await world.pass(4);
    expect(world.nodes.running()).toBe(3);
    await world.pass(1, 15 * DAY_MS);
    let fewest = 3;
    for (let n = 0; n < 600 && (await world.desired(pool)) > 1; n += 1) {
      await world.pass();
      fewest = Math.min(fewest, world.nodes.running());
    }
    expect([await world.desired(pool), fewest]).toEqual([1, 3]);
    const decisions = await world.rows<{ saving: string; reasons: string[] }>(
      `select expected_saving::text as saving, reasons from decision where kind = 'consolidate' and subject_id = $1 order by at`,
      [pool.id],
    );
    expect(await world.events('pool.consolidated')).toHaveLength(decisions.length);
    expect(decisions.length).toBeGreaterThan(0);
    expect(BigInt(decisions[0]?.saving ?? 0)).toBeGreaterThan(20n * PICO_PER_USD);
    await world.pass(5);
    const written = async () => (await world.rows<{ n: number }>(`select count(*)::integer as n from outbox`))[0]?.n;
    const before = await written();
    await world.pass(20);
    expect(await written()).toBe(before);
  });
});
