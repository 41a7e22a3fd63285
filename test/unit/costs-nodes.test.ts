// Properties against a second, naive reckoning of a node-minute: millisecond by millisecond, with lists and sorting, no shortcuts.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { attributeMinute, outside, splitCosts, type RatedStep, type StateCost } from '../../src/costs/attribute-costs.ts';
import {
  attributeNode,
  costOfNodeMinute,
  type NodeMinute,
  type NodeShape,
  type NodeShares,
  type PodOnNode,
  type Quantities,
} from '../../src/costs/attribute-node.ts';
import { END, instant, MINUTE, naive, nodeMinute } from '../support/node-minutes.ts';

const all = ({ idle, pods }: NodeShares): StateCost[] => [...idle, ...[...pods.values()].flat()];
const sum = (shares: readonly StateCost[], amount: 'list' | 'contracted' | 'effective' = 'effective'): bigint =>
  shares.reduce((total, share) => total + share[amount], 0n);

function told({ idle, pods }: NodeShares): Map<string, bigint> {
  const found = new Map<string, bigint>();
  for (const [podId, shares] of [['', idle] as const, ...pods]) {
    for (const share of shares)
      if (share.effective > 0n) found.set(`${podId}|${share.priceId ?? ''}|${share.state}`, share.effective);
  }
  return found;
}

const sorted = (map: ReadonlyMap<string, bigint>): unknown[] => [...map].sort(([a], [b]) => (a < b ? -1 : 1));

