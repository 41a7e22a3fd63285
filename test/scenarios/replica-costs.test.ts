// What replicas cost, asked in every way in which somebody is allowed or refused something by it: a property over the pure cores, then a real database
// with machines that replicas share, quotas that are met to the pico-dollar, and a price that nobody knows.
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { DeployInput } from '../../src/deployments/deploy.service.ts';
import { hourlyOf, hourlyOfReplica, type PricedPool } from '../../src/deployments/placement.ts';
import { planFromJson } from '../../src/deployments/plan-json.ts';
import type { Plan } from '../../src/deployments/plan.ts';
import { planPreemption } from '../../src/deployments/plan-preemption.ts';
import { Restoration } from '../../src/deployments/restoration.service.ts';
import { SpotRepository } from '../../src/deployments/spot.repository.ts';
import { hourlyOfWorkloads } from '../../src/deployments/workload-cost.ts';
import { IdentityRepository } from '../../src/identity/identity.repository.ts';
import type { Json } from '../../src/kernel/event.ts';
import { newId } from '../../src/kernel/id.ts';
import { PICO_PER_USD } from '../../src/kernel/money.ts';
import { acquireLease } from '../../src/persistence/lease.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { addCluster, makeControlPlane, makeGround, rows, type ControlPlane, type Ground } from '../support/deployments-world.ts';
import { uid } from '../support/nodes.ts';

const SCOPE = { kind: 'reconciler', loop: 'test' } as const;
const REGION = 'aws/us-east-1';
/** A third of an m5.large (0.10 USD per hour), so that three share one; 0.10 is no multiple of three pico-dollars. */
const THIRD = { cpuMilli: 600, memoryMib: 256, accelerator: null };

describe('What replicas cost: one rule for plan, limits, quotas and preemption', () => {
  const pool = fc.record({
    price: fc.bigInt({ min: 1n, max: 10n ** 15n }),
    perMachine: fc.integer({ min: 1, max: 8 }),
    replicas: fc.integer({ min: 0, max: 20 }),
  });

  test('they agree to the pico-dollar, whatever shares machines', () => {
    fc.assert(
      fc.property(fc.array(pool, { minLength: 1, maxLength: 4 }), (pools) => {
        const places = pools.map((one) => one as PricedPool);
        const workloads = pools.map(({ perMachine, replicas }, n) => ({ offeringId: uid(n), perMachine, replicas }));
        const rates = new Map(pools.map(({ price }, n) => [uid(n), price]));
        const machines = pools.reduce((all, one) => all + one.price * BigInt(Math.ceil(one.replicas / one.perMachine)), 0n);
        expect(hourlyOf(places)).toBe(machines);
        expect(hourlyOfWorkloads(workloads, rates)).toBe(machines);
        const [first] = pools;
        const share = hourlyOfReplica(places) * BigInt(first!.replicas);
        const exact = first!.price * BigInt(Math.ceil(first!.replicas / first!.perMachine));
        expect(share - exact).toBeGreaterThanOrEqual(0n);
        expect(share - exact).toBeLessThan(BigInt(Math.max(1, first!.replicas)));
      }),
    );
  });

  test('what gives way frees exactly the machines that are needed no more', () => {
    fc.assert(
      fc.property(pool, fc.bigInt({ min: 1n, max: 10n ** 16n }), ({ price, perMachine, replicas }, by) => {
        const held = { id: uid(1), revisionId: uid(2), replicas, price, perMachine };
        const holder = { deploymentId: uid(3), projectId: uid(4), priority: 'low' as const, createdAt: 0, workloads: [held] };
        const given = planPreemption([{ projectId: null, resource: 'spend_per_hour', by }], [holder], 'high');
        const cost = (count: number): bigint => price * BigInt(Math.ceil(count / perMachine));
        const least = cost(Math.min(1, replicas));
        if (!given) expect(cost(replicas) - least).toBeLessThan(by);
        else expect(cost(replicas) - cost(given[0]!.workloads[0]!.to)).toBeGreaterThanOrEqual(by);
      }),
    );
  });
});

