// What an interruption costs, by what the wish says and what was seen of the version: tables; and what a wish may say.
import { describe, expect, test } from 'vitest';
import { checkSpec, type DeploymentSpec } from '../../src/deployments/deployment.ts';
import { goalOf } from '../../src/deployments/placement-goal.ts';
import { PICO_PER_USD } from '../../src/kernel/money.ts';

const GIB = 2 ** 30;

describe('Placement: what an interruption costs is the goal of the deployment', () => {
  test.each<[string, string | undefined, bigint]>([
    ['a dollar per hour where it says nothing', undefined, PICO_PER_USD],
    ['what it says', '250.5', (2_505n * PICO_PER_USD) / 10n],
    ['nothing', '0', 0n],
  ])('%s', (_what, outageCostPerHour, penalty) => {
    const goal = goalOf(outageCostPerHour === undefined ? {} : { outageCostPerHour }, { startMs: null, artifactBytes: 0 });
    expect(goal.penaltyPerHour).toBe(penalty);
  });

  test.each<[string, number | null, number, number]>([
    ['a machine and a small start where nothing is known', null, 0, 150_000],
    ['a large artifact takes as long as it is fetched', null, 40 * GIB, 150_000 + Math.round((40 * GIB) / 104_858)],
    ['what was seen of the version says it all', 65_000, 40 * GIB, 185_000],
  ])('%s', (_what, startMs, artifactBytes, coldStartMs) => {
    expect(goalOf({}, { startMs, artifactBytes }).coldStartMs).toBe(coldStartMs);
  });

  test.each(['-1', 'much', '1000001'])('%s is no cost of an outage', (outageCostPerHour) => {
    const spec = {
      ...{ replicas: 1, maxReplicas: 1, concurrency: 1, deadlineMs: 1, queueLimit: 0, maxSpendPerHour: 1n, hosts: [] },
      traffic: [{ revision: 1, weight: 100 }],
      placement: { regions: ['aws/*'], capacityTypes: ['on_demand'], policy: { outageCostPerHour } },
    } as Partial<DeploymentSpec> as DeploymentSpec;
    expect(checkSpec('one', spec)?.message).toContain('outageCostPerHour');
  });
});
