// Builds deployments that hold replicas as plain values and asks who gives way; a property runs random quotas and holders through it.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { planPreemption, type Holder, type Shortage } from '../../src/deployments/plan-preemption.ts';
import { uid } from '../support/nodes.ts';

const holder = (n: number, replicas: number, more: Partial<Holder> = {}): Holder => ({
  ...{ deploymentId: uid(n), projectId: uid(90), priority: 'low', createdAt: n },
  workloads: [{ id: uid(100 + n), revisionId: uid(200), replicas, price: 2n }],
  ...more,
});
const short = (by: number, more: Partial<Shortage> = {}): Shortage => ({
  projectId: null,
  resource: 'replicas',
  by: BigInt(by),
  ...more,
});
const words = (shortages: Shortage[], holders: Holder[], priority: Holder['priority'] = 'normal') =>
  planPreemption(shortages, holders, priority)?.map(
    ({ deploymentId, workloads }) =>
      `${Number(deploymentId.slice(-4))}: ${workloads.map(({ from, to }) => `${from} to ${to}`).join(', ')}`,
  ) ?? null;

describe('Preemption: lower priority gives way where a quota is short', () => {
  test.each<[string, Shortage[], Holder[], Holder['priority'], string[] | null]>([
    [
      'the newest of the lowest priority, as few as are needed',
      [short(2)],
      [holder(1, 4), holder(2, 4)],
      'normal',
      ['2: 4 to 2'],
    ],
    [
      'the lowest priority first',
      [short(4)],
      [holder(1, 3), holder(2, 9, { priority: 'normal' })],
      'high',
      ['1: 3 to 1', '2: 9 to 7'],
    ],
    ['never the same priority', [short(1)], [holder(1, 4, { priority: 'normal' })], 'normal', null],
    ['nobody gives way to the lowest', [short(1)], [holder(1, 4)], 'low', null],
    ['never the last replica', [short(4)], [holder(1, 4)], 'normal', null],
    ['nobody in vain', [short(9)], [holder(1, 4), holder(2, 4)], 'high', null],
    [
      'a quota of one project is mended there',
      [short(1, { projectId: uid(91) })],
      [holder(1, 4), holder(2, 4, { projectId: uid(91) })],
      'normal',
      ['2: 4 to 3'],
    ],
    ['money', [short(3, { resource: 'spend_per_hour' })], [holder(1, 4)], 'normal', ['1: 4 to 2']],
    [
      'the dearest replica first',
      [short(3, { resource: 'spend_per_hour' })],
      [
        holder(1, 0, {
          workloads: [
            { id: uid(1), revisionId: uid(200), replicas: 3, price: 1n },
            { id: uid(2), revisionId: uid(200), replicas: 3, price: 5n },
          ],
        }),
      ],
      'normal',
      ['1: 3 to 2'],
    ],
    [
      'in the middle of a rollout both revisions keep one: the dearer may be the only one that serves',
      [short(2)],
      [
        holder(1, 0, {
          workloads: [
            { id: uid(1), revisionId: uid(200), replicas: 1, price: 5n },
            { id: uid(2), revisionId: uid(201), replicas: 3, price: 1n },
          ],
        }),
      ],
      'normal',
      ['1: 3 to 1'],
    ],
    [
      'where replicas share machines, as many as make one free: less frees no money',
      [short(2, { resource: 'spend_per_hour' })],
      [holder(1, 6, { workloads: [{ id: uid(101), revisionId: uid(200), replicas: 6, price: 2n, perMachine: 4 }] })],
      'normal',
      ['1: 6 to 4'],
    ],
    [
      'what has no price frees no money that anybody could count on',
      [short(1, { resource: 'spend_per_hour' })],
      [holder(1, 4, { workloads: [{ id: uid(101), revisionId: uid(200), replicas: 4, price: null }] })],
      'normal',
      null,
    ],
    ['nothing is short', [], [holder(1, 4)], 'normal', []],
  ])('%s', (...[, shortages, holders, priority, expected]) => {
    expect(words(shortages, holders, priority)).toEqual(expected);
  });

  test('whatever is short: what gives way is enough, of lower priority, and leaves every revision one', () => {
    const someone = fc.record({
      priority: fc.constantFrom<Holder['priority']>('low', 'normal', 'high'),
      projectId: fc.constantFrom(uid(90), uid(91)),
      counts: fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 3 }),
      price: fc.bigInt({ min: 0n, max: 9n }),
    });
    const lack = fc.record({
      projectId: fc.constantFrom(null, uid(90), uid(91)),
      resource: fc.constantFrom('replicas' as const, 'spend_per_hour' as const),
      by: fc.bigInt({ min: 1n, max: 12n }),
    });
    fc.assert(
      fc.property(fc.array(someone, { maxLength: 6 }), fc.array(lack, { maxLength: 3 }), (all, shortages) => {
        const holders = all.map(({ counts, price, ...one }, n) => ({
          ...one,
          ...{ deploymentId: uid(n), createdAt: n },
          workloads: counts.map((replicas, at) => ({
            id: uid(1_000 * n + at + 1_000),
            revisionId: uid(at % 2),
            replicas,
            price,
          })),
        }));
        const given = planPreemption(shortages, holders, 'high');
        if (!given) return;
        const freed = given.flatMap(({ deploymentId, workloads }) => {
          const of = holders.find((one) => one.deploymentId === deploymentId)!;
          expect(of.priority).not.toBe('high');
          const left = of.workloads.map((one) => workloads.find(({ id }) => id === one.id)?.to ?? one.replicas);
          for (const revision of [uid(0), uid(1)]) {
            const its = of.workloads.flatMap(({ revisionId, replicas }, at) =>
              revisionId === revision ? [[replicas, left[at]!]] : [],
            );
            const [had, kept] = [0, 1].map((side) => its.reduce((sum, pair) => sum + pair[side]!, 0));
            expect(kept).toBeGreaterThanOrEqual(Math.min(1, had!));
          }
          return workloads.map(({ from, to }) => ({
            of,
            replicas: BigInt(from - to),
            money: BigInt(from - to) * of.workloads[0]!.price,
          }));
        });
        for (const { projectId, resource, by } of shortages) {
          const mine = freed.filter(({ of }) => projectId === null || of.projectId === projectId);
          const sum = mine.reduce((all, one) => all + (resource === 'replicas' ? one.replicas : one.money), 0n);
          expect(sum).toBeGreaterThanOrEqual(by);
        }
      }),
    );
  });
});
