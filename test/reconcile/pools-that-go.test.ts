// A deployment that is placed and a pool or cluster that is taken out at the same moment: two transactions of a real database, one of which is
// held open until the other waits for it.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ClusterRepository } from '../../src/fleet/cluster.repository.ts';
import type { Transaction } from '../../src/kernel/transaction.ts';
import { addCluster, fleetOf, makeControlPlane, rows, type ControlPlane } from '../support/deployments-world.ts';
import { eventually } from '../support/eventually.ts';
import { on, openSpanningWorld, type SpanningWorld } from '../support/spanning-world.ts';

const SCOPE = { kind: 'reconciler', loop: 'test' } as const;
const store = new ClusterRepository();
const cause = { at: 1, principal: 'test' };
const EDIT = { access: null, modelServerImage: null, routerCidrs: null, routerNamespace: null, pools: [] };

let world: SpanningWorld;
let plane: ControlPlane;
let clusterId: string;

beforeEach(async () => {
  world = await openSpanningWorld();
  const pool = { capacityType: 'on_demand' as const, offeringId: null, nodeSelector: {} };
  await addCluster(world.ground, 'north', [
    { ...pool, name: 'default' },
    { ...pool, name: 'burst' },
  ]);
  clusterId = world.ground.others.get('north')!.id;
  plane = await makeControlPlane(world.ground);
});
afterEach(() => world.db.close());

/** Does `body` in a transaction that stays open until `other`, begun meanwhile, waits for a lock; gives what `other` came to. */
async function duringWhich<T>(body: (tx: Transaction) => Promise<void>, other: () => Promise<T>): Promise<T> {
  let waiting: Promise<T> | null = null;
  await world.db.database.write(SCOPE, async (tx) => {
    await body(tx);
    waiting = other();
    await eventually(async () => {
      const locked = await rows(
        world.db.database,
        `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      );
      expect(locked).toHaveLength(1);
    });
  });
  return waiting!;
}

const pools = (tx: Transaction) => store.pools(tx, [clusterId]);
const deploy = () => plane.deploy(1, { clusters: [{ cluster: 'north', pool: 'burst', weight: 1, order: 0 }] });

describe('Several clusters: what is taken out is not used, and what is used is not taken out', () => {
  test('a deployment that meets the removal of its pool is refused', async () => {
    const outcome = await duringWhich(async (tx) => {
      const burst = (await pools(tx)).find(({ name }) => name === 'burst')!;
      await store.lockPools(tx, [burst.id], 'change');
      await store.updatePool(tx, { ...burst, version: 2, removedAt: 1 }, cause);
    }, deploy);
    expect(outcome).toMatchObject({
      ok: false,
      error: { code: 'CONFLICT', message: 'A pool was taken out meanwhile: plan again.' },
    });
    expect(await rows(world.db.database, `select 1 from workload`)).toEqual([]);
    expect(await deploy()).toMatchObject({ ok: false, error: { code: 'NO_CAPACITY' } });
  });

  test.each([
    [
      'a pool',
      (fleet: ReturnType<typeof fleetOf>) =>
        fleet.update(plane.caller, { clusterId, expectedVersion: null, edit: { ...EDIT, removePools: ['burst'] } }),
    ],
    ['a cluster', (fleet: ReturnType<typeof fleetOf>) => fleet.remove(plane.caller, { clusterId, expectedVersion: null })],
  ])('the removal of %s that meets a deployment waits for it, and is refused', async (_what, remove) => {
    await plane.deploy(1, on(['east', 1]));
    const outcome = await duringWhich(
      async (tx) => {
        await store.lockPools(
          tx,
          (await pools(tx)).map(({ id }) => id),
          'use',
        );
        await place(tx);
      },
      () => remove(fleetOf(world.ground)),
    );
    expect(outcome).toMatchObject({
      ok: false,
      error: { code: 'PRECONDITION_FAILED', message: expect.stringContaining('1 workload is still') as string },
    });
  });

  test('a cluster that was removed leaves no pool to wait for', async () => {
    expect(await fleetOf(world.ground).remove(plane.caller, { clusterId, expectedVersion: null })).toMatchObject({ ok: true });
    expect(await world.db.database.read(SCOPE, pools)).toEqual([]);
    expect(await plane.deploy(1, on(['north', 1]))).toMatchObject({ ok: false, error: { code: 'NO_CAPACITY' } });
  });
});

/** A workload in the pool `burst`, as a deployment writes it. */
async function place(tx: Transaction): Promise<void> {
  const [like] = await plane.store.workloadsOn(tx, world.ground.others.get('east')!.id);
  const burst = (await pools(tx)).find(({ name }) => name === 'burst')!;
  await plane.store.saveWorkload(tx, { ...like!, id: 'ffffffff-0000-7000-8000-000000000001', clusterId, poolId: burst.id });
}
