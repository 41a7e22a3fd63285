// Random wishes, rollouts, failures and returns on three simulated clusters and a real database: after every step the rows are summed.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PICO_PER_USD } from '../../src/kernel/money.ts';
import { seededRandom } from '../support/actors.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { addCluster, makeControlPlane, makeGround, rows } from '../support/deployments-world.ts';

const MOST = 8;
const CAP = (PICO_PER_USD * 7n) / 10n;
const STEPS = 25;

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());

describe('Limits: nothing exceeds maxReplicas and maxSpendPerHour', () => {
  test.each([1, 2, 3])('random wishes, rollouts that fail, failover and restarts, seed %i', async (seed) => {
    const random = seededRandom(seed);
    const one = <T>(...of: readonly T[]): T => of[Math.floor(random.fraction() * of.length)]!;
    const ground = await makeGround(db.database, `limits${seed}`);
    const [east, west] = [`east${seed}`, `west${seed}`];
    const others = [await addCluster(ground, east), await addCluster(ground, west)];
    const plane = await makeControlPlane(ground);
    const heldNow = async () => {
      const [sums] = await rows<{ replicas: number; hourly: string }>(
        db.database,
        `select coalesce(sum(w.replicas), 0)::integer as replicas,
           coalesce(sum(w.replicas * case o.instance_type when 'm5.large' then 1 else 2 end), 0)::text as hourly
         from workload w join offering o on o.id = w.offering_id where w.team_id = $1 and w.removed_at is null`,
        [ground.teamId],
      );
      return { replicas: sums?.replicas ?? 0, hourly: (BigInt(sums?.hourly ?? 0) * PICO_PER_USD) / 10n };
    };
    const clusters = () =>
      one(
        [],
        [
          { cluster: east, weight: 1, order: 0 },
          { cluster: west, weight: one(0, 1, 2), order: one(0, 1) },
        ],
      );
    const actions: readonly (() => Promise<unknown>)[] = [
      () =>
        plane.deploy(one(1, 2, 3), {
          replicas: one(0, 1, 2, 3, 4, 7, 8),
          maxReplicas: MOST,
          maxSpendPerHour: CAP,
          clusters: clusters(),
        }),
      () => plane.deployments.scale(plane.caller, plane.ref, one(0, 1, 3, 5, 8)),
      () => plane.deployments.rollback(plane.caller, plane.ref, null),
      () =>
        Promise.resolve(
          [ground.cluster, ...others].map(({ behaviours }) => behaviours.set(one('2', '3'), one('ready', 'failing', 'never'))),
        ),
      () => {
        one(ground.cluster, ...others).restart();
        return Promise.resolve();
      },
      () => {
        one(ground.cluster, ...others).reachable = one(true, true, false);
        return Promise.resolve();
      },
    ];
    let most = 0;
    for (let step = 0; step < STEPS; step += 1) {
      await one(...actions)();
      for (let n = one(0, 1, 4, 10); n >= 0; n -= 1) {
        const { replicas, hourly } = await heldNow();
        expect([replicas <= MOST, hourly <= CAP]).toEqual([true, true]);
        most = Math.max(most, replicas);
        await plane.pass();
        ground.clock.advance(one(500, 2_000, 20_000));
      }
    }
    // A run in which nothing was ever deployed would pass as well.
    expect(most).toBeGreaterThan(2);
  });
});