describe('Cost on Kubernetes: one node-minute', () => {
  test('agrees to the last digit with a naive reckoning', () => {
    fc.assert(
      fc.property(nodeMinute, (input) => {
        expect(sorted(told(attributeNode(input)))).toEqual(sorted(naive(input)));
      }),
      { numRuns: 1_000 },
    );
  }, 120_000);

  test('all parts sum to the cost of the node, at every price and for any input, and none is negative', () => {
    fc.assert(
      fc.property(nodeMinute, (input) => {
        const shares = all(attributeNode(input));
        expect(sum(shares)).toBe(costOfNodeMinute(input.node, MINUTE));
        const by = (name: 'list' | 'contracted'): bigint =>
          costOfNodeMinute(
            {
              ...input.node,
              shapes: input.node.shapes.map((shape) => ({
                ...shape,
                steps: shape.steps.map((step) => ({ ...step, effective: step[name] })),
              })),
            },
            MINUTE,
          );
        expect([sum(shares, 'list'), sum(shares, 'contracted')]).toEqual([by('list'), by('contracted')]);
        expect(
          shares.every((share) => share.effective >= 0n && share.list >= 0n && share.contracted >= 0n && share.ms >= 0),
        ).toBe(true);
      }),
      { numRuns: 5_000 },
    );
  }, 120_000);

  test('the time of each pod is the time that it was there, whatever it cost', () => {
    fc.assert(
      fc.property(nodeMinute, (input) => {
        const { pods } = attributeNode(input);
        const [start, end] = [Math.max(MINUTE, input.node.capacityFrom), Math.min(END, input.node.capacityUntil ?? END)];
        for (const { podId, pieces } of input.pods) {
          const there = pieces.reduce((ms, { from, to }) => ms + Math.max(0, Math.min(to, end) - Math.max(from, start)), 0);
          expect(pods.get(podId)!.reduce((ms, share) => ms + share.ms, 0)).toBe(there);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test('the order of pods and of their pieces, and how a piece is cut, change nothing', () => {
    fc.assert(
      fc.property(nodeMinute, fc.infiniteStream(fc.nat()), (input, order) => {
        const shuffle = <T>(items: readonly T[]): T[] =>
          items
            .map((item) => ({ item, at: order.next().value as number }))
            .sort((a, b) => a.at - b.at)
            .map(({ item }) => item);
        const halves = (one: PodOnNode): PodOnNode => ({
          ...one,
          pieces: shuffle(
            one.pieces.flatMap((piece) => {
              const middle = Math.floor((piece.from + piece.to) / 2);
              return [
                { ...piece, to: middle },
                { ...piece, from: middle },
              ];
            }),
          ),
        });
        expect(sorted(told(attributeNode({ ...input, pods: shuffle(input.pods.map(halves)) })))).toEqual(
          sorted(told(attributeNode(input))),
        );
      }),
      { numRuns: 1_000 },
    );
  });

  test('minutes that are still open cost what has passed of them', () => {
    fc.assert(
      fc.property(nodeMinute, fc.integer({ min: MINUTE, max: END }), (input, knownUntil) => {
        const cut = { ...input.node, capacityUntil: Math.min(input.node.capacityUntil ?? END, knownUntil) };
        expect(sum(all(attributeNode({ ...input, knownUntil })))).toBe(costOfNodeMinute(cut, MINUTE));
      }),
      { numRuns: 500 },
    );
  });
});

describe('Cost on Kubernetes: what a pod weighs', () => {
  const step: RatedStep = {
    from: 0,
    to: 2 ** 45,
    priceId: 'p',
    list: 120_000_000_000n,
    contracted: 120_000_000_000n,
    effective: 120_000_000_000n,
  };
  const capacity = { cpuMilli: 4_000, memoryMib: 16_384, gpuMilli: 0 };
  const whole = { from: MINUTE, to: END, state: 'serving' } as const;
  const make = (pods: readonly PodOnNode[], more: Partial<NodeShape> = {}): NodeMinute => ({
    minute: MINUTE,
    knownUntil: END,
    node: {
      capacityFrom: 0,
      capacityUntil: null,
      shapes: [{ at: 0, capacity, unitPrices: 1, offeringId: null, steps: [step], ...more }],
    },
    pods,
  });
  const asks = (podId: string, requests: Partial<Quantities>, use: Partial<PodOnNode['use']> = {}): PodOnNode => ({
    podId,
    use: { cpuMilli: null, memoryMib: null, ...use },
    pieces: [{ ...whole, requests: { cpuMilli: 0, memoryMib: 0, gpuMilli: 0, ...requests } }],
  });
  const costOf = (input: NodeMinute, podId: string): bigint => sum(attributeNode(input).pods.get(podId) ?? []);
  const total = costOfNodeMinute(make([]).node, MINUTE);

  test.each([
    ['nobody is there: all of it is idle', [], [0n, 0n]],
    [
      'half of the CPU and half of the memory is half of the node',
      [asks('a', { cpuMilli: 2_000, memoryMib: 8_192 })],
      [total / 2n, 0n],
    ],
    [
      'who uses more than they asked for has what they use',
      [asks('a', { cpuMilli: 1 }, { cpuMilli: 2_000, memoryMib: 8_192 })],
      [total / 2n, 0n],
    ],
    [
      'who uses less than they asked for has what they asked for',
      [asks('a', { cpuMilli: 2_000, memoryMib: 8_192 }, { cpuMilli: 7, memoryMib: 9 })],
      [total / 2n, 0n],
    ],
    [
      'two who use more than there is share it all',
      [asks('a', {}, { cpuMilli: 9_000, memoryMib: 20_000 }), asks('b', {}, { cpuMilli: 9_000, memoryMib: 20_000 })],
      [total / 2n, total / 2n],
    ],
  ])('%s', (_, pods, [a, b]) => {
    // The node's cost is split in three before: each of them may round by one.
    for (const [podId, expected] of [
      ['a', a],
      ['b', b],
    ] as const) {
      const differs = costOf(make(pods), podId) - (expected ?? 0n);
      expect(differs <= 2n && differs >= -2n).toBe(true);
    }
  });

  test('an accelerator is worth most of its node, and belongs to whoever holds it', () => {
    const shape = { capacity: { ...capacity, gpuMilli: 1_000 } };
    const holder = [asks('a', { gpuMilli: 1_000 }), asks('b', { cpuMilli: 4_000, memoryMib: 16_384 })];
    expect(costOf(make(holder, shape), 'a') * 10n).toBeGreaterThan(costOfNodeMinute(make([]).node, MINUTE) * 8n);
    expect(sum(attributeNode(make(holder, shape)).idle)).toBe(0n);
  });

  test('no price is unpriced time, never a cost of zero under a price', () => {
    const { idle, pods } = attributeNode(make([asks('a', { cpuMilli: 1_000 })], { steps: [] }));
    const unpriced = { priceId: null, ms: 60_000, list: 0n, contracted: 0n, effective: 0n };
    expect(idle).toEqual([{ ...unpriced, state: '' }]);
    expect(pods.get('a')).toEqual([{ ...unpriced, state: 'serving' }]);
  });

  test('a node that does not say what it has belongs to nobody', () => {
    const nothing = { capacity: { cpuMilli: 0, memoryMib: 0, gpuMilli: 0 } };
    expect(sum(attributeNode(make([asks('a', { cpuMilli: 5 })], nothing)).idle)).toBe(total);
  });
});

describe('Cost on Kubernetes: the replica’s own split', () => {
  test('what a pod cost while serving is split over its callers, and every line of it sums to the pod’s share', () => {
    const state = fc.constantFrom('starting' as const, 'serving' as const, 'unready' as const, 'draining' as const);
    const transitions = fc.array(fc.record({ at: instant, state }), { maxLength: 6 });
    const busy = fc.array(
      fc.record({
        callerTeamId: fc.constantFrom('a', 'b'),
        caller: fc.constant('x'),
        kind: fc.constant('inference' as const),
        experiment: fc.constant(''),
        busyUs: fc.nat(90_000_000),
      }),
      { maxLength: 4 },
    );
    fc.assert(
      fc.property(
        transitions,
        busy,
        fc.array(fc.tuple(fc.bigInt({ min: 0n, max: 10n ** 10n }), state), { maxLength: 5 }),
        (told, usage, costs) => {
          const minute = {
            minute: MINUTE,
            knownUntil: END,
            life: { capacityFrom: 0, capacityUntil: null, transitions: [{ at: 1, state: 'serving' as const }, ...told] },
            steps: [],
            usage,
            concurrency: 2,
          };
          const serving = attributeMinute({ ...minute, usage: [] }).some((line) => line.state === 'serving');
          const shares = costs
            .filter(([, one]) => one !== 'serving' || serving)
            .map(([effective, one], i) => ({ priceId: `p${i}`, state: one, ms: 0, list: effective, contracted: 0n, effective }));
          expect(splitCosts(minute, shares).reduce((all, line) => all + line.effective, 0n)).toBe(sum(shares));
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test('time outside of known nodes is unpriced, and in all it is the replica’s time', () => {
    const places = fc.array(
      fc.tuple(instant, instant).map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) })),
      { minLength: 1, maxLength: 4 },
    );
    fc.assert(
      fc.property(places, (known) => {
        const life = { capacityFrom: MINUTE + 1_000, capacityUntil: null, transitions: [] };
        const steps = [{ from: 0, to: 2 ** 45, priceId: 'p', list: 1n, contracted: 1n, effective: 10n ** 12n }];
        const lines = attributeMinute({ minute: MINUTE, knownUntil: END, life, steps, usage: [], concurrency: 1, places: known });
        let missing = 0;
        for (let at = MINUTE + 1_000; at < END; at += 1) if (!known.some(({ from, to }) => from <= at && at < to)) missing += 1;
        expect(lines.reduce((ms, line) => ms + line.ms, 0)).toBe(missing);
        expect(lines.every(({ priceId, effective }) => priceId === null && effective === 0n)).toBe(true);
        const left = outside({ from: MINUTE, to: END }, known);
        expect(left.every(({ from, to }) => from < to)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });
});
