// Wishes that name no cluster, against a real database with the whole bundled price book: services as composed in production, clusters that
// may rent from simulated clouds, and the loop of their nodes.
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { MachineProvider } from '../../src/clouds/cloud-provider.port.ts';
import { SimulatedCloud } from '../../src/clouds/simulated/simulated-cloud.adapter.ts';
import { DeploymentRepository } from '../../src/deployments/deployment.repository.ts';
import { FleetPlanService } from '../../src/deployments/fleet-plan.service.ts';
import { Market } from '../../src/deployments/market.service.ts';
import type { DeployInput, DeployOptions } from '../../src/deployments/deploy.service.ts';
import { planFromJson } from '../../src/deployments/plan-json.ts';
import type { Plan } from '../../src/deployments/plan.ts';
import { ClusterRepository } from '../../src/fleet/cluster.repository.ts';
import type { CapacitySource } from '../../src/fleet/cluster.ts';
import type { Json } from '../../src/kernel/event.ts';
import { newId } from '../../src/kernel/id.ts';
import { PICO_PER_USD } from '../../src/kernel/money.ts';
import { err, ok } from '../../src/kernel/result.ts';
import { packageRoot } from '../../src/main/package-root.ts';
import { Commands } from '../../src/persistence/commands.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { BundledCatalogue } from '../../src/pricing/bundled-catalogue.adapter.ts';
import { PriceRepository } from '../../src/pricing/price.repository.ts';
import { PricesService } from '../../src/pricing/prices.service.ts';
import type { FleetPlanner, FleetQuestion } from '../../src/scheduler/fleet-planner.port.ts';
import { openHighsSolver } from '../../src/scheduler/highs-fleet-solver.adapter.ts';
import { planFleetExactly } from '../../src/scheduler/plan-fleet-exactly.ts';
import { planFleet } from '../../src/scheduler/plan-fleet.ts';
import { seededRandom } from '../support/actors.ts';
import { openAccount } from '../support/aws-world.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { addCluster, makeControlPlane, makeGround, rows, type ControlPlane, type Ground } from '../support/deployments-world.ts';
import { findMoto, startMoto } from '../support/moto.ts';
import { GPU, rentForPods, rentFrom, scalingsOf, sourceOf } from '../support/placement-world.ts';
import { loadPriceBook } from '../support/price-book.ts';
import type { SimulatedCluster } from '../support/simulated-cluster.ts';

const SCOPE = { kind: 'reconciler', loop: 'test' } as const;
const program = findMoto();
const CLOUDS = ['aws/*', 'azure/*', 'gcp/*'];
const FROM = [
  ['aws', 'aws/us-east-1'],
  ['azure', 'azure/eastus'],
  ['gcp', 'gcp/us-central1'],
] as const;

const source = sourceOf;

let db: TestDatabase;
let ground: Ground;
let plane: ControlPlane;
let mesh: SimulatedCluster;

beforeEach(async () => {
  db = await openTestDatabase();
  ground = await makeGround(db.database, 'acme');
  await loadPriceBook(ground);
  mesh = await addCluster(
    ground,
    'mesh',
    undefined,
    FROM.map(([provider, region]) => source(provider, region)),
  );
  plane = await makeControlPlane(ground);
});
afterEach(() => db.close());

const wish = { regions: CLOUDS, resources: GPU, replicas: 2, maxSpendPerHour: 100n * PICO_PER_USD };

const deploy = (more: Partial<DeployInput> = {}, how: Partial<DeployOptions> = {}, number = 1) =>
  plane.deploy(number, { ...wish, ...more }, how);

async function dryRun(more: Partial<DeployInput> = {}, number = 1): Promise<Plan> {
  const outcome = await deploy(more, { dryRun: true }, number);
  if (!outcome.ok) throw new Error(outcome.error.message);
  return planFromJson(outcome.value.plan);
}

async function refused(more: Partial<DeployInput> = {}, how: Partial<DeployOptions> = {}) {
  const outcome = await deploy(more, how);
  if (outcome.ok) throw new Error('it ran');
  return outcome.error;
}

const cloudsOf = ({ candidates }: Plan, code?: string): string[] => {
  const some = candidates.filter(({ rejectedBecause }) => code === undefined || rejectedBecause?.code === code);
  return [...new Set(some.map(({ offering }) => offering.provider))].sort();
};

/** What a source may rent from now on. */
const rent = (sources: readonly CapacitySource[]) => rentFrom(ground, plane, sources);

/** Somebody sets the price of an offering; the new one holds from now. */
const setPrice = (offeringId: string, usd: bigint) =>
  db.database.write(SCOPE, (tx) => {
    const at = ground.clock.now();
    const price = { list: usd, contracted: usd, effective: usd, effectiveFrom: at, observedAt: at, source: 'override' };
    return new PriceRepository().append(tx, { ...price, id: newId(at, ground.random), offeringId, state: 'believed' }, 'test');
  });

