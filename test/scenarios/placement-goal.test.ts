// What interruptions cost in a plan, against a real database with the whole bundled price book: by what the wish says of an outage, and by what was lived
// through with the very pool.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DeployInput } from '../../src/deployments/deploy.service.ts';
import { planFromJson } from '../../src/deployments/plan-json.ts';
import type { PlanCandidate } from '../../src/deployments/plan.ts';
import { SpotRepository } from '../../src/deployments/spot.repository.ts';
import { PICO_PER_USD } from '../../src/kernel/money.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { newSpotRecord } from '../../src/scheduler/spot-record.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { addCluster, makeControlPlane, makeGround, rows, type ControlPlane, type Ground } from '../support/deployments-world.ts';
import { GPU, sourceOf } from '../support/placement-world.ts';
import { loadPriceBook } from '../support/price-book.ts';

const SCOPE = { kind: 'reconciler', loop: 'test' } as const;

let db: TestDatabase;
let ground: Ground;
let plane: ControlPlane;

beforeAll(async () => {
  db = await openTestDatabase();
  ground = await makeGround(db.database, 'acme');
  await loadPriceBook(ground);
  await addCluster(ground, 'mesh', undefined, [sourceOf('aws', 'aws/us-east-1')]);
  plane = await makeControlPlane(ground);
});
afterAll(() => db.close());

async function plan(more: Partial<DeployInput>, dryRun = true): Promise<readonly PlanCandidate[]> {
  const wish = {
    regions: ['aws/us-east-1'],
    capacityTypes: ['spot' as const],
    resources: GPU,
    maxSpendPerHour: 100n * PICO_PER_USD,
  };
  const outcome = await plane.deploy(1, { ...wish, ...more }, { dryRun });
  if (!outcome.ok) throw new Error(outcome.error.message);
  return planFromJson(outcome.value.plan).candidates;
}
const interruptionsOf = (candidates: readonly PlanCandidate[], offeringId: string): bigint =>
  candidates.find(({ offering }) => offering.id === offeringId)?.cost?.interruptions ?? -1n;

describe('Placement: what an interruption costs is the goal of the deployment', () => {
  test('it is what the wish says that an hour without a replica is worth; what was lived through counts from then on', async () => {
    const chosen = (await plan({}, false)).find((one) => one.chosen)!;
    const { id } = chosen.offering;
    const of = async (outageCostPerHour: string) =>
      interruptionsOf(await plan({ name: 'other', policy: { outageCostPerHour } }), id);
    const published = await of('100');
    expect(interruptionsOf([chosen], id)).toBeGreaterThan(0n);
    expect(published / interruptionsOf([chosen], id)).toBeGreaterThanOrEqual(99n);
    expect(await of('0')).toBe(0n);

    const [row] = await rows<{ poolId: string; deploymentId: string }>(
      db.database,
      `select pool_id as "poolId", deployment_id as "deploymentId" from workload`,
    );
    const { poolId, deploymentId } = row!;
    const lived = { losses: 0, expected: 30, lostShares: [], lostAt: null, calmSince: null };
    const record = { ...newSpotRecord(ground.clock.now()), pools: new Map([[poolId, lived]]) };
    await db.database.write(SCOPE, (tx) =>
      new SpotRepository().saveMemory(
        tx,
        { deploymentId, cluster: '', teamId: ground.teamId },
        { record, held: new Map(), ready: 0 },
      ),
    );
    // A pool that was held for long without a loss: a sixteenth of what is published.
    expect(await of('100')).toBeLessThan(published / 10n);
  });

  test('a version that was seen to start slowly is dearer to interrupt', async () => {
    const before = (await plan({ name: 'third' })).find((one) => one.chosen)!;
    await plane.until(({ phase }) => phase === 'READY');
    await db.database.write(SCOPE, (tx) => sqlOf(tx).execute(`update replica set capacity_from = capacity_from - 1200000`));
    const after = interruptionsOf(await plan({ name: 'third' }), before.offering.id);
    expect(after).toBeGreaterThan(2n * interruptionsOf([before], before.offering.id));
  });
});