describe('What replicas cost: what is allowed by it', () => {
  let db: TestDatabase;
  let ground: Ground;
  let plane: ControlPlane;

  beforeEach(async () => {
    db = await openTestDatabase();
    ground = await makeGround(db.database, 'acme');
    await addCluster(ground, 'mesh', undefined, [{ provider: 'aws', region: REGION, maxNodes: 10, zones: [], config: {} }]);
    plane = await makeControlPlane(ground);
  });
  afterEach(() => db.close());

  const wish = { regions: [REGION], resources: THIRD, replicas: 7 };
  const deploy = (more: Partial<DeployInput> = {}, dryRun = false) => plane.deploy(1, { ...wish, ...more }, { dryRun });
  const shown = (outcome: { ok: true; value: { plan: Json } } | { ok: false; error: { message: string } }): Plan => {
    if (!outcome.ok) throw new Error(outcome.error.message);
    return planFromJson(outcome.value.plan);
  };
  const spendQuota = (maximum: bigint, version: number) =>
    db.database.write(SCOPE, (tx) => {
      const { clock, random, teamId } = ground;
      const quota = { teamId, projectId: null, resource: 'spend_per_hour' as const, maximum, version };
      const id = quotaId ?? (quotaId = newId(clock.now(), random));
      return new IdentityRepository().saveQuota(tx, { id, ...quota }, { at: clock.now(), principal: 'test' });
    });
  let quotaId: string | null = null;
  beforeEach(() => void (quotaId = null));
  const scale = (replicas: number, dryRun = false) => plane.deployments.scale(plane.caller, { ...plane.ref, dryRun }, replicas);

  test('a plan, the scaling to the same number, and a quota that is met to the pico-dollar say the same', async () => {
    const [first, again] = [shown(await deploy({}, true)), shown(await deploy())];
    // Seven replicas, three to a machine.
    const machines = (3n * PICO_PER_USD) / 10n;
    expect([first.peakHourly, again.peakHourly, first.places[0]!.hourly]).toEqual([machines, machines, machines]);
    await plane.until(({ phase }) => phase === 'READY');
    const { id } = await plane.look();
    const hourly = await db.database.read(SCOPE, (tx) => plane.deployments.hourly(tx, [id]));
    expect(hourly.get(id)).toBe(machines);
    expect(shown(await scale(7, true))).toMatchObject({ peakHourly: machines, costDelta: 0n });
    expect(shown(await scale(9, true))).toMatchObject({ peakHourly: machines, costDelta: 0n });
    await spendQuota(2n * machines, 1);
    expect(await deploy({ name: 'second' }, true)).toMatchObject({ ok: true });
    expect(await deploy({ name: 'second' })).toMatchObject({ ok: true });
    await spendQuota(2n * machines - 1n, 2);
    expect(await scale(8)).toMatchObject({ ok: false, error: { code: 'QUOTA_EXCEEDED' } });
    await spendQuota(2n * machines, 3);
    expect(await scale(9)).toMatchObject({ ok: true });
    expect(await scale(10)).toMatchObject({ ok: false, error: { code: 'QUOTA_EXCEEDED' } });
  });

  test('what only shrinks needs no room: a quota that was lowered since keeps nobody from letting go', async () => {
    shown(await deploy());
    await spendQuota(1n, 1);
    expect(await scale(8)).toMatchObject({ ok: false, error: { code: 'QUOTA_EXCEEDED' } });
    expect(await scale(3)).toMatchObject({ ok: true });
    expect(await scale(0)).toMatchObject({ ok: true });
  });

  test('what gave way does not come back while nobody knows its price', async () => {
    shown(await deploy({ priority: 'low', replicas: 6 }));
    await plane.until(({ phase }) => phase === 'READY');
    const machine = PICO_PER_USD / 10n;
    await spendQuota(2n * machine, 1);
    shown(await deploy({ name: 'urgent', priority: 'high', replicas: 1 }));
    const held = () =>
      rows<{ replicas: number }>(
        db.database,
        `select w.replicas from workload w join deployment d on d.id = w.deployment_id where d.name = 'digits'`,
      );
    expect(await held()).toEqual([{ replicas: 3 }]);
    await spendQuota(1_000n * machine, 2);
    const lease = await db.database.write(SCOPE, (tx) => acquireLease(tx, 'spot', 'me'));
    const restoration = new Restoration({ ...plane.depsOf(ground.clusterId, ground.cluster), spot: new SpotRepository() });
    const believe = (state: string) =>
      db.database.write(SCOPE, (tx) => sqlOf(tx).execute(`update price set state = $1`, [state]));
    await believe('quarantined');
    await restoration.pass(lease, new AbortController().signal);
    expect(await held()).toEqual([{ replicas: 3 }]);
    await believe('believed');
    await restoration.pass(lease, new AbortController().signal);
    expect(await held()).toEqual([{ replicas: 6 }]);
  });

  test('a price that nobody knows is not free: nothing grows by it, neither under maxSpendPerHour nor under a quota', async () => {
    shown(await deploy());
    shown(await deploy({ name: 'other', replicas: 1 }));
    await plane.until(({ phase }) => phase === 'READY');
    const known = await rows<{ id: string }>(db.database, `select distinct offering_id as id from workload`);
    await db.database.write(SCOPE, async (tx) => {
      await sqlOf(tx).execute(`update price set state = 'quarantined' where offering_id = any ($1::uuid[])`, [
        known.map(({ id }) => id),
      ]);
    });
    expect(await scale(8)).toMatchObject({ ok: false, error: { code: 'LIMIT_EXCEEDED' } });
    await spendQuota(1_000n * PICO_PER_USD, 1);
    const elsewhere = await deploy({ name: 'third', replicas: 1 });
    expect(elsewhere).toMatchObject({ ok: false, error: { code: 'QUOTA_EXCEEDED' } });
    expect(await scale(6)).toMatchObject({ ok: true });
    expect(await scale(0)).toMatchObject({ ok: true });
  });
});
