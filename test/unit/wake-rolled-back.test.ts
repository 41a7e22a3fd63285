// A table of what was there and what was asked for, and a property over any of them. Pure functions, no I/O.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DeploymentSpec } from '../../src/deployments/deployment.ts';
import type { Workload } from '../../src/deployments/replica.ts';
import { wakeRolledBack } from '../../src/deployments/wake-rolled-back.ts';

const on = (clusterName: string, replicas: number, offeringId = 'cheap'): Workload =>
  ({
    id: `${clusterName} ${offeringId}`,
    clusterName,
    poolName: 'default',
    replicas,
    offeringId,
  }) as Partial<Workload> as Workload;
const wish = (replicas: number, clusters: DeploymentSpec['placement']['clusters'] = []): DeploymentSpec =>
  ({ replicas, placement: { regions: [], capacityTypes: [], clusters } }) as Partial<DeploymentSpec> as DeploymentSpec;
const rates = new Map([
  ['cheap', 1n],
  ['dear', 2n],
]);
const both = [
  { cluster: 'east', weight: 3, order: 0 },
  { cluster: 'west', weight: 1, order: 0 },
];
const woken = (spec: DeploymentSpec, returning: readonly Workload[], failed: readonly Workload[]) =>
  [...wakeRolledBack({ spec, returning, failed, rates })].map(([id, count]) => `${id} ×${count}`).join(', ');

describe('Scale to zero: what wakes when a rollout out of it fails', () => {
  test.each<[string, DeploymentSpec, { from: Workload[]; to: Workload[] }, string]>([
    ['as many as wished', wish(2), { from: [on('east', 0)], to: [on('east', 2)] }, 'east cheap ×2'],
    ['nothing that runs', wish(2), { from: [on('east', 1)], to: [on('east', 2)] }, ''],
    [
      'by the weights of clusters',
      wish(4, both),
      { from: [on('east', 0), on('west', 0)], to: [on('east', 3), on('west', 1)] },
      'east cheap ×3, west cheap ×1',
    ],
    [
      'what others have not woken yet',
      wish(4, both),
      { from: [on('east', 3), on('west', 0)], to: [on('east', 3), on('west', 1)] },
      'west cheap ×1',
    ],
    ['nothing dearer', wish(2), { from: [on('east', 0, 'dear')], to: [on('east', 2)] }, ''],
    ['nothing that has no price', wish(2), { from: [on('east', 0, 'unknown')], to: [on('east', 2, 'dear')] }, ''],
    ['nothing that is more: two shared the traffic', wish(2), { from: [on('east', 0), on('west', 0)], to: [on('east', 2)] }, ''],
    ['what is cheaper', wish(2), { from: [on('east', 0)], to: [on('east', 2, 'dear')] }, 'east cheap ×2'],
  ])('%s', (_name, spec, { from, to }, wanted) => {
    expect(woken(spec, from, to)).toBe(wanted);
  });

  test('never more replicas, and never dearer, than what failed', () => {
    const some = fc.array(fc.tuple(fc.constantFrom('east', 'west'), fc.nat(3), fc.constantFrom('cheap', 'dear')), {
      maxLength: 4,
    });
    const workloads = some.map((all) =>
      all.map(([cluster, replicas, offering], n) => ({ ...on(cluster, replicas, offering), id: `${n}` })),
    );
    fc.assert(
      fc.property(workloads, workloads, fc.constantFrom(wish(0), wish(2), wish(5), wish(3, both)), (returning, failed, spec) => {
        const counts = wakeRolledBack({ spec, returning, failed, rates });
        if (counts.size === 0) return;
        const after = returning.map((one) => ({ ...one, replicas: counts.get(one.id) ?? one.replicas }));
        const count = (all: readonly Workload[]) => all.reduce((sum, one) => sum + one.replicas, 0);
        const cost = (all: readonly Workload[]) =>
          all.reduce((sum, one) => sum + (rates.get(one.offeringId) ?? 0n) * BigInt(one.replicas), 0n);
        expect(count(after)).toBeLessThanOrEqual(count(failed));
        expect(cost(after) <= cost(failed)).toBe(true);
      }),
    );
  });
});
