// Builds nodes with pods as plain values and looks at which of them is to be emptied, and why not.
import { describe, expect, test } from 'vitest';
import type { CloudPoolState } from '../../src/clouds/cloud-provider.port.ts';
import type { NodePod, ObservedNode } from '../../src/fleet/cluster-inventory.port.ts';
import { planConsolidation } from '../../src/fleet/plan-consolidation.ts';
import { POOL_PACE, planPools, type ScaledPool } from '../../src/fleet/plan-pools.ts';
import { DAY_MS, HOUR_MS } from '../../src/kernel/instant.ts';
import { PICO_PER_USD } from '../../src/kernel/money.ts';
import type { RateStep } from '../../src/pricing/worth-it.ts';
import { node, notice, NOW, pod, poolCalled, seen, small, uid } from '../support/nodes.ts';

const pool = poolCalled('burst', 90);
const lasting: RateStep[] = [{ from: NOW - 30 * DAY_MS, rate: PICO_PER_USD }];
const carrying = (n: number, cpuMilli: number, more: Partial<NodePod> = {}) =>
  node(n, { pods: [pod(n, { workloadId: uid(500 + n), requests: { cpuMilli, memoryMib: 256, accelerator: null }, ...more })] });
const machines = (nodes: readonly ObservedNode[]): CloudPoolState => ({
  desired: nodes.length,
  nodes: nodes.map(({ instanceId, name }) => ({ instanceId: instanceId ?? '', nodeName: name, phase: 'running', since: 0 })),
});
const scaled = (nodes: readonly ObservedNode[], more: Partial<ScaledPool['scaling']> = {}): ScaledPool => ({
  ...{ pool, cloud: machines(nodes), shape: small, nodes, rows: [], refusedUntil: null, refusal: null, held: null },
  scaling: {
    ...{ poolId: pool.id, provider: 'simulated', config: {}, minNodes: 0, maxNodes: 9, desiredNodes: null, scaledAt: null },
    ...{ conditions: [], emptying: null, emptiedAt: null, version: 1, ...more },
  },
});
const emptied = (nodes: ObservedNode[], more: Partial<ScaledPool['scaling']> = {}, history: RateStep[] = lasting) =>
  planConsolidation(
    { pools: [scaled(nodes, more)], observation: seen(nodes), history: new Map([[pool.id, history]]) },
    POOL_PACE,
    NOW,
  ).map((one) => `${one.node.name}: ${one.moves.map(({ pod: name, to }) => `${name} to ${to}`).join(', ')}`);

describe('Consolidation: half-empty nodes are emptied into the room of others where that is worth it', () => {
  const half = [carrying(1, 1_500), carrying(2, 400), carrying(3, 1_000)];

  test('the one with the least on it, with its numbers', () => {
    expect(emptied(half)).toEqual(['node2: pod2 to node1']);
    const [one] = planConsolidation(
      { pools: [scaled(half)], observation: seen(half), history: new Map([[pool.id, lasting]]) },
      POOL_PACE,
      NOW,
    );
    expect(one?.verdict).toMatchObject({ worth: true, saving: 24n * PICO_PER_USD, reasons: [{ code: 'WORTH_IT' }] });
  });

  test.each<[string, ObservedNode[], Partial<ScaledPool['scaling']>?, RateStep[]?]>([
    ['nobody has room', [carrying(1, 1_500), carrying(2, 1_000)]],
    ['it is the only one', [carrying(1, 100)]],
    ['the pool must have so many', half, { minNodes: 3 }],
    ['the pool has just grown', half, { scaledAt: NOW - 1_000 }],
    ['another one is being emptied', half, { emptying: uid(1) }],
    ['one was emptied a while ago', half, { emptiedAt: NOW - HOUR_MS + 1 }],
    ['nobody knows what it costs', half, {}, []],
    ['its price is new', half, {}, [{ from: NOW - HOUR_MS, rate: PICO_PER_USD }]],
    ['it costs nothing', half, {}, [{ from: 0, rate: 0n }]],
    ['a pod of others is on it', [carrying(1, 1_700), carrying(2, 400, { workloadId: null }), carrying(3, 1_900)]],
    ['its workload does not serve in full', [carrying(1, 1_700), carrying(2, 400, { ready: false }), carrying(3, 1_900)]],
    ['a node is on its way out already', [...half, node(4, { notice })]],
    ['the room is on a node that takes nothing', [carrying(2, 400), { ...carrying(1, 1_500), schedulable: false }]],
    ['nobody hears of the other', [carrying(2, 400), { ...carrying(1, 1_500), readiness: 'unknown' as const }]],
  ])('nothing where %s', (_, nodes, more = {}, history = lasting) => {
    expect(emptied(nodes, more, history)).toEqual([]);
  });

  test('nothing while pods wait', () => {
    const waiting = {
      uid: uid(7),
      workloadId: uid(500),
      requests: small,
      pool: null,
      nodeSelector: {},
      since: NOW,
      message: 'no room',
    };
    const observation = seen(half, [waiting]);
    expect(
      planConsolidation({ pools: [scaled(half)], observation, history: new Map([[pool.id, lasting]]) }, POOL_PACE, NOW),
    ).toEqual([]);
  });

  test('what was begun is carried on after a crash, is not undone by the work that still is there, and ends when pods wait or it is gone', () => {
    const steps = (nodes: ObservedNode[], waits = false) => {
      const pods = {
        uid: uid(7),
        workloadId: uid(500),
        requests: small,
        pool: 'burst',
        nodeSelector: {},
        since: 0,
        message: 'no room',
      };
      const [plan] = planPools([scaled(nodes, { emptying: uid(2) })], waits ? [pods] : [], POOL_PACE, NOW);
      return (plan?.steps ?? []).map(({ step }) => step.kind);
    };
    const marked = { ...carrying(2, 400), releasing: true, schedulable: false };
    expect(steps([carrying(1, 1_500), carrying(2, 400)])).toEqual(['cordon']);
    expect(steps([carrying(1, 1_500), marked])).toEqual([]);
    expect(steps([carrying(1, 1_500), marked], true)).toEqual(['emptied', 'uncordon']);
    expect(steps([carrying(1, 1_500)])).toEqual(['emptied']);
  });
});
