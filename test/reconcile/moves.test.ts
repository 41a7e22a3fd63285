// Prices that move while something runs, on a database with a clock that is moved by hand: what is proposed, what is moved, and what is left alone.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DecisionRepository } from '../../src/decisions/decision.repository.ts';
import { DecisionsService } from '../../src/decisions/decisions.service.ts';
import type { DeployInput } from '../../src/deployments/deploy.service.ts';
import { DeploymentRepository } from '../../src/deployments/deployment.repository.ts';
import { MovesReconciler } from '../../src/deployments/moves.reconciler.ts';
import { IdentityRepository } from '../../src/identity/identity.repository.ts';
import { newId } from '../../src/kernel/id.ts';
import { DAY_MS, HOUR_MS } from '../../src/kernel/instant.ts';
import { PICO_PER_USD } from '../../src/kernel/money.ts';
import { Commands } from '../../src/persistence/commands.ts';
import { acquireLease, renewLease, type Lease } from '../../src/persistence/lease.ts';
import { PriceRepository } from '../../src/pricing/price.repository.ts';
import { PricesService } from '../../src/pricing/prices.service.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { addCluster, makeControlPlane, makeGround, rows, type ControlPlane, type Ground } from '../support/deployments-world.ts';
import { GPU, sourceOf } from '../support/placement-world.ts';
import { loadPriceBook } from '../support/price-book.ts';
import { quietLogger } from '../support/quiet-logger.ts';

const SCOPE = { kind: 'reconciler', loop: 'test' } as const;
const T4 = { ...GPU, accelerator: { model: 'T4', countMilli: 1000, memoryMib: 8192 } };

let db: TestDatabase;
let ground: Ground;
let plane: ControlPlane;
let moves: MovesReconciler;
let lease: Lease;

beforeEach(async () => {
  db = await openTestDatabase();
  ground = await makeGround(db.database, 'acme');
  await loadPriceBook(ground);
  const sources = [sourceOf('aws', 'aws/us-east-1'), sourceOf('gcp', 'gcp/us-central1')];
  await addCluster(ground, 'mesh', undefined, sources);
  plane = await makeControlPlane(ground);
  lease = (await db.database.write(SCOPE, (tx) => acquireLease(tx, 'spot', 'me')))!;
  moves = movesOf();
});
afterEach(() => db.close());

function movesOf(): MovesReconciler {
  const { database } = db;
  const { clock, random } = ground;
  const commands = new Commands({ database, clock });
  const store = new DecisionRepository();
  return new MovesReconciler({
    ...{ database, clock, logger: quietLogger, store: new DeploymentRepository(), deploy: plane.deploys },
    prices: new PricesService({
      ...{ database, clock, random, commands },
      store: new PriceRepository(),
      catalogue: { offerings: [] } as never,
    }),
    ...{ decisions: new DecisionsService({ store, clock, random }), decided: store, lease: () => lease },
  });
}

async function pass(loop = moves): Promise<void> {
  // The lease ends by the database's clock, which is the real one.
  await db.database.write(SCOPE, (tx) => renewLease(tx, lease));
  await loop.execute(loop.plan(await loop.prepare(), ground.clock.now()), new AbortController().signal);
}

const wish = { regions: ['aws/*', 'gcp/*'], resources: T4, replicas: 2, maxSpendPerHour: 100n * PICO_PER_USD };

async function run(more: Partial<DeployInput> = {}): Promise<void> {
  const outcome = await plane.deploy(1, { ...wish, ...more });
  if (!outcome.ok) throw new Error(outcome.error.message);
  await plane.until(({ phase }) => phase === 'READY');
}

const heldOn = async (): Promise<string[]> =>
  (await rows<{ offering: string }>(db.database, `select offering_id as offering from workload where removed_at is null`)).map(
    ({ offering }) => offering,
  );

