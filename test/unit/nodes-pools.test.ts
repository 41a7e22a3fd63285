// Builds pools, their machines and the pods that wait as plain values and looks at the steps that are planned.
import { describe, expect, test } from 'vitest';
import type { CloudNode, CloudPoolState } from '../../src/clouds/cloud-provider.port.ts';
import type { ObservedNode, WaitingPod } from '../../src/fleet/cluster-inventory.port.ts';
import type { Pool } from '../../src/fleet/cluster.ts';
import type { ClusterNode, PoolScaling } from '../../src/fleet/node.ts';
import { planNodes } from '../../src/fleet/plan-nodes.ts';
import { planPoolRemoval } from '../../src/fleet/plan-pool-removal.ts';
import { machineOf, planPools, POOL_PACE, type PlannedStep, type ScaledPool } from '../../src/fleet/plan-pools.ts';
import { node, notice, NOW, pod, poolCalled, seen, small, uid } from '../support/nodes.ts';

describe('Nodes scale: pools grow for pods that wait and give idle nodes back', () => {
  const pool: Pool = poolCalled('burst', 90);
  const scaling: PoolScaling = {
    ...{ poolId: pool.id, provider: 'simulated', config: {}, minNodes: 0, maxNodes: 5, desiredNodes: null, scaledAt: null },
    ...{ conditions: [], emptying: null, emptiedAt: null, version: 1 },
  };
  const running = (...ns: number[]): CloudPoolState => ({
    desired: ns.length,
    nodes: ns.map((n) => ({ instanceId: `i-${n}`, nodeName: `node${n}`, phase: 'running', since: 0 })),
  });
  const idleRow = (n: number, since: number | null) => ({ id: uid(n), idleSince: since }) as ClusterNode;
  const scaled = (more: Partial<ScaledPool> = {}): ScaledPool => ({
    ...{ pool, scaling, cloud: running(), shape: small, nodes: [], rows: [], refusedUntil: null, refusal: null, held: null },
    ...more,
  });
  const waits = (n: number, more: Partial<WaitingPod> = {}): WaitingPod => ({
    ...{ uid: uid(2_000 + n), workloadId: uid(500), requests: { cpuMilli: 1_000, memoryMib: 512, accelerator: null } },
    ...{ pool: 'burst', nodeSelector: {}, since: NOW - 10_000, message: '0/1 nodes are available' },
    ...more,
  });
  const plan = (one: ScaledPool, waiting: WaitingPod[] = []) => planPools([one], waiting, POOL_PACE, NOW)[0];
  const wordsOf = (steps: readonly PlannedStep[] = []) =>
    steps.map(({ step }) => {
      if (step.kind === 'scale') return `${step.from} to ${step.to} ${step.release.join(' ')}`.trim();
      return step.kind === 'delete' || step.kind === 'empty' || step.kind === 'emptied'
        ? step.kind
        : `${step.kind} ${step.node.name}`;
    });
  const words = (one: ScaledPool, waiting: WaitingPod[] = []) => wordsOf(plan(one, waiting)?.steps);
  const idleSince = NOW - POOL_PACE.idleMs;
  const twoIdle = { cloud: running(1, 2), nodes: [node(1), node(2)], rows: [idleRow(1, idleSince), idleRow(2, idleSince)] };

  test('as many nodes as the pods need, packed', () => {
    expect(words(scaled(), [waits(1), waits(2), waits(3)])).toEqual(['0 to 2']);
  });

  test('a machine is known by its instance id, or by its node, unless that one has gone and another has its name', () => {
    const by = (instanceId: string, phase: CloudNode['phase']): CloudPoolState => ({
      desired: 1,
      nodes: [{ instanceId, nodeName: 'node1', phase, since: 0 }],
    });
    const of = (instanceId: string | null, cloud: CloudPoolState) => machineOf(node(1, { instanceId }), cloud)?.phase;
    expect(of('i-1', by('i-1', 'gone'))).toBe('gone');
    expect(of('rack-1', by('rack-1.7', 'running'))).toBe('running');
    expect(of('rack-1', by('rack-1.7', 'gone'))).toBeUndefined();
    expect(of(null, by('rack-1.7', 'gone'))).toBe('gone');
  });

  test('nodes that are on their way are counted on', () => {
    const coming: CloudPoolState = { desired: 1, nodes: [{ instanceId: 'i-1', nodeName: null, phase: 'starting', since: NOW }] };
    expect(words(scaled({ cloud: coming }), [waits(1), waits(2)])).toEqual([]);
    expect(words(scaled({ cloud: coming }), [waits(1), waits(2), waits(3)])).toEqual(['1 to 2']);
    const fresh = node(1, { readiness: 'not_ready', from: NOW - 1_000 });
    expect(words(scaled({ cloud: running(1), nodes: [fresh] }), [waits(1), waits(2)])).toEqual([]);
    expect(words(scaled({ cloud: running(1), nodes: [{ ...fresh, from: NOW - 600_000 }] }), [waits(1)])).toEqual(['1 to 2']);
  });

  test('never above its maximum, and it says so', () => {
    const five = running(1, 2, 3, 4, 5);
    const nodes = [1, 2, 3, 4, 5].map((n) => node(n, { pods: [pod(n)] }));
    expect(
      words(
        scaled({ cloud: running(1, 2, 3), nodes: nodes.slice(0, 3) }),
        [1, 2, 3, 4, 5, 6].map((n) => waits(n)),
      ),
    ).toEqual(['3 to 5']);
    expect(plan(scaled({ cloud: five, nodes }), [waits(1)])).toMatchObject({ steps: [], stalled: { reason: 'MAXIMUM' } });
  });

  test('one step at a time, and not more than a step may add', () => {
    const soon = { ...scaling, scaledAt: NOW - POOL_PACE.stepMs + 1 };
    expect(words(scaled({ scaling: soon }), [waits(1)])).toEqual([]);
    const wide = { ...scaling, maxNodes: 100 };
    expect(
      words(
        scaled({ scaling: wide }),
        Array.from({ length: 60 }, (_, n) => waits(n)),
      ),
    ).toEqual([`0 to ${POOL_PACE.maxStep}`]);
  });

  test('its provider said no: not before it is worth asking again', () => {
    expect(words(scaled({ refusedUntil: NOW + 1 }), [waits(1)])).toEqual([]);
    expect(words(scaled({ refusedUntil: NOW }), [waits(1)])).toEqual(['0 to 1']);
  });

  test('pods that the scheduler has not looked at, of other pools, or too large for any node do not count', () => {
    expect(words(scaled(), [waits(1, { message: '' })])).toEqual([]);
    expect(words(scaled(), [waits(1, { pool: 'other' })])).toEqual([]);
    expect(words(scaled(), [waits(1, { pool: null, nodeSelector: { tier: 'gpu' } })])).toEqual([]);
    const huge = waits(1, { requests: { cpuMilli: 2_001, memoryMib: 1, accelerator: null } });
    expect(plan(scaled(), [huge])).toMatchObject({ steps: [], stalled: { reason: 'TOO_LARGE' } });
  });

  describe('one that was removed', () => {
    const removed = { ...pool, removedAt: NOW - 60_000 };
    const goes = (more: Partial<ScaledPool>) => planPoolRemoval(scaled({ pool: removed, ...more }), POOL_PACE, NOW);
    const marked = (n: number, more: Partial<ObservedNode> = {}) => node(n, { releasing: true, schedulable: false, ...more });

    test('takes nothing new, gives back what has no work by name, also what has not joined, and the rest when its work has moved', () => {
      expect(wordsOf(goes({ cloud: running(1, 2), nodes: [node(1), node(2, { pods: [pod(2)] })] }).steps)).toEqual([
        'cordon node1',
        'cordon node2',
      ]);
      const cloud = running(1, 2, 3);
      expect(wordsOf(goes({ cloud, nodes: [marked(1), marked(2, { pods: [pod(2)] })] }).steps)).toEqual(['3 to 1 i-1 i-3']);
      expect(wordsOf(goes({ cloud: running(2), nodes: [marked(2, { pods: [pod(2, { daemon: true })] })] }).steps)).toEqual([
        '1 to 0 i-2',
      ]);
    });

    test('minimum and rest after growing keep nothing; a wish without a machine ends', () => {
      const settling = { ...scaling, minNodes: 2, scaledAt: NOW - POOL_PACE.stepMs };
      expect(wordsOf(goes({ cloud: running(1), nodes: [marked(1)], scaling: settling }).steps)).toEqual(['1 to 0 i-1']);
      expect(wordsOf(goes({ cloud: { desired: 2, nodes: [] } }).steps)).toEqual(['2 to 0']);
      expect(wordsOf(goes({ cloud: running(1), nodes: [marked(1)], refusedUntil: NOW + 1 }).steps)).toEqual([]);
    });

    test('is given back also while its provider has no more machines of its kind', () => {
      const key = { provider: 'sim', region: '', zone: '', instanceType: 'm', capacityType: 'on_demand' as const };
      const none = { key, reason: 'STOCK_OUT' as const, message: 'None.', refusals: 1, since: NOW, until: NOW + 1 };
      const { pools: plans } = planNodes(
        {
          ...{ clusterId: uid(80), seenAt: null, known: [], pools: [removed], scalings: [scaling], offerings: new Set<string>() },
          ...{ observation: seen([marked(1)]), clouds: new Map([[pool.id, running(1)]]), interruptions: [], holds: [] },
          ...{ refusedUntil: new Map(), answers: new Map([[pool.id, none]]), history: new Map(), alone: new Map() },
        },
        POOL_PACE,
        NOW,
      );
      expect(wordsOf(plans[0]?.steps)).toEqual(['1 to 0 i-1']);
    });

    test('is forgotten by its provider once every machine and its node are gone', () => {
      const gone = { desired: 0, nodes: running(1).nodes.map((one) => ({ ...one, phase: 'gone' as const })) };
      const stopping = { desired: 0, nodes: running(1).nodes.map((one) => ({ ...one, phase: 'stopping' as const })) };
      expect(wordsOf(goes({ cloud: stopping, nodes: [marked(1)] }).steps)).toEqual([]);
      expect(wordsOf(goes({ cloud: stopping }).steps)).toEqual([]);
      expect(wordsOf(goes({ cloud: gone, nodes: [marked(1, { readiness: 'unknown' })] }).steps)).toEqual(['forget node1']);
      expect(wordsOf(goes({ cloud: gone }).steps)).toEqual(['delete']);
      expect(wordsOf(goes({ cloud: { desired: 0, nodes: [] } }).steps)).toEqual(['delete']);
    });

    test('leaves alone what its provider did not rent, what others run, and everything while its provider does not answer', () => {
      const own = node(9, { instanceId: 'by-hand' });
      expect(wordsOf(goes({ cloud: { desired: 0, nodes: [] }, nodes: [own] }).steps)).toEqual(['delete']);
      const others = marked(1, { pods: [pod(1, { workloadId: null, owner: 'StatefulSet/theirs' })] });
      expect(goes({ cloud: running(1), nodes: [others] })).toMatchObject({ steps: [], stalled: { reason: 'PODS_OF_OTHERS' } });
      expect(goes({ cloud: null, nodes: [node(1)] })).toMatchObject({ steps: [], stalled: { reason: 'PROVIDER_UNKNOWN' } });
    });
  });

  test('a pod that names no pool makes only one of two grow', () => {
    const other = scaled({ pool: { ...pool, id: uid(91), name: 'other' } });
    const plans = planPools([scaled(), other], [waits(1, { pool: null })], POOL_PACE, NOW);
    expect(plans.map(({ steps }) => steps.length)).toEqual([1, 0]);
  });

  test('at least its minimum', () => {
    expect(words(scaled({ scaling: { ...scaling, minNodes: 2 } }))).toEqual(['0 to 2']);
  });

  test('of what a node has nothing is known before the first has come: one is asked for', () => {
    expect(words(scaled({ shape: null }), [waits(1), waits(2), waits(3)])).toEqual(['0 to 1']);
  });

  test('an idle node is marked, then given back by name, and forgotten when its machine is gone', () => {
    expect(words(scaled(twoIdle))).toEqual(['cordon node1', 'cordon node2']);
    const marked = node(2, { releasing: true, schedulable: false });
    expect(words(scaled({ ...twoIdle, nodes: [node(1, { pods: [pod(1)] }), marked], rows: [] }))).toEqual(['2 to 1 i-2']);
    const given: CloudPoolState = {
      desired: 1,
      nodes: [...running(1).nodes, { instanceId: 'i-2', nodeName: 'node2', phase: 'stopping', since: NOW }],
    };
    expect(words(scaled({ cloud: given, nodes: [node(1, { pods: [pod(1)] }), marked] }))).toEqual([]);
    const gone: CloudPoolState = {
      ...given,
      nodes: given.nodes.map((one) => (one.instanceId === 'i-2' ? { ...one, phase: 'gone' } : one)),
    };
    expect(words(scaled({ cloud: gone, nodes: [node(1, { pods: [pod(1)] }), { ...marked, readiness: 'unknown' }] }))).toEqual([
      'forget node2',
    ]);
  });

  test('never below its minimum, never soon after growing', () => {
    expect(words(scaled({ ...twoIdle, scaling: { ...scaling, minNodes: 1 } }))).toEqual(['cordon node1']);
    expect(words(scaled({ ...twoIdle, scaling: { ...scaling, scaledAt: NOW - POOL_PACE.settleMs + 1 } }))).toEqual([]);
  });

  test('daemons are no work; a node that has been idle for too short a time stays', () => {
    const daemons = [node(1, { pods: [pod(1, { daemon: true })] })];
    expect(words(scaled({ cloud: running(1), nodes: daemons, rows: [idleRow(1, idleSince)] }))).toEqual(['cordon node1']);
    expect(words(scaled({ cloud: running(1), nodes: daemons, rows: [idleRow(1, idleSince + 1)] }))).toEqual([]);
  });

  test('a marked node that work came to, or that pods wait for, is kept', () => {
    const marked = node(1, { releasing: true, schedulable: false });
    expect(words(scaled({ cloud: running(1), nodes: [{ ...marked, pods: [pod(1)] }] }))).toEqual(['uncordon node1']);
    expect(words(scaled({ cloud: running(1), nodes: [marked] }), [waits(1)])).toEqual(['uncordon node1']);
    const stopping: CloudPoolState = {
      desired: 0,
      nodes: [{ instanceId: 'i-1', nodeName: 'node1', phase: 'stopping', since: NOW }],
    };
    expect(words(scaled({ cloud: stopping, nodes: [marked] }), [waits(1)])).toEqual(['0 to 1']);
  });

  test.each([
    ['a provider that does not answer', scaled({ ...twoIdle, cloud: null })],
    [
      'a node that nobody hears of',
      scaled({ ...twoIdle, nodes: [node(1, { readiness: 'unknown' }), node(2, { readiness: 'unknown' })] }),
    ],
    [
      'a node that somebody else has cordoned',
      scaled({ ...twoIdle, nodes: twoIdle.nodes.map((one) => ({ ...one, schedulable: false })) }),
    ],
    ['a machine that the provider does not show', scaled({ ...twoIdle, cloud: { desired: 2, nodes: [] } })],
    ['a silent node whose machine is there', scaled({ cloud: running(1), nodes: [node(1, { readiness: 'unknown' })] })],
  ])('nothing is given back for %s', (_, one) => {
    expect(words(one)).toEqual([]);
  });

  test('a provider that does not answer is told of while pods wait', () => {
    expect(plan(scaled({ cloud: null }), [waits(1)])).toMatchObject({ steps: [], stalled: { reason: 'PROVIDER_UNKNOWN' } });
  });

  test('a cluster that cannot be seen loses no node, no pod and no pool', () => {
    const rows = {
      clusterId: uid(80),
      seenAt: null,
      known: [idleRow(1, 0)],
      pools: [pool],
      scalings: [scaling],
      offerings: new Set<string>(),
    };
    const world = { ...rows, observation: null, clouds: new Map([[pool.id, running(1)]]), interruptions: [] };
    const nothing = { changes: [], announcements: [], departures: { departures: [], alone: [] }, pools: [] };
    expect(
      planNodes(
        { ...world, refusedUntil: new Map(), answers: new Map(), history: new Map(), holds: [], alone: new Map() },
        POOL_PACE,
        NOW,
      ),
    ).toEqual(nothing);
  });

  test("a provider's notice is written on the node, once", () => {
    const said = [{ instanceId: 'i-1', nodeName: null, noticedAt: NOW, goneAt: null, message: 'Taken away.' }];
    const world = (one: ObservedNode) => ({
      ...{ clusterId: uid(80), seenAt: null, known: [], pools: [pool], scalings: [], offerings: new Set<string>() },
      ...{
        observation: seen([one]),
        clouds: new Map(),
        interruptions: said,
        refusedUntil: new Map(),
        answers: new Map(),
        history: new Map(),
        holds: [],
        alone: new Map(),
      },
    });
    expect(planNodes(world(node(1)), POOL_PACE, NOW).announcements).toEqual([
      { node: { uid: uid(1), name: 'node1' }, message: 'Taken away.' },
    ]);
    expect(planNodes(world(node(1, { notice })), POOL_PACE, NOW).announcements).toEqual([]);
    expect(planNodes(world(node(2)), POOL_PACE, NOW).announcements).toEqual([]);
  });
});
