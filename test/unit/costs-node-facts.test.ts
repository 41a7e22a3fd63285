// Tables for what an inventory changes and when minutes close; properties for counters and for spreading.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { OpenLine } from '../../src/costs/cost-breakdown.ts';
import type { NodeProgress } from '../../src/costs/node-cost-store.port.ts';
import { CLOSE_ANYWAY_MS, planNodeClosing } from '../../src/costs/plan-closing.ts';
import { isNoFact, planNodeFacts, type KnownNode, type NodeFactsInput } from '../../src/costs/plan-node-facts.ts';
import { averageUse, useBetween, type UseOfMinute } from '../../src/costs/pod-use.ts';
import { spreadLines } from '../../src/costs/spread-costs.ts';

const MINUTE = 60_000;
const T0 = 29_000_000 * MINUTE;

describe('Cost on Kubernetes: counters of the kubelet become minutes', () => {
  const reading = (at: number, cpuUs: number | null, memoryMib: number | null = null) => ({ podId: 'a', at, cpuUs, memoryMib });
  const sum = (parts: readonly UseOfMinute[], of: 'cpuUs' | 'cpuMs'): number => parts.reduce((all, part) => all + part[of], 0);

  test('whatever the readings, differences sum to what the counter rose by, and the time to the time between', () => {
    const steps = fc.array(fc.tuple(fc.integer({ min: 1, max: 50 * MINUTE }), fc.nat(9_000_000_000)), {
      minLength: 1,
      maxLength: 12,
    });
    fc.assert(
      fc.property(fc.nat(MINUTE), steps, (start, rises) => {
        let last = reading(T0 + start, 5);
        const parts: UseOfMinute[] = [];
        for (const [ms, us] of rises) {
          const next = reading(last.at + ms, (last.cpuUs ?? 0) + us);
          parts.push(...(useBetween(last, next, next.at) ?? []));
          last = next;
        }
        expect(sum(parts, 'cpuUs')).toBe((last.cpuUs ?? 0) - 5);
        expect(sum(parts, 'cpuMs')).toBe(last.at - T0 - start);
        for (const [minute, own] of Map.groupBy(parts, (part) => part.minute)) {
          expect([minute % MINUTE, sum(own, 'cpuMs') <= MINUTE, own.every(({ cpuUs }) => cpuUs >= 0)]).toEqual([0, true, true]);
        }
      }),
    );
  });

  test.each([
    ['the first reading has nothing to compare with', null, reading(T0 + 5, 9), []],
    ['the same reading again is no news', reading(T0, 5), reading(T0, 5), null],
    ['an older one is none either', reading(T0, 5), reading(T0 - 1, 4), null],
    ['a clock far ahead is not believed', reading(T0, 5), reading(T0 + 2 * MINUTE + 1, 9), null],
    ['a counter that fell back says nothing of the time between', reading(T0, 500), reading(T0 + 1_000, 9), []],
    ['a gap of more than an hour is not averaged over', reading(T0 - 61 * MINUTE, 5), reading(T0, 500), []],
  ])('%s', (_, before, next, expected) => {
    expect(useBetween(before, next, T0 + MINUTE)).toEqual(expected);
  });

  test('the average of a minute rounds down, and what nobody has measured is not nothing', () => {
    expect(averageUse({ cpuUs: 59_999_999, cpuMs: 60_000, memoryMib: 11, memorySamples: 3 })).toEqual({
      cpuMilli: 999,
      memoryMib: 3,
    });
    expect(averageUse({ cpuUs: 0, cpuMs: 0, memoryMib: 0, memorySamples: 0 })).toEqual({ cpuMilli: null, memoryMib: null });
  });
});