const scalings = () => scalingsOf(db.database);
const rentFor = (cloud: MachineProvider) => rentForPods(ground, cloud);

describe('Placement: a wish goes where it is cheapest, and the pool is made', () => {
  test('a dry run of an 8-GiB GPU model shows a priced table over three clouds, and that very plan is carried out', async () => {
    const plan = await dryRun();
    expect(cloudsOf(plan)).toEqual(['aws', 'azure', 'gcp']);
    expect(plan.candidates.every(({ chosen, rejectedBecause }) => chosen === (rejectedBecause === null))).toBe(true);
    for (const { score, cost } of plan.candidates.filter((one) => one.score !== null))
      expect(cost && cost.price + cost.egress + cost.interruptions + cost.move).toBe(score);
    const chosen = plan.candidates.find((one) => one.chosen)!;
    expect(plan.places).toHaveLength(1);
    expect(plan.wouldChange[0]).toMatch(/wins (below [0-9.]+ USD per hour|at [0-9.]+ USD per hour or less)/);
    expect(plan.actions.map(({ kind }) => kind)).toEqual([
      ...['CREATE_DEPLOYMENT', 'MAKE_POOL', 'PLACE', 'CREATE_REVISION', 'START_ROLLOUT'],
    ]);
    expect(await rows(db.database, `select 1 from pool_scaling`)).toEqual([]);
    expect(await deploy({}, { planHash: plan.hash })).toMatchObject({ ok: true });
    const [scaling] = await scalings();
    expect(scaling).toMatchObject({
      name: plan.places[0]!.pool,
      provider: chosen.offering.provider,
      config: { region: chosen.offering.region, instanceType: chosen.offering.instanceType },
    });
    await plane.until(({ phase }) => phase === 'READY');
    expect(mesh.running()).toEqual(['v1 serving ×2']);
  });

  test('machines are rented for the pool that was made, as many as its replicas need', async () => {
    expect(await deploy({ replicas: 3 })).toMatchObject({ ok: true });
    const { clock } = ground;
    const [scaling] = await scalings();
    const market = { startMs: [1_000, 1_000] } as const;
    const cloud = new SimulatedCloud({ name: scaling!.provider, clock, random: seededRandom(1), market });
    expect(await rentFor(cloud)).toEqual({ desired: 3, running: 3 });
  });

  test.runIf(program !== null)('the same on the interfaces of AWS', async () => {
    const moto = await startMoto(program!);
    const account = await openAccount(moto);
    try {
      await rent([{ ...source('aws', 'aws/us-east-1'), config: { image: 'ami-12c6146b' } }]);
      const plan = await dryRun({ replicas: 3 });
      expect(cloudsOf(plan)).toEqual(['aws', 'azure', 'gcp']);
      expect(await deploy({ replicas: 3 }, { planHash: plan.hash })).toMatchObject({ ok: true });
      expect(await rentFor(account.provider)).toEqual({ desired: 3, running: 3 });
      expect(await account.owner.running()).toHaveLength(3);
    } finally {
      await account.close?.();
      moto.stop();
    }
  });

  test('where no cluster may rent it, the table says so, with what it would cost', async () => {
    await rent([source('gcp', 'gcp/us-central1')]);
    const plan = await dryRun();
    expect(plan.candidates.find((one) => one.chosen)?.offering.provider).toBe('gcp');
    expect(cloudsOf(plan, 'NOT_RENTABLE_HERE')).toEqual(expect.arrayContaining(['aws', 'azure']));
    const elsewhere = plan.candidates.filter(({ rejectedBecause }) => rejectedBecause?.code === 'NOT_RENTABLE_HERE');
    expect(elsewhere.every(({ hourly }) => hourly !== null)).toBe(true);
    await rent([]);
    await db.database.write(SCOPE, (tx) => sqlOf(tx).execute(`update cluster set cordoned = true`));
    const { code, details } = await refused({}, { dryRun: true });
    expect(code).toBe('NO_CAPACITY');
    const shown = planFromJson(details?.['plan'] as Json);
    expect(cloudsOf(shown, 'NOT_RENTABLE_HERE')).toEqual(['aws', 'azure', 'gcp']);
  });

  test('a share stays on demand while the rest is on spot, and zones share the replicas', async () => {
    const plan = await dryRun({
      ...{ replicas: 4, capacityTypes: ['on_demand', 'spot'], regions: ['aws/us-east-1'] },
      policy: { minOnDemandPercent: 50, zones: 2 },
    });
    const kept = plan.places.filter(({ offering }) => offering.endsWith('/on_demand'));
    expect(kept.reduce((all, { replicas }) => all + replicas, 0)).toBeGreaterThanOrEqual(2);
    expect(plan.places.reduce((all, { replicas }) => all + replicas, 0)).toBe(4);
    expect(new Set(plan.places.map(({ zone }) => zone)).size).toBeGreaterThanOrEqual(2);
  });

  test('what a source may rent is never exceeded, whoever comes', async () => {
    await rent([source('aws', 'aws/us-east-1', 3)]);
    expect(await deploy({ regions: ['aws/us-east-1'] })).toMatchObject({ ok: true });
    const other = await plane.deploy(1, { ...wish, regions: ['aws/us-east-1'], name: 'other' });
    expect(other).toMatchObject({ ok: false, error: { code: 'NO_CAPACITY' } });
    expect((await scalings()).reduce((all, { maxNodes }) => all + maxNodes, 0)).toBeLessThanOrEqual(3);
  });

  test('pools of one deployment share what their source may rent, also while both sides of a rollout run', async () => {
    await rent([{ ...source('aws', 'aws/us-east-1', 3), zones: ['us-east-1a', 'us-east-1b'] }]);
    expect(await deploy({ regions: ['aws/us-east-1'], policy: { zones: 2 } })).toMatchObject({ ok: true });
    const pools = await scalings();
    expect(pools).toHaveLength(2);
    expect(pools.reduce((all, { maxNodes }) => all + maxNodes, 0)).toBeLessThanOrEqual(3);
  });

  test('a pool that gave its machines back holds them again as soon as something is placed there', async () => {
    await rent([source('aws', 'aws/us-east-1', 3)]);
    const regions = ['aws/us-east-1'];
    expect(await deploy({ regions })).toMatchObject({ ok: true });
    await plane.until(({ phase }) => phase === 'READY');
    expect(await plane.deployments.scale(plane.caller, plane.ref, 0)).toMatchObject({ ok: true });
    await db.database.write(SCOPE, (tx) => sqlOf(tx).execute(`update pool_scaling set desired_nodes = 0, scaled_at = 1`));
    expect(await plane.deploy(1, { ...wish, regions, name: 'second' })).toMatchObject({ ok: true });
    const third = await plane.deploy(1, { ...wish, regions, name: 'third' });
    expect(third).toMatchObject({ ok: false, error: { code: 'NO_CAPACITY' } });
    expect((await scalings()).reduce((all, { maxNodes }) => all + maxNodes, 0)).toBeLessThanOrEqual(3);
    // Who gave them back asks for them like everybody else, whatever his pool was allowed before.
    for (const dryRun of [true, false]) {
      const back = await plane.deployments.scale(plane.caller, { ...plane.ref, dryRun }, 2);
      expect(back).toMatchObject({ ok: false, error: { code: 'NO_CAPACITY' } });
    }
  });

  test('near to one deployment and apart from another', async () => {
    expect(await deploy()).toMatchObject({ ok: true });
    const [{ provider, config } = { provider: '', config: {} as Record<string, string> }] = await scalings();
    const here = `${provider}/${config['region']}`;
    const apart = await plane.deploy(1, { ...wish, name: 'other', policy: { apart: ['digits'] } }, { dryRun: true });
    const near = await plane.deploy(1, { ...wish, name: 'other', policy: { near: ['digits'] } }, { dryRun: true });
    if (!apart.ok || !near.ok) throw new Error('refused');
    const placeOf = (json: Json) => planFromJson(json).places[0]!.offering;
    expect(placeOf(near.value.plan).startsWith(`${here}/`)).toBe(true);
    expect(placeOf(apart.value.plan).startsWith(`${here}/`)).toBe(false);
  });
});