/** What it runs on costs so many times what it did, from now on. */
async function raise(times: bigint): Promise<void> {
  const [offeringId] = await heldOn();
  await db.database.write(SCOPE, async (tx) => {
    const store = new PriceRepository();
    const at = ground.clock.now();
    const [before] = await store.rowsOf(tx, [offeringId!], at);
    const usd = before!.effective * times;
    const price = { list: usd, contracted: usd, effective: usd, effectiveFrom: at, observedAt: at, source: 'override' };
    await store.append(tx, { ...price, id: newId(at, ground.random), offeringId: offeringId!, state: 'believed' }, 'test');
  });
}

const proposals = () =>
  rows<{ reasons: string[]; saving: string }>(
    db.database,
    `select reasons, expected_saving as saving from decision where kind = 'move' order by id`,
  );

describe('Worth-it: what runs where it has become dear', () => {
  test('a cheaper place is proposed once, with what it saves, when prices have been so for long enough', async () => {
    await run();
    const before = await heldOn();
    await pass();
    await raise(4n);
    await pass();
    expect(await proposals()).toEqual([]);
    ground.clock.advance(15 * DAY_MS);
    await pass();
    const [proposal, ...others] = await proposals();
    expect(others).toEqual([]);
    expect(proposal!.reasons[0]).toMatch(/^Placed anew it would be 2 on mesh\/\S+, [0-9.]+ USD per hour less than now\.$/);
    expect(proposal!.reasons[1]).toMatch(/^It saves [0-9.]+ USD in 24 h and costs [0-9.]+ USD\.$/);
    expect(BigInt(proposal!.saving)).toBeGreaterThan(0n);
    expect(await heldOn()).toEqual(before);
    await pass();
    await pass(movesOf());
    expect(await proposals()).toHaveLength(1);
    expect(await plane.deploy(1, { ...wish }, { placeAnew: true })).toMatchObject({ ok: true });
    await plane.until(({ phase }) => phase === 'READY');
    expect(await heldOn()).not.toEqual(before);
  });

  test('whose policy says so is moved, not again within the cooldown, and never because of a short peak', async () => {
    await run({ policy: { moves: true } });
    const before = await heldOn();
    await raise(4n);
    ground.clock.advance(HOUR_MS);
    await pass();
    expect(await heldOn()).toEqual(before);
    ground.clock.advance(15 * DAY_MS);
    await pass();
    await plane.until(({ phase }) => phase === 'READY');
    const after = await heldOn();
    expect(after).not.toEqual(before);
    expect(await proposals()).toEqual([]);
    const [decision] = await rows<{ reasons: string[]; principal: string }>(
      db.database,
      `select reasons, principal from decision where kind = 'deploy' order by id desc limit 1`,
    );
    expect(decision!.principal).toBe('reconciler:moves');
    expect(decision!.reasons.join(' ')).toMatch(/Placed anew it would be .* It saves [0-9.]+ USD in 24 h/);
    await raise(8n);
    ground.clock.advance(HOUR_MS);
    await pass();
    expect(await heldOn()).toEqual(after);
  });

  test('nobody gives way to a move: where the quota has no room for both sides it stays', async () => {
    expect(await plane.deploy(1, { ...wish, name: 'other', priority: 'low' })).toMatchObject({ ok: true });
    await run({ policy: { moves: true }, priority: 'high' });
    expect(await rows(db.database, `select 1 from deployment where phase = 'READY'`)).toHaveLength(2);
    const { clock, random, teamId } = ground;
    const quota = { teamId, projectId: null, resource: 'replicas' as const, maximum: 5n, version: 1 };
    const set = { id: newId(clock.now(), random), ...quota };
    await db.database.write(SCOPE, (tx) => new IdentityRepository().saveQuota(tx, set, { principal: 'test', at: clock.now() }));
    const before = await heldOn();
    await raise(4n);
    clock.advance(15 * DAY_MS);
    await pass();
    expect(await heldOn()).toEqual(before);
    expect(await rows(db.database, `select 1 from decision where kind = 'preempt'`)).toEqual([]);
    expect(await rows(db.database, `select 1 from decision where kind = 'deploy' and principal = 'reconciler:moves'`)).toEqual(
      [],
    );
  });

  test('where it is cheapest already nothing is said', async () => {
    await run();
    ground.clock.advance(15 * DAY_MS);
    await pass();
    expect(await proposals()).toEqual([]);
  });
});