describe('Cost on Kubernetes: nodes and pods are written down as they are observed', () => {
  const capacity = { cpuMilli: 4_000, memoryMib: 8_192, accelerator: null };
  const pod = (uid: string, from = T0) => ({
    ...{
      uid,
      namespace: 'n',
      name: uid,
      workloadId: null,
      owner: '',
      daemon: false,
      endingSince: null,
      ready: true,
      replaced: true,
    },
    ...{ from, requests: { cpuMilli: 100, memoryMib: 50, accelerator: null } },
  });
  const node = (uid: string, pods: readonly ReturnType<typeof pod>[] = [], more: { pricePerHour?: bigint } = {}) => ({
    ...{ uid, name: uid, from: T0, capacity, allocatable: capacity, provider: null, instanceId: null, region: null, zone: null },
    ...{
      instanceType: null,
      capacityType: null,
      pricePerHour: null,
      priceProblem: null,
      pool: null,
      labels: {},
      readiness: 'ready' as const,
    },
    ...{ readinessSince: T0, seenAt: T0, schedulable: true, notice: null, releasing: false, pods, ...more },
  });
  const known = (nodeId: string, more: Partial<KnownNode> = {}): KnownNode => ({
    nodeId,
    capacityFrom: T0,
    capacityUntil: null,
    sampledThrough: T0 + MINUTE,
    shape: {
      n: 0,
      capacity: { cpuMilli: 4_000, memoryMib: 8_192, gpuMilli: 0 },
      unitPrices: 1,
      offeringId: null,
      annotated: null,
    },
    ...more,
  });
  const requests = { cpuMilli: 100, memoryMib: 50, gpuMilli: 0 };
  const placed = (podId: string, nodeId: string, more = {}) => ({ podId, nodeId, from: T0, until: null, requests, ...more });
  const at = T0 + 10 * MINUTE;
  const plan = (input: Partial<NodeFactsInput> & { seen: readonly ReturnType<typeof node>[] }) =>
    planNodeFacts({
      nodes: [],
      pods: [],
      offerings: new Map(),
      before: at - 1_000,
      ...input,
      inventory: { observedAt: at, nodes: input.seen, waiting: [] },
    });

  test('what is known is not written again', () => {
    expect(isNoFact(plan({ nodes: [known('a')], pods: [placed('p', 'a')], seen: [node('a', [pod('p')])] }))).toBe(true);
  });

  test('a new node and its pods begin when they began, not when they were seen', () => {
    const facts = plan({ seen: [node('a', [pod('p', T0 + 7)])] });
    expect(facts).toMatchObject({
      nodes: [{ nodeId: 'a', from: T0 }],
      shapes: [{ n: 0, at: T0 }],
      placements: [{ podId: 'p', from: T0 + 7 }],
    });
    expect(facts.stale).toContainEqual({ nodeId: 'a', from: T0 + 7 });
  });

  test.each([
    ['now, if it was there a moment ago', at - 1_000, T0 + MINUTE, { until: at, estimated: false }],
    ['when it was last heard of, if nobody watched', null, T0 + MINUTE, { until: T0 + MINUTE, estimated: true }],
    [
      'when it was last seen, if its kubelet was silent',
      at - 5 * MINUTE,
      T0 + MINUTE,
      { until: at - 5 * MINUTE, estimated: true },
    ],
    ['now, if nothing was ever heard of it', null, 0, { until: at, estimated: true }],
  ])('a node that is not named any more has ended: %s', (_, before, sampledThrough, end) => {
    expect(plan({ nodes: [known('a', { sampledThrough })], before, seen: [] }).ends).toEqual([{ nodeId: 'a', ...end }]);
  });

  test('a node that comes back was there all the time', () => {
    const facts = plan({ nodes: [known('a', { capacityUntil: T0 + MINUTE })], seen: [node('a')] });
    expect(facts.ends).toEqual([{ nodeId: 'a', until: null, estimated: false }]);
    expect(facts.stale).toContainEqual({ nodeId: 'a', from: T0 + MINUTE });
  });

  test('another price, another capacity and another request count from now on', () => {
    const priced = plan({ nodes: [known('a')], seen: [node('a', [], { pricePerHour: 7n })] });
    expect(priced.shapes).toMatchObject([{ n: 1, at, annotated: 7n }]);
    const asked = plan({
      nodes: [known('a')],
      pods: [placed('p', 'a', { requests: { ...requests, cpuMilli: 9 } })],
      seen: [node('a', [pod('p')])],
    });
    expect([asked.left, asked.placements]).toMatchObject([[{ podId: 'p', from: T0, until: at }], [{ podId: 'p', from: at }]]);
  });

  test('a pod that moves leaves one node for the other, and both are stated anew', () => {
    const facts = plan({ nodes: [known('a'), known('b')], pods: [placed('p', 'a')], seen: [node('a'), node('b', [pod('p')])] });
    expect(facts.left).toEqual([{ podId: 'p', from: T0, until: at }]);
    expect(facts.placements).toMatchObject([{ podId: 'p', nodeId: 'b', from: at }]);
    expect(new Set(facts.stale.map(({ nodeId }) => nodeId))).toEqual(new Set(['a', 'b']));
  });
});

describe('Cost on Kubernetes: a minute of a node closes as a whole', () => {
  const now = T0 + 30 * MINUTE + 20_000;
  const node: NodeProgress = {
    nodeId: 'a',
    closedUntil: T0 + 20 * MINUTE,
    capacityUntil: null,
    sampledThrough: now,
    changed: false,
  };
  const until = (more: Partial<NodeProgress>, acknowledged: number | null = now) =>
    (planNodeClosing({ nodes: [{ ...node, ...more }], acknowledged, queued: [] }, now)[0]?.closeUntil ?? node.closedUntil) - T0;

  test.each([
    ['routers and kubelet have told of it', {}, now, 30],
    ['a router has not', {}, T0 + 25 * MINUTE + 9, 25],
    ['the kubelet has not', { sampledThrough: T0 + 24 * MINUTE + 9 }, now, 24],
    ['no router was seen: after ten minutes', {}, null, (now - CLOSE_ANYWAY_MS - 20_000 - T0) / MINUTE],
    ['the kubelet is silent for good: after ten minutes', { sampledThrough: 0 }, now, 20],
    ['it is gone: its last minute, without its kubelet', { capacityUntil: T0 + 22 * MINUTE + 1, sampledThrough: 0 }, now, 23],
  ])('%s', (_, more, acknowledged, minutes) => {
    expect(until(more, acknowledged)).toBe(minutes * MINUTE);
  });

  test('a steady state has nothing to do; what is queued or has another price has', () => {
    const still = { ...node, closedUntil: T0 + 30 * MINUTE };
    expect(planNodeClosing({ nodes: [still], acknowledged: now, queued: [] }, now)).toEqual([]);
    expect(planNodeClosing({ nodes: [{ ...still, changed: true }], acknowledged: now, queued: [] }, now)).toHaveLength(1);
    const queued = [{ nodeId: 'b', minutes: [T0] }];
    expect(planNodeClosing({ nodes: [still], acknowledged: now, queued }, now)).toEqual([
      { nodeId: 'b', closeUntil: 0, restate: [T0] },
    ]);
  });
});

