// Builds a deployment over several pools with its replicas as plain values and looks at where they shall go; a property runs random worlds through it.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { planLiveSpot, type LiveSpotWorld } from '../../src/deployments/plan-live-spot.ts';
import type { Replica, Workload } from '../../src/deployments/replica.ts';
import { stopsOutsideLastZones } from '../../src/deployments/spot-zones.ts';
import { HOUR_MS } from '../../src/kernel/instant.ts';
import { NOW, uid } from '../support/nodes.ts';

const workload = (n: number, replicas: number, capacityType: Workload['capacityType'] = 'spot'): Workload => ({
  ...{ id: uid(n), teamId: uid(1), projectId: uid(2), deploymentId: uid(3), revisionId: uid(4), clusterId: uid(5) },
  ...{
    clusterName: 'east',
    poolId: uid(100 + n),
    poolName: `pool${n}`,
    capacityType,
    nodeSelector: {},
    offeringId: uid(200 + n),
  },
  ...{ replicas, generation: 1, createdAt: 0, removedAt: null, goneAt: null, seenGeneration: 1, seenProblem: null },
});
const replica = (workloadId: string, n: number, state: Replica['state'] = 'serving'): Replica => ({
  ...{ id: `${workloadId} ${n}`, teamId: uid(1), projectId: uid(2), deploymentId: uid(3), revisionId: uid(4), workloadId },
  ...{ clusterId: uid(5), offeringId: uid(6), state, address: null, capacityFrom: NOW - HOUR_MS, capacityUntil: null },
  ...{ untilEstimated: false, observedAt: NOW, lastEvidenceAt: NOW, restarts: 0, message: '', transitions: 2 },
  stateSince: NOW - HOUR_MS + 60_000,
});
const worldOf = (workloads: Workload[], more: Partial<LiveSpotWorld> = {}): LiveSpotWorld => ({
  spec: { replicas: 4, maxReplicas: 8, maxSpendPerHour: 1_000n },
  workloads,
  replicas: workloads.flatMap(({ id, replicas }) => Array.from({ length: replicas }, (_, n) => replica(id, n))),
  noticed: new Map(),
  offerings: new Map(),
  rates: new Map(workloads.map(({ offeringId, capacityType }) => [offeringId, capacityType === 'spot' ? 3n : 10n])),
  refused: new Set(),
  memory: null,
  ...more,
});
const after = (world: LiveSpotWorld): Record<string, number> | null => {
  const plan = planLiveSpot(world, NOW);
  const changed = new Map(plan?.changes.map(({ workload: { id }, replicas }) => [id, replicas]));
  return plan && Object.fromEntries(world.workloads.map(({ id, poolName, replicas }) => [poolName, changed.get(id) ?? replicas]));
};
const four = (a: number, b: number, c: number, steady: number) => [
  ...[workload(1, a), workload(2, b), workload(3, c)],
  workload(4, steady, 'on_demand'),
];
const totalOf = (counts: Record<string, number> | null): number =>
  Object.values(counts ?? {}).reduce((all, count) => all + count, 0);