describe('Joint plans: what everything would come to together', () => {
  let asked: FleetQuestion[];
  let refused: string | null;
  const planner: FleetPlanner = {
    plan: async (question) => {
      asked.push(question);
      if (refused !== null) return Promise.resolve(err(refused));
      const solver = await openHighsSolver({ timeLimitMs: 500, gap: 0.01 });
      return ok(question.exact ? planFleetExactly(question.input, solver) : planFleet(question.input));
    },
  };
  const planning = () => {
    [asked, refused] = [[], null];
    const catalogue = new BundledCatalogue(join(packageRoot, 'deploy', 'price-book'));
    const prices = new PricesService({
      ...{ ...ground, catalogue, store: new PriceRepository() },
      commands: new Commands({ database: db.database, clock: ground.clock }),
    });
    const market = new Market({ prices, clock: ground.clock });
    const [store, clusters] = [new DeploymentRepository(), new ClusterRepository()];
    const service = new FleetPlanService({ store, clusters, prices, market, clock: ground.clock, planner });
    return (projectId: string | null) =>
      db.database.read(SCOPE, (tx) => service.plan(tx, plane.caller.principal, { projectId, exact: true }));
  };

  test('the solver is not asked for the same twice, nor by one after the other, and the answer says so', async () => {
    expect(await deploy()).toMatchObject({ ok: true });
    const plan = planning();
    const first = await plan(null);
    expect(first).toMatchObject({ plan: { method: 'exact' }, shortOf: null });
    expect(first.plan.seats).not.toEqual([]);
    expect(await plan(null)).toBe(first);
    expect(await plan(ground.projectId)).toMatchObject({
      plan: { method: 'greedy' },
      shortOf: 'The solver was asked less than 5 s ago: ask again.',
    });
    expect(asked.filter(({ exact }) => exact)).toHaveLength(1);
    ground.clock.advance(10_000);
    expect(await plan(null)).not.toBe(first);
    expect(asked.filter(({ exact }) => exact)).toHaveLength(2);
  });

  test('a planner that breaks leaves a brief greedy plan, with what it said', async () => {
    expect(await deploy()).toMatchObject({ ok: true });
    const plan = planning();
    refused = 'The planner had no answer within 5 s.';
    const { plan: greedy, shortOf } = await plan(null);
    expect([greedy.method, shortOf]).toEqual(['greedy', refused]);
    expect(greedy.seats).not.toEqual([]);
  });
});

