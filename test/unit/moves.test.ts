// Whether a move is worth it, from change points of prices by hand. Everything is pure.
import { describe, expect, test } from 'vitest';
import type { PricedPool } from '../../src/deployments/placement.ts';
import { judgeMove, sumOfSteps } from '../../src/deployments/plan-move.ts';
import type { Workload } from '../../src/deployments/replica.ts';
import { DAY_MS } from '../../src/kernel/instant.ts';
import type { RateStep } from '../../src/pricing/worth-it.ts';

const NOW = 100 * DAY_MS;
const USD = 10n ** 12n;
const held = (poolId: string, offeringId: string, replicas: number, createdAt = 0) =>
  ({ poolId, offeringId, replicas, createdAt, perMachine: 2 }) as Workload;
const place = (poolId: string, offeringId: string, replicas: number, egress = 0n) =>
  ({
    ...{ pool: { id: poolId, name: poolId }, clusterName: 'mesh', offeringId, replicas, price: USD, perMachine: 2 },
    rented: { cost: { price: USD, egress, interruptions: 0n, move: 0n } },
  }) as object as PricedPool;
const always = (rate: bigint): RateStep[] => [{ from: 0, rate }];
const free = { underWay: 0, allowed: 1 };
const codesOf = (verdict: ReturnType<typeof judgeMove>) => verdict?.reasons.map(({ code }) => code) ?? null;

describe('Worth-it: a deployment that would be cheaper elsewhere', () => {
  const steps = new Map([
    ['dear', always(4n * USD)],
    ['cheap', always(USD)],
  ]);
  const question = { held: [held('a', 'dear', 4)], places: [place('b', 'cheap', 4)], steps, disruption: free };

  test.each([
    ['three quarters less, for ever', question, ['WORTH_IT']],
    ['where it is already', { ...question, places: [place('a', 'dear', 4)] }, null],
    ['nowhere', { ...question, places: [] }, null],
    ['placed a while ago', { ...question, held: [held('a', 'dear', 4, NOW - DAY_MS / 2)] }, ['COOLDOWN']],
    ['another one is on its way', { ...question, disruption: { underWay: 1, allowed: 1 } }, ['DISRUPTION_BUDGET']],
    [
      'its answers would cost more than is saved',
      { ...question, places: [place('b', 'cheap', 4, 6n * USD)] },
      ['SAVES_TOO_LITTLE'],
    ],
    [
      'cheap since yesterday only',
      { ...question, steps: new Map([...steps, ['cheap', [...always(5n * USD), { from: NOW - DAY_MS / 2, rate: USD }]]]) },
      ['SAVES_TOO_LITTLE'],
    ],
    [
      'a price that nobody knew a week ago',
      { ...question, steps: new Map([...steps, ['cheap', [{ from: NOW - DAY_MS, rate: USD }]]]) },
      ['TOO_LITTLE_HISTORY'],
    ],
    ['a price that nobody knows', { ...question, steps: new Map([['dear', always(USD)]]) }, ['TOO_LITTLE_HISTORY']],
  ] as const)('%s', (_, asked, expected) => {
    expect(codesOf(judgeMove(asked, NOW))).toEqual(expected);
  });

  test('machines are counted, not replicas: two share one', () => {
    // Two machines save 3 USD an hour each for a day.
    expect(judgeMove(question, NOW)?.saving).toBe(2n * 3n * 24n * USD);
  });

  test('prices are added up from when all of them are known', () => {
    const [a, b] = [
      [
        { from: 0, rate: 1n },
        { from: 20, rate: 2n },
      ],
      [{ from: 10, rate: 5n }],
    ];
    expect(
      sumOfSteps([
        { steps: a, machines: 1 },
        { steps: b, machines: 2 },
      ]),
    ).toEqual([
      { from: 10, rate: 11n },
      { from: 20, rate: 12n },
    ]);
    expect(
      sumOfSteps([
        { steps: a, machines: 1 },
        { steps: [], machines: 1 },
      ]),
    ).toEqual([]);
  });
});