describe('Spot: where the replicas of one deployment shall be', () => {
  test.each<[string, LiveSpotWorld]>([
    ['one pool', worldOf([workload(1, 4)])],
    ['no spot', worldOf([workload(1, 2, 'on_demand'), workload(2, 2, 'on_demand')])],
    ['a price that nobody knows', worldOf(four(2, 1, 1, 0), { rates: new Map() })],
    ['a wish of none', worldOf(four(0, 0, 0, 0), { spec: { replicas: 0, maxReplicas: 8, maxSpendPerHour: 1_000n } })],
  ])('nothing is to be chosen with %s', (_, world) => {
    expect(planLiveSpot(world, NOW)).toBeNull();
  });

  test('as it should be: nothing changes, and nothing more is remembered', () => {
    const world = worldOf(four(2, 1, 1, 0));
    const first = planLiveSpot(world, NOW);
    expect(first).toMatchObject({ changes: [], isNews: true });
    expect(planLiveSpot({ ...world, memory: first!.memory }, NOW + 10_000)).toMatchObject({ changes: [], isNews: false });
  });

  test('what will be taken away has its successor elsewhere before it goes, and is not made smaller meanwhile', () => {
    const next = after(worldOf(four(2, 1, 1, 0), { noticed: new Map([[uid(1), 2]]), refused: new Set([uid(101)]) }));
    expect(next?.['pool1']).toBe(2);
    expect(totalOf(next)).toBeGreaterThanOrEqual(6);
  });

  test('on-demand while there is no spot anywhere', () => {
    const gone = worldOf(four(2, 1, 1, 0), { replicas: [], refused: new Set([uid(101), uid(102), uid(103)]) });
    // Whether spot returns is waited for as long as one look.
    const first = planLiveSpot(gone, NOW)!;
    const later = planLiveSpot({ ...gone, memory: first.memory }, NOW + 10_000)!;
    expect(Object.fromEntries(later.changes.map(({ workload: { poolName }, replicas }) => [poolName, replicas]))).toEqual({
      ...{ pool1: 0, pool2: 0, pool3: 0, pool4: 4 },
    });
  });

  test('a loss is remembered once, and what was given back is none', () => {
    const calm = planLiveSpot(worldOf(four(2, 1, 1, 0)), NOW)!;
    const world = worldOf(four(2, 1, 1, 0), { noticed: new Map([[uid(1), 2]]), memory: calm.memory });
    const lost = planLiveSpot(world, NOW + 10_000)!;
    expect([lost.isNews, lost.memory.held.get(uid(101))]).toEqual([true, 0]);
    const again = planLiveSpot({ ...world, memory: lost.memory }, NOW + 20_000)!;
    const lossesOf = ({ record }: typeof lost.memory) => [...record.pools.values()].reduce((all, { losses }) => all + losses, 0);
    expect(lossesOf(again.memory)).toBe(lossesOf(lost.memory));
    const shrunk = planLiveSpot(
      { ...worldOf(four(1, 1, 1, 0)), memory: { ...calm.memory, held: new Map([[uid(101), 1]]) } },
      NOW + 10_000,
    )!;
    expect(lossesOf(shrunk.memory)).toBe(lossesOf(calm.memory));
  });

  test('what the wish keeps on-demand stays there while the rest follows spot, and is made up for when it goes', () => {
    const settled = worldOf(four(1, 1, 0, 2), { minOnDemand: 2 });
    expect(after(settled)?.['pool4']).toBe(2);
    expect(totalOf(after(settled))).toBeLessThanOrEqual(5);
    expect(after(worldOf(four(2, 1, 1, 2)))?.['pool4']).toBe(0);
    expect(after(worldOf(four(2, 1, 1, 2), { minOnDemand: 2 }))).toMatchObject({ pool4: 2 });
    expect(after(worldOf(four(2, 1, 1, 0), { minOnDemand: 2 }))?.['pool4']).toBe(2);
    expect(planLiveSpot({ ...settled, minOnDemand: 4 }, NOW)).toBeNull();
  });

  describe('zones', () => {
    const zonesOf = (atLeast: number, elsewhere: string[] = []) => ({
      ...{ atLeast, elsewhere: new Set(elsewhere) },
      of: new Map([1, 2, 3, 4, 5].map((n) => [uid(100 + n), `aws/x/zone${n === 5 ? 1 : n}`])),
    });
    /** So much cheaper in the first pool that nothing but the wish leads to another one. */
    const cheap = (...workloads: Workload[]) =>
      worldOf(workloads, {
        rates: new Map(
          workloads.map(({ offeringId, capacityType }, n) => [offeringId, capacityType === 'spot' ? (n === 0 ? 1n : 90n) : 100n]),
        ),
      });
    const inUse = (counts: Record<string, number> | null) => Object.values(counts ?? {}).filter((count) => count > 0).length;

    test('so many share the replicas as are wished for, and those that others of the wish are in count', () => {
      const world = cheap(...four(4, 0, 0, 0));
      expect(inUse(after(world))).toBe(1);
      expect(inUse(after({ ...world, zones: zonesOf(2) }))).toBe(2);
      expect(inUse(after({ ...world, zones: zonesOf(3) }))).toBe(3);
      expect(inUse(after({ ...world, zones: zonesOf(2, ['gcp/y/zone']) }))).toBe(1);
    });

    test('once they do, nothing moves any more', () => {
      const settled = cheap(...four(4, 1, 0, 0));
      expect(after({ ...settled, zones: zonesOf(2) })).toEqual({ pool1: 4, pool2: 1, pool3: 0, pool4: 0 });
    });

    test('a pool that has nothing is no zone; what can be had serves all the same, and the plan says so', () => {
      const world = cheap(...four(4, 0, 0, 0));
      const refused = new Set([uid(102), uid(103), uid(104)]);
      const gone = { ...world, refused, zones: zonesOf(2), replicas: [] };
      const plan = planLiveSpot(gone, NOW)!;
      expect(after(gone)).toMatchObject({ pool2: 0, pool3: 0 });
      expect(plan.reasons.join(' ')).toContain('Only 1 of the 2 zones');
    });

    test('on demand, too, is where the zones are that are missing', () => {
      const workloads = [workload(1, 0), workload(4, 0, 'on_demand'), workload(2, 0, 'on_demand')];
      const refused = new Set([uid(101)]);
      const gone = worldOf(workloads, { refused, zones: zonesOf(2) });
      const first = planLiveSpot(gone, NOW)!;
      const later = planLiveSpot({ ...gone, memory: first.memory }, NOW + 10_000)!;
      const counts = Object.fromEntries(later.changes.map(({ workload: { poolName }, replicas }) => [poolName, replicas]));
      expect(counts).toEqual({ pool4: 3, pool2: 1 });
    });

    test('where one zone will do, it need not be known: the cheapest is taken, and nothing is missed', () => {
      const workloads = [workload(1, 0), workload(6, 0, 'on_demand'), workload(4, 0, 'on_demand')];
      const refused = new Set([uid(101)]);
      const gone = worldOf(workloads, { refused, zones: zonesOf(1) });
      const later = planLiveSpot({ ...gone, memory: planLiveSpot(gone, NOW)!.memory }, NOW + 10_000)!;
      expect(later.changes.map(({ workload: { poolName }, replicas }) => [poolName, replicas])).toEqual([['pool6', 4]]);
      expect(later.reasons.join(' ')).not.toContain('zones');
    });

    test('what is let go on demand is not the last of a zone that is needed', () => {
      const placed = (id: string, pool: number, isOnDemand = true) => ({
        id,
        poolId: uid(100 + pool),
        isOnDemand,
        isReady: true,
      });
      const all = [placed('a', 1, false), placed('b', 5), placed('c', 5), placed('d', 4)];
      expect([...stopsOutsideLastZones(all, new Set(['d']), zonesOf(2))]).toEqual(['b']);
      expect([...stopsOutsideLastZones(all, new Set(['d']), zonesOf(1))]).toEqual(['d']);
      expect([...stopsOutsideLastZones(all, new Set(['b']), zonesOf(2))]).toEqual(['b']);
    });
  });

  test('what the wish does not allow any more moves as others serve in its place, and counts as no loss', () => {
    const forbidden = new Set([uid(101)]);
    const before = planLiveSpot(worldOf(four(2, 1, 1, 0)), NOW)!;
    const world = worldOf(four(2, 1, 1, 0), { forbidden, memory: before.memory });
    const started = planLiveSpot(world, NOW + 10_000)!;
    expect(started.changes.every(({ workload: { poolName } }) => poolName !== 'pool1')).toBe(true);
    expect(started.changes.length).toBeGreaterThan(0);
    expect(started.memory.record.pools.get(uid(101))?.losses).toBe(0);
    expect(started.reasons).toContain('The wish does not allow pool1 any more.');
    expect(after(worldOf(four(2, 2, 1, 0), { forbidden }))).toMatchObject({ pool1: 1 });
    expect(after(worldOf(four(2, 2, 2, 0), { forbidden }))).toMatchObject({ pool1: 0 });
  });

  test('what could not be changed is remembered as it is: a loss without a successor is none once more at the next look', () => {
    const calm = planLiveSpot(worldOf(four(2, 1, 1, 0)), NOW)!;
    const world = { ...worldOf(four(2, 1, 1, 0)), memory: calm.memory };
    const fewer = { ...world, replicas: world.replicas.slice(1), refused: new Set([uid(101)]) };
    const lost = planLiveSpot(fewer, NOW + 10_000)!;
    expect([lost.isNews, lost.changes.length > 0]).toEqual([true, true]);
    const again = planLiveSpot({ ...fewer, memory: { ...lost.memory, held: lost.here } }, NOW + 20_000)!;
    expect([again.isNews, again.here.get(uid(101))]).toEqual([false, 1]);
  });

  test('a storm of notices is one plan: a thousand of them at once, all pools, as many successors as the limits allow', () => {
    const spec = { replicas: 1_000, maxReplicas: 1_500, maxSpendPerHour: 1_000_000n };
    const workloads = four(400, 300, 300, 0);
    const noticed = new Map(workloads.map(({ id, replicas }) => [id, replicas]));
    const plan = planLiveSpot(worldOf(workloads, { spec, noticed, refused: new Set([uid(101), uid(102), uid(103)]) }), NOW)!;
    expect(plan.changes.map(({ replicas }) => replicas)).toEqual([500]);
    expect(plan.reasons).toHaveLength(3);
  });

  test('nothing exceeds maxReplicas and maxSpendPerHour, whatever is lost, refused, told and asked for', () => {
    const part = fc.record({
      replicas: fc.integer({ min: 0, max: 6 }),
      serving: fc.integer({ min: 0, max: 6 }),
      noticed: fc.integer({ min: 0, max: 6 }),
      refused: fc.boolean(),
    });
    const worlds = fc.record({
      parts: fc.array(part, { minLength: 4, maxLength: 4 }),
      wished: fc.integer({ min: 1, max: 10 }),
      maxReplicas: fc.integer({ min: 1, max: 14 }),
      maxSpendPerHour: fc.bigInt({ min: 1n, max: 120n }),
    });
    fc.assert(
      fc.property(worlds, ({ parts, wished, maxReplicas, maxSpendPerHour }) => {
        const counts = parts.map(({ replicas }) => replicas) as [number, number, number, number];
        const workloads = four(...counts);
        const world = worldOf(workloads, {
          spec: { replicas: wished, maxReplicas, maxSpendPerHour },
          replicas: workloads.flatMap(({ id }, n) => Array.from({ length: parts[n]!.serving }, (_, at) => replica(id, at))),
          noticed: new Map(workloads.map(({ id }, n) => [id, parts[n]!.noticed])),
          refused: new Set(workloads.filter((_, n) => parts[n]!.refused).map(({ poolId }) => poolId)),
        });
        const hourly = (of: Record<string, number>) =>
          workloads.reduce((all, { poolName, offeringId }) => all + BigInt(of[poolName] ?? 0) * world.rates.get(offeringId)!, 0n);
        const before = Object.fromEntries(workloads.map(({ poolName, replicas }) => [poolName, replicas]));
        const next = after(world) ?? before;
        expect(totalOf(next)).toBeLessThanOrEqual(Math.max(maxReplicas, totalOf(before)));
        const most = hourly(before) > maxSpendPerHour ? hourly(before) : maxSpendPerHour;
        expect(hourly(next) <= most).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