describe('Placement: contradictory policies are named', () => {
  test.each([
    ['regions outside of residency', { policy: { residency: ['*/eu-*'] }, regions: ['aws/us-*'] }, 'residency'],
    ['all on demand with only spot', { policy: { minOnDemandPercent: 100 }, capacityTypes: ['spot'] }, 'minOnDemandPercent'],
    ['more zones than replicas', { policy: { zones: 3 }, replicas: 2 }, 'zones'],
    [
      'a goal under the round trip of every region',
      { policy: { latencyMs: 5, callers: [{ region: 'aws/eu-west-1', mibPerHour: 0 }] }, regions: ['aws/us-*'] },
      'latencyMs',
    ],
    ['less money than the cheapest costs', { maxSpendPerHour: PICO_PER_USD / 1_000n }, 'maxSpendPerHour'],
  ] as const)('%s', async (_what, more, field) => {
    const { code, message, path, details } = await refused(more, { dryRun: true });
    expect(['INVALID_INPUT', 'LIMIT_EXCEEDED']).toContain(code);
    expect(path?.at(-1)).toBe(field);
    expect(message).toContain(field);
    expect(details?.['contradiction']).toMatchObject({ fields: expect.arrayContaining([field]) as string[] });
  });
});

describe('Placement: plans whose world changed are refused, with what changed', () => {
  const world = {
    'another place is cheapest now': async (plan: Plan) => setPrice(plan.offeringId!, 50n * PICO_PER_USD),
    'nobody may rent there any more': () => rent(FROM.slice(0, 1).map(([provider]) => source(provider, `${provider}/us-west-2`))),
    'everything has become twice as dear': async (plan: Plan) => {
      for (const { offering, hourly } of plan.candidates) await setPrice(offering.id, (hourly ?? 0n) * 2n);
    },
  };
  test.each(Object.keys(world) as (keyof typeof world)[])('%s', async (what) => {
    const plan = await dryRun();
    await world[what](plan);
    const error = await refused({}, { planHash: plan.hash });
    expect(error.code).toBe('CONFLICT');
    expect(error.message.length).toBeGreaterThan('The plan is no longer what was shown, or has become dearer.'.length);
    expect(await rows(db.database, `select 1 from pool_scaling`)).toEqual([]);
  });
});

describe('Placement: prices that swing move nothing by themselves', () => {
  test('under ±80 % the same wish changes nothing, and a new version stays where it is', async () => {
    expect(await deploy()).toMatchObject({ ok: true });
    const before = await dryRun();
    const chosen = before.candidates.find((one) => one.chosen)!;
    for (const [own, others] of [
      [180n, 20n],
      [20n, 180n],
      [180n, 20n],
    ] as const) {
      ground.clock.advance(60_000);
      for (const { offering, hourly } of before.candidates)
        await setPrice(offering.id, ((hourly ?? 0n) * (offering.id === chosen.offering.id ? own : others)) / 100n);
      const same = await dryRun();
      expect(same.actions.map(({ kind }) => kind)).toEqual(['NOTHING']);
      const next = await dryRun({}, 2);
      expect(next.places.map(({ pool }) => pool)).toEqual(before.places.map(({ pool }) => pool));
    }
    const [{ decisions } = { decisions: 0 }] = await rows<{ decisions: number }>(
      db.database,
      `select count(*)::int as decisions from decision`,
    );
    expect(decisions).toBe(1);
  });
});
