// Wishes for requests per second instead of replicas, over what three clouds really offer, on a database; versions say what one replica carries.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { DeployInput, DeployOptions } from '../../src/deployments/deploy.service.ts';
import { planFromJson } from '../../src/deployments/plan-json.ts';
import type { Plan } from '../../src/deployments/plan.ts';
import { PICO_PER_USD } from '../../src/kernel/money.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import type { TestDatabase } from '../support/database.ts';
import { rows, type ControlPlane } from '../support/deployments-world.ts';
import { openPlacementWorld, sourceOf } from '../support/placement-world.ts';

const SCOPE = { kind: 'reconciler', loop: 'test' } as const;
const onGpu = (model: string) => ({
  ...{ cpuMilli: 2000, memoryMib: 8192 },
  accelerator: { model, countMilli: 1000, memoryMib: 8192 },
});
const HUNDRED = { milliRequestsPerSecond: 100_000 };

let db: TestDatabase;
let plane: ControlPlane;

beforeEach(async () => {
  const regions = ['aws/us-east-1', 'azure/eastus', 'gcp/us-central1'];
  ({ db, plane } = await openPlacementWorld(regions.map((region) => sourceOf(region.split('/')[0]!, region, 50))));
  await db.database.write(SCOPE, (tx) => sqlOf(tx).execute(`update project set max_replicas = 100`));
});
afterEach(() => db.close());

const wish = {
  ...{ regions: ['aws/*', 'azure/*', 'gcp/*'], resources: onGpu('any') },
  ...{ maxReplicas: 50, maxSpendPerHour: 1_000n * PICO_PER_USD },
};
const deploy = (more: Partial<DeployInput>, how: Partial<DeployOptions> = {}) => plane.deploy(1, { ...wish, ...more }, how);

async function dryRun(more: Partial<DeployInput>): Promise<Plan> {
  const outcome = await deploy(more, { dryRun: true });
  if (!outcome.ok) throw new Error(outcome.error.message);
  return planFromJson(outcome.value.plan);
}

/** Requests per second of one replica; without a name without an accelerator. */
const carries = (rates: Readonly<Record<string, number>>) =>
  db.database.write(SCOPE, (tx) => {
    const said = Object.entries(rates).map(([name, perSecond]) => ({
      accelerator: name === '' ? null : name,
      milliRequestsPerSecond: perSecond * 1_000,
    }));
    return sqlOf(tx).execute(`update model_version set carries = $1`, [JSON.stringify(said)]);
  });

const chosenIn = ({ candidates }: Plan) => candidates.find(({ chosen }) => chosen)!;

describe('Throughput: a wish for requests per second', () => {
  test('replicas follow from what is cheapest in all, the table compares accelerators, and that very plan is carried out', async () => {
    await carries({ T4: 10, L4: 40 });
    const plan = await dryRun(HUNDRED);
    const alone = [await dryRun({ resources: onGpu('T4'), replicas: 10 }), await dryRun({ resources: onGpu('L4'), replicas: 3 })];
    const scores = alone.map((one) => chosenIn(one).score!);
    const chosen = chosenIn(plan);
    expect(chosen.score).toBe(scores.reduce((a, b) => (b < a ? b : a)));
    const replicas = { T4: 10, L4: 3 }[chosen.offering.accelerator!.model]!;
    expect(chosen.replicas).toBe(replicas);
    const shown = plan.candidates.filter(({ score }) => score !== null);
    expect(new Set(shown.map((one) => `${one.offering.accelerator?.model} ${one.replicas}`))).toEqual(new Set(['T4 10', 'L4 3']));
    const said = `100 requests per second take ${replicas} replicas on ${chosen.offering.accelerator!.model}`;
    expect(plan.why).toContain(said);
    expect(await deploy(HUNDRED, { planHash: plan.hash })).toMatchObject({ ok: true });
    const { spec } = await plane.look();
    expect(spec).toMatchObject({ ...HUNDRED, replicas, resources: onGpu(chosen.offering.accelerator!.model) });
    const [decision] = await rows<{ reasons: string[] }>(db.database, `select reasons from decision where kind = 'deploy'`);
    expect(decision!.reasons.join(' ')).toContain(said);
    expect((await dryRun({ ...HUNDRED, resources: null })).actions.map(({ kind }) => kind)).toEqual(['NOTHING']);
  });

  test('another rate is another choice', async () => {
    await carries({ T4: 100, L4: 1 });
    expect(chosenIn(await dryRun(HUNDRED))).toMatchObject({ replicas: 1, offering: { accelerator: { model: 'T4' } } });
    await carries({ T4: 1, L4: 100 });
    const plan = await dryRun({ ...HUNDRED, maxReplicas: 100 });
    expect(chosenIn(plan)).toMatchObject({ replicas: 1, offering: { accelerator: { model: 'L4' } } });
  });

  test('what nobody said is not guessed, and more than is allowed is refused with the numbers', async () => {
    expect(await deploy(HUNDRED)).toMatchObject({
      ok: false,
      error: { code: 'PRECONDITION_FAILED', message: 'Version 1 does not say what one replica carries on any GPU.' },
    });
    await carries({ T4: 10 });
    expect(await deploy({ ...HUNDRED, resources: onGpu('L4') })).toMatchObject({
      ok: false,
      error: { message: 'Version 1 does not say what one replica carries on L4.', path: ['input', 'requestsPerSecond'] },
    });
    expect(await deploy({ ...HUNDRED, maxReplicas: 9 })).toMatchObject({
      ok: false,
      error: {
        code: 'LIMIT_EXCEEDED',
        message: '100 requests per second take 10 replicas on T4: one carries 10, as version 1 says. maxReplicas is 9.',
      },
    });
    expect(await deploy({ milliRequestsPerSecond: 0 })).toMatchObject({ ok: false, error: { code: 'INVALID_INPUT' } });
  });

  test('a number by hand takes its place; what hibernates wakes to what it carried', async () => {
    await carries({ T4: 10 });
    expect(await deploy(HUNDRED)).toMatchObject({ ok: true });
    expect(await plane.deployments.scale(plane.caller, plane.ref, 0)).toMatchObject({ ok: true });
    expect((await plane.look()).spec).toMatchObject({ ...HUNDRED, replicas: 0 });
    expect(await deploy({ resources: null })).toMatchObject({ ok: true });
    expect((await plane.look()).spec).toMatchObject({ ...HUNDRED, replicas: 0 });
    expect(await deploy({ resources: null, ...HUNDRED })).toMatchObject({ ok: true });
    expect((await plane.look()).spec).toMatchObject({ ...HUNDRED, replicas: 10 });
    expect(await plane.deployments.scale(plane.caller, plane.ref, 4)).toMatchObject({ ok: true });
    const { spec } = await plane.look();
    expect([spec.replicas, spec.milliRequestsPerSecond]).toEqual([4, undefined]);
  });

  test('on pools that there are already it goes by the accelerator that is asked for by name', async () => {
    await carries({ T4: 10, '': 4 });
    const here = { clusters: [{ cluster: 'mesh', weight: 100, order: 0 }] };
    const cpu = { cpuMilli: 250, memoryMib: 256, accelerator: null };
    expect(await deploy({ ...HUNDRED, ...here, resources: cpu })).toMatchObject({ ok: true });
    expect((await plane.look()).spec).toMatchObject({ replicas: 25, resources: cpu });
    const other = await plane.deploy(1, { ...wish, ...HUNDRED, ...here, name: 'other' });
    expect(other).toMatchObject({ ok: false, error: { code: 'PRECONDITION_FAILED' } });
  });
});
