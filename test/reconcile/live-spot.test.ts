// One deployment over three spot pools and one of on-demand, on nodes that a simulated market rents, gives notice of and runs out of: every loop of the
// control plane on a real database, ten seconds at a time.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SpotRepository } from '../../src/deployments/spot.repository.ts';
import { PICO_PER_USD } from '../../src/kernel/money.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { addCluster } from '../support/deployments-world.ts';
import { makeSpotWorld } from '../support/spot-world.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());

const WISHED = 4;

describe('Spot: replicas follow the market', () => {
  test('preemptions, a stock-out in every zone and its end: nobody is missing, no limit is passed, and on-demand goes when spot is back', async () => {
    const cap = (PICO_PER_USD * 6n) / 10n;
    const world = await makeSpotWorld(db, 'market', { replicas: WISHED, maxReplicas: 9, maxSpendPerHour: cap });
    const onDemand = ({ wished }: Awaited<ReturnType<typeof world.state>>) => wished['steady'] ?? 0;
    let fewest = 0;
    const ticks = async (count: number) => {
      let last = await world.state();
      for (let n = 0; n < count; n += 1) {
        last = await world.tick();
        fewest = Math.min(fewest, last.ready);
        expect(last.total).toBeLessThanOrEqual(9);
        expect(last.hourly).toBeLessThanOrEqual(cap);
      }
      return last;
    };
    await ticks(25);
    fewest = WISHED;
    const calm = await ticks(10);
    expect(calm.ready).toBeGreaterThanOrEqual(WISHED);

    await world.takeBack('zone-a');
    world.restart();
    await ticks(25);
    expect(fewest).toBeGreaterThanOrEqual(WISHED);

    await world.takeBack('zone-a', 'zone-b', 'zone-c');
    const short = await ticks(25);
    expect(fewest).toBeGreaterThanOrEqual(WISHED);
    expect([onDemand(short) >= WISHED, short.ready >= WISHED]).toEqual([true, true]);

    world.market.change({ stock: {} });
    const back = await ticks(110);
    expect(fewest).toBeGreaterThanOrEqual(WISHED);
    expect([onDemand(back), back.total]).toEqual([0, WISHED]);

    const decisions = await world.decisions();
    // However many notices came, one pass is one plan.
    expect(new Set(decisions.map(({ at }) => at)).size).toBe(decisions.length);
    expect(decisions.map(({ reasons }) => reasons[0])).toContain('4 replicas are on machines that will be taken away.');
    const written = () =>
      world.rows<{ n: number }>(
        `select (select count(*) from outbox)::integer + (select sum(version) from spot_record)::integer as n`,
      );
    const before = await written();
    await ticks(10);
    expect(await written()).toEqual(before);
  });

  test('the limits of the wish hold while everything is lost: successors wait until there is room under them', async () => {
    const cap = (PICO_PER_USD * 45n) / 100n;
    const world = await makeSpotWorld(db, 'tight', { replicas: WISHED, maxReplicas: WISHED + 1, maxSpendPerHour: cap });
    for (let n = 0; n < 60; n += 1) {
      if (n === 30) await world.takeBack('zone-a', 'zone-b', 'zone-c');
      const { total, hourly } = await world.tick();
      expect([total <= WISHED + 1, hourly <= cap]).toEqual([true, true]);
    }
    const { wished, ready } = await world.state();
    expect([wished['steady'], ready]).toEqual([WISHED, WISHED]);
  });

  const update = (text: string, ...values: unknown[]) =>
    db.database.write({ kind: 'reconciler', loop: 'test' }, (tx) => sqlOf(tx).execute(text, values));
  /** Deployed through, and then without any replica: whoever follows the market starts some. */
  const empty = async (team: string, wish: Parameters<typeof makeSpotWorld>[2] = {}) => {
    const world = await makeSpotWorld(db, team, { replicas: WISHED, maxReplicas: 20, ...wish });
    await update(`update rollout set ended_at = started_at where deployment_id = $1`, world.id);
    await update(`update workload set replicas = 0 where deployment_id = $1`, world.id);
    return world;
  };

  describe('a plan is carried out only on what it was made from', () => {
    test('what a cluster said of a workload meanwhile stays said', async () => {
      const world = await makeSpotWorld(db, 'told', { replicas: WISHED, maxReplicas: 20 });
      for (let n = 0; n < 40; n += 1) await world.tick();
      await update(`update workload set replicas = 0 where deployment_id = $1`, world.id);
      const before = await world.decisions();
      await world.follow(() => update(`update workload set seen_generation = 77 where deployment_id = $1`, world.id));
      expect(await world.decisions()).toHaveLength(before.length + 1);
      const seen = await world.rows<{ seen: number }>(
        `select seen_generation as seen from workload where deployment_id = $1 and removed_at is null`,
        [world.id],
      );
      expect(seen.length).toBeGreaterThan(1);
      for (const one of seen) expect(one.seen).toBe(77);
    });

    test('what was given up meanwhile is not brought back, nor is anything put beside it', async () => {
      const world = await empty('given-up');
      await world.follow(() => update(`update workload set removed_at = 1 where deployment_id = $1`, world.id));
      expect(await world.state()).toMatchObject({ wished: {}, total: 0 });
      expect(await world.decisions()).toEqual([]);
    });

    test('what is wished for otherwise meanwhile is planned again in the same pass', async () => {
      const world = await empty('again');
      const scale = (replicas: number) =>
        world.plane.deployments.scale(world.plane.caller, { deployment: { id: world.id }, expectedVersion: null }, replicas);
      const { total } = await world.follow(async () => {
        expect(await scale(6)).toMatchObject({ ok: true });
        await update(`update workload set replicas = 0 where deployment_id = $1`, world.id);
      });
      expect(total).toBeGreaterThanOrEqual(6);
    });
  });

  test('what is asked at every change is found by index: no row of a deployment or decision is read in vain', async () => {
    await makeSpotWorld(db, 'quiet', { replicas: 1, maxReplicas: 9, capacityTypes: ['on_demand'] });
    const spot = new SpotRepository();
    const scanned = await db.database.read({ kind: 'reconciler', loop: 'test' }, async (tx) => {
      // A table of a few rows is scanned whatever indexes it has.
      await sqlOf(tx).query(`select set_config('enable_seqscan', 'off', true)`);
      const rows = async () => {
        const [sum] = await sqlOf(tx).query<{ n: number }>(
          `select (pg_stat_get_xact_tuples_returned('deployment'::regclass) + pg_stat_get_xact_tuples_returned('decision'::regclass))::integer as n`,
        );
        return sum?.n ?? NaN;
      };
      await sqlOf(tx).query(`select id from decision where kind = 'deploy'`);
      const control = await rows();
      await spot.deploymentsOnSpot(tx);
      await spot.standingBy(tx);
      await spot.gaveWay(tx);
      return { control, asked: (await rows()) - control };
    });
    expect(scanned.control).toBeGreaterThan(0);
    expect(scanned.asked).toBe(0);
  });

  test('over several clusters each follows with its share, and all of them together stay within the limits of the wish', async () => {
    const world = await makeSpotWorld(db, 'spanning', { replicas: WISHED, maxReplicas: WISHED + 1 });
    const pools = await world.rows<{ name: string; capacityType: 'spot' | 'on_demand'; offeringId: string }>(
      `select p.name, p.capacity_type as "capacityType", p.offering_id as "offeringId" from pool p join cluster c on c.id = p.cluster_id
       where c.name = 'spanning-nodes'`,
    );
    await addCluster(
      world.ground,
      'spanning-west',
      pools.map((pool) => ({ ...pool, nodeSelector: {} })),
    );
    const clusters = ['spanning-nodes', 'spanning-west'].map((cluster) => ({ cluster, weight: 1, order: 0 }));
    expect(await world.plane.deploy(1, { clusters })).toMatchObject({ ok: true });
    await update(`update rollout set ended_at = started_at where deployment_id = $1`, world.id);
    await update(`update workload set replicas = 0 where deployment_id = $1`, world.id);
    await world.follow(() => Promise.resolve());
    const counts = await world.rows<{ cluster: string; replicas: number }>(
      `select c.name as cluster, sum(w.replicas)::integer as replicas from workload w join cluster c on c.id = w.cluster_id
       where w.deployment_id = $1 and w.removed_at is null group by c.name order by c.name`,
      [world.id],
    );
    for (const { replicas } of counts) expect(replicas).toBeGreaterThanOrEqual(WISHED / 2);
    expect(counts.map(({ cluster }) => cluster)).toEqual(['spanning-nodes', 'spanning-west']);
    expect(counts.reduce((all, { replicas }) => all + replicas, 0)).toBeLessThanOrEqual(WISHED + 1);
    expect(await world.decisions()).toHaveLength(2);
    const records = await world.rows(`select 1 from spot_record where deployment_id = $1`, [world.id]);
    expect(records).toHaveLength(2);
  });

  describe('what it does not touch', () => {
    test('what stands by on another cluster: that is as the wish and failover say', async () => {
      const clusters = ['standby-nodes', 'standby'].map((cluster, order) => ({ cluster, weight: 1, order }));
      const world = await empty('standby', { clusters });
      const changed = new Set((await world.changes()).map(({ workload }) => workload.clusterName));
      expect([...changed]).toEqual(['standby-nodes']);
    });

    test('what is on a cluster out of sight: nobody knows whether it serves', async () => {
      const world = await empty('unseen');
      expect(await world.changes()).not.toEqual([]);
      const condition = { type: 'Reachable', status: 'False', reason: 'Unreachable', message: '', lastTransitionTime: 0 };
      await update(`update cluster set conditions = $1 where name = 'unseen-nodes'`, JSON.stringify([condition]));
      expect(await world.changes()).toEqual([]);
    });
  });

  test('deployed again, replicas stay spread as they are; without spot in the wish they move, and who serves is never fewer than wished', async () => {
    const world = await makeSpotWorld(db, 'redeployed', { replicas: WISHED, maxReplicas: 14 });
    for (let n = 0; n < 40; n += 1) await world.tick();
    const deploy = (capacityTypes: readonly ('spot' | 'on_demand')[]) =>
      world.plane.deploy(1, { clusters: [{ cluster: 'redeployed-nodes', weight: 1, order: 0 }], capacityTypes, replicas: 6 });
    expect(await deploy(['spot', 'on_demand'])).toMatchObject({ ok: true });
    expect(await world.state()).toMatchObject({ total: 6, wished: { steady: 0 } });
    for (let n = 0; n < 20; n += 1) await world.tick();
    expect(await deploy(['on_demand'])).toMatchObject({ ok: true });
    let fewest = 6;
    for (let n = 0; n < 40; n += 1) fewest = Math.min(fewest, (await world.tick()).ready);
    expect(fewest).toBe(6);
    expect(await world.state()).toMatchObject({ total: 6, ready: 6, wished: { steady: 6 } });
    expect((await world.decisions()).at(-1)?.reasons.join(' ')).toContain('The wish does not allow');
  });

  test('scaled, replicas stay spread as they are; at 0 nothing is left in any pool', async () => {
    const world = await makeSpotWorld(db, 'scaled', { replicas: WISHED, maxReplicas: 9 });
    for (let n = 0; n < 40; n += 1) await world.tick();
    const spread = await world.state();
    expect([spread.wished['steady'], spread.ready]).toEqual([0, WISHED]);
    const scale = (replicas: number) =>
      world.plane.deployments.scale(world.plane.caller, { deployment: { id: world.id }, expectedVersion: null }, replicas);
    expect(await scale(6)).toMatchObject({ ok: true });
    const more = await world.state();
    expect([more.total, more.wished['steady']]).toEqual([6, 0]);
    for (const [pool, count] of Object.entries(spread.wished)) expect(more.wished[pool]).toBeGreaterThanOrEqual(count);
    expect(await scale(0)).toMatchObject({ ok: true });
    for (let n = 0; n < 5; n += 1) await world.tick();
    expect(await world.state()).toMatchObject({ total: 0, ready: 0 });
  });
});