describe('Cost on Kubernetes: spreading what nobody has', () => {
  const amount = fc.bigInt({ min: 0n, max: 10n ** 12n });
  const names = {
    teamId: null,
    projectId: null,
    deploymentId: null,
    revisionId: null,
    modelId: null,
    modelVersionId: null,
    offeringId: null,
  };
  const line = fc
    .record({
      resource: fc.constantFrom('a', 'b', 'c', 'd'),
      kind: fc.constantFrom('replica' as const, 'node_idle' as const, 'shared' as const),
      nodeId: fc.constantFrom('one', 'two', 'three'),
      minute: fc.constantFrom(T0, T0 + MINUTE),
      list: amount,
      effective: amount,
      unpriced: fc.boolean(),
    })
    .map(({ resource, kind, nodeId, minute, list, effective, unpriced }): OpenLine => ({
      ...{
        ...names,
        resourceId: `${resource}-${nodeId}`,
        kind,
        nodeId,
        clusterId: nodeId === 'three' ? 'y' : 'x',
        minute,
        assumed: false,
      },
      ...{ priceId: unpriced ? null : 'p', state: kind === 'replica' ? ('serving' as const) : ('' as const), group: null, ms: 7 },
      ...(unpriced ? { list: 0n, contracted: 0n, effective: 0n } : { list, contracted: effective, effective }),
    }));
  const lines = fc.uniqueArray(line, {
    maxLength: 14,
    selector: ({ resourceId, kind, minute, priceId }) => `${resourceId} ${kind} ${minute} ${priceId}`,
  });
  const sum = (all: readonly OpenLine[], of: (one: OpenLine) => boolean = () => true) =>
    all.filter(of).reduce((total, one) => [total[0]! + one.effective, total[1]! + one.list], [0n, 0n]);

  test('never changes a sum: of all, of a kind, of a minute, of a place; and only those who cost something pay', () => {
    fc.assert(
      fc.property(lines, fc.constantFrom('BY_NODE' as const, 'BY_CLUSTER' as const), (all, spreading) => {
        const spread = spreadLines(all, spreading);
        const place = spreading === 'BY_NODE' ? ('nodeId' as const) : ('clusterId' as const);
        for (const kind of ['replica', 'node_idle', 'shared']) {
          for (const minute of [T0, T0 + MINUTE]) {
            for (const where of ['one', 'two', 'three', 'x', 'y']) {
              const of = (one: OpenLine) => one.kind === kind && one.minute === minute && one[place] === where;
              expect(sum(spread, of)).toEqual(sum(all, of));
            }
          }
        }
        expect(spread.every(({ effective, list }) => effective >= 0n && list >= 0n)).toBe(true);
        expect(
          spreadLines([...all].reverse(), spreading)
            .map(keyOf)
            .sort(),
        ).toEqual(spread.map(keyOf).sort());
      }),
      { numRuns: 500 },
    );
  }, 60_000);

  const keyOf = (one: OpenLine) =>
    JSON.stringify(one, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value));

  test('a node without replicas stays the platform’s by node, and is everybody’s by cluster', () => {
    const make = (resourceId: string, kind: OpenLine['kind'], nodeId: string, effective: bigint): OpenLine => ({
      ...{
        ...names,
        resourceId,
        kind,
        nodeId,
        clusterId: 'x',
        minute: T0,
        assumed: false,
        priceId: 'p',
        state: kind === 'replica' ? 'serving' : '',
      },
      ...{ group: null, ms: 1, list: effective, contracted: effective, effective },
    });
    const all = [make('r', 'replica', 'one', 3n), make('one', 'node_idle', 'one', 5n), make('two', 'node_idle', 'two', 11n)];
    const ofReplica = (spread: readonly OpenLine[]) => sum(spread, ({ resourceId }) => resourceId === 'r')[0];
    expect(ofReplica(spreadLines(all, 'NONE'))).toBe(3n);
    expect(ofReplica(spreadLines(all, 'BY_NODE'))).toBe(8n);
    expect(ofReplica(spreadLines(all, 'BY_CLUSTER'))).toBe(19n);
  });
});
