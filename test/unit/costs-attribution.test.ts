// Properties against a second, naive reckoning: one list of milliseconds, rational shares, no shortcuts.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  addAmounts,
  attributeMinute,
  tieKey,
  ZERO,
  type BusyGroup,
  type LineShare,
  type RatedStep,
} from '../../src/costs/attribute-costs.ts';
import { count, wasCounted, type HighWater } from '../../src/costs/high-water.ts';
import { piecesOf } from '../../src/costs/replica-life.ts';
import type { ReplicaState } from '../../src/deployments/cluster.port.ts';
import { restate, type BookedLine } from '../../src/costs/restate.ts';
import { costOfInterval } from '../../src/kernel/money.ts';

const MINUTE = 29_000_000 * 60_000;
const END = MINUTE + 60_000;
const instant = fc.integer({ min: MINUTE - 5_000, max: END + 5_000 });
const state = fc.constantFrom<ReplicaState>('starting', 'serving', 'unready', 'draining');
const life = fc.record({
  capacityFrom: fc.integer({ min: MINUTE - 5_000, max: END }),
  capacityUntil: fc.option(fc.integer({ min: MINUTE, max: END + 5_000 })),
  transitions: fc.array(fc.record({ at: instant, state }), { maxLength: 8 }),
});
const rate = fc.bigInt({ min: 0n, max: 10n ** 14n });
const amounts = fc.record({ list: rate, contracted: rate, effective: rate });
const steps = fc
  .tuple(fc.uniqueArray(instant, { maxLength: 4 }), fc.array(fc.option(amounts), { minLength: 5, maxLength: 5 }))
  .map(([cuts, prices]): RatedStep[] => {
    const bounds = [0, ...cuts.sort((a, b) => a - b), 2 ** 45];
    return bounds.slice(1).flatMap((to, i) => (prices[i] ? [{ from: bounds[i]!, to, priceId: `price-${i}`, ...prices[i] }] : []));
  });
const group = fc.record({
  callerTeamId: fc.constantFrom('a', 'b'),
  caller: fc.constantFrom('x', 'y'),
  kind: fc.constantFrom('inference' as const, 'mirror' as const),
  experiment: fc.constantFrom('', 'é', '\u{1F600}', '\uFFFD'),
});
const usage = fc.array(
  fc.tuple(group, fc.integer({ min: 0, max: 200_000_000 })).map(([who, busyUs]): BusyGroup => ({ ...who, busyUs })),
  { maxLength: 8 },
);
const minute = fc.record({
  minute: fc.constant(MINUTE),
  knownUntil: fc.constant(END),
  life,
  steps,
  usage,
  concurrency: fc.integer({ min: 1, max: 16 }),
});

const sum = (lines: readonly LineShare[]): bigint => lines.reduce((all, line) => all + line.effective, 0n);
const told = (lines: readonly LineShare[]) =>
  lines.map((line) => ({ ...line, group: tieKey(line.group) })).sort((a, b) => (key(a) < key(b) ? -1 : 1));
const key = (line: { priceId: string | null; state: string; group: unknown }) =>
  JSON.stringify([line.priceId, line.state, line.group]);

type Minute = typeof minute extends fc.Arbitrary<infer T> ? T : never;

/** The state at one instant: the last transition whose turn has come. */
function stateAt(input: Minute, at: number): string {
  let now = 'starting';
  let reached = 0;
  for (const transition of input.life.transitions) {
    reached = Math.max(reached, transition.at);
    if (reached <= at) now = transition.state;
  }
  return now;
}

/** Cost and time by price and state, ms by ms. */
function naiveTotals(input: Minute): Map<string, { cost: bigint; ms: number }> {
  const totals = new Map<string, { cost: bigint; ms: number }>();
  for (let at = Math.max(MINUTE, input.life.capacityFrom); at < Math.min(END, input.life.capacityUntil ?? END); at += 1) {
    const step = input.steps.find(({ from, to }) => from <= at && at < to);
    const name = `${step?.priceId ?? ''} ${stateAt(input, at)}`;
    const before = totals.get(name) ?? { cost: 0n, ms: 0 };
    totals.set(name, { cost: before.cost + (step ? costOfInterval(step.effective, at, at + 1) : 0n), ms: before.ms + 1 });
  }
  return totals;
}

function naiveSplit(cost: bigint, weights: readonly (readonly [string, bigint])[]): (readonly [string, bigint])[] {
  const whole = weights.reduce((all, [, weight]) => all + weight, 0n);
  const shares = weights.map(([who, weight]) => ({ who, floor: (cost * weight) / whole, rest: (cost * weight) % whole }));
  let left = cost - shares.reduce((all, share) => all + share.floor, 0n);
  shares.sort((a, b) => (a.rest === b.rest ? Buffer.compare(Buffer.from(a.who), Buffer.from(b.who)) : a.rest < b.rest ? 1 : -1));
  return shares.map(({ who, floor }) => [who, floor + (left-- > 0n ? 1n : 0n)] as const);
}

function naive(input: Minute) {
  const totals = naiveTotals(input);
  const serving = [...totals].filter(([name]) => name.endsWith(' serving')).reduce((all, [, { ms }]) => all + ms, 0);
  const busy = new Map<string, bigint>();
  for (const row of input.usage) busy.set(tieKey(row), (busy.get(tieKey(row)) ?? 0n) + BigInt(row.busyUs));
  const all = [...busy.values()].reduce((a, b) => a + b, 0n);
  const idle = BigInt(input.concurrency) * BigInt(serving) * 1000n - all;
  const weights = [['', idle < 0n ? 0n : idle] as const, ...busy].filter(([, weight]) => weight > 0n);
  const lines = [...totals].flatMap(([name, { cost }]) =>
    name.endsWith(' serving')
      ? naiveSplit(cost, weights).map(([who, share]) => [`${name} ${who}`, share] as const)
      : [[`${name} `, cost] as const],
  );
  return { lines: new Map(lines), totals };
}

describe('Metering and ledger: attribution of a replica-minute', () => {
  test('agrees to the last digit with a naive reckoning, and its lines sum to the cost of the minute', () => {
    fc.assert(
      fc.property(minute, (input) => {
        const { lines, totals } = naive(input);
        const got = attributeMinute(input);
        const mine = new Map(got.map((line) => [`${line.priceId ?? ''} ${line.state} ${tieKey(line.group)}`, line.effective]));
        for (const [name, cost] of lines) expect(mine.get(name) ?? 0n).toBe(cost);
        expect(sum(got)).toBe([...totals.values()].reduce((all, part) => all + part.cost, 0n));
        expect(got.reduce((all, line) => all + line.ms, 0)).toBe([...totals.values()].reduce((all, part) => all + part.ms, 0));
        expect(got.every((line) => line.effective >= 0n && line.list >= 0n && line.contracted >= 0n)).toBe(true);
      }),
      { numRuns: 40 },
    );
  }, 60_000);

  test('the order of usage and how it was cut into rows change nothing', () => {
    fc.assert(
      fc.property(minute, fc.infiniteStream(fc.nat()), (input, order) => {
        const halves = input.usage.flatMap((row) => [
          { ...row, busyUs: Math.floor(row.busyUs / 3) },
          { ...row, busyUs: row.busyUs - Math.floor(row.busyUs / 3) },
        ]);
        const shuffled = halves
          .map((row) => ({ row, at: order.next().value as number }))
          .sort((a, b) => a.at - b.at)
          .map(({ row }) => row);
        expect(told(attributeMinute({ ...input, usage: shuffled }))).toEqual(told(attributeMinute(input)));
      }),
    );
  });

  test('no price is unpriced time, never a cost of zero under a price', () => {
    const lines = attributeMinute({
      minute: MINUTE,
      knownUntil: END,
      life: { capacityFrom: MINUTE, capacityUntil: null, transitions: [] },
      steps: [],
      usage: [],
      concurrency: 1,
    });
    expect(lines).toEqual([
      { priceId: null, state: 'starting', group: null, ms: 60_000, list: 0n, contracted: 0n, effective: 0n },
    ]);
  });

  test('pieces of a life neither overlap nor leave gaps', () => {
    fc.assert(
      fc.property(life, (one) => {
        const pieces = piecesOf(one, MINUTE, END);
        const held = Math.max(0, Math.min(END, one.capacityUntil ?? END) - Math.max(MINUTE, one.capacityFrom));
        expect(pieces.reduce((all, { from, to }) => all + to - from, 0)).toBe(held);
        expect(pieces.slice(1).every((piece, i) => piece.from === pieces[i]!.to)).toBe(true);
      }),
    );
  });
});

describe('Metering and ledger: restatement', () => {
  test('lines 0…n sum to the truth after any history, and the same truth again writes nothing', () => {
    fc.assert(
      fc.property(fc.array(minute, { minLength: 1, maxLength: 4 }), (history) => {
        const booked = new Map<string, BookedLine>();
        for (const input of history) {
          const truth = attributeMinute(input);
          for (const line of restate([...booked.values()], truth)) {
            const name = key({ ...line, group: tieKey(line.group) });
            const before = booked.get(name);
            expect(line.n).toBe(before?.lines ?? 0);
            booked.set(name, {
              ...line,
              ...addAmounts(line, before ?? ZERO),
              ms: line.ms + (before?.ms ?? 0),
              lines: line.n + 1,
            });
          }
          expect(sum([...booked.values()])).toBe(sum(truth));
          expect([...booked.values()].every((line) => line.effective >= 0n)).toBe(true);
          expect(restate([...booked.values()], truth)).toEqual([]);
        }
      }),
    );
  });

  test('a corrected price touches only its own minutes', () => {
    const base = {
      minute: MINUTE,
      knownUntil: END,
      usage: [],
      concurrency: 1,
      life: { capacityFrom: MINUTE, capacityUntil: null, transitions: [] },
    };
    const step = { from: 0, to: END, priceId: 'p', list: 7n, contracted: 7n, effective: 7_000_000_000n };
    const corrected = [step, { ...step, from: END, to: END * 2, priceId: 'q' }];
    expect(attributeMinute({ ...base, steps: corrected })).toEqual(attributeMinute({ ...base, steps: [step] }));
  });
});

describe('The worked example of docs/ledger.md', () => {
  test('comes out to the digits that the page prints', () => {
    const page = readFileSync(new URL('../../docs/ledger.md', import.meta.url), 'utf8');
    const start = Date.parse('2026-11-21T10:00:00Z');
    const who = (callerTeamId: string, busyUs: number): BusyGroup => ({
      callerTeamId,
      caller: 'x',
      kind: 'inference',
      experiment: '',
      busyUs,
    });
    const lines = attributeMinute({
      minute: start,
      knownUntil: start + 60_000,
      life: { capacityFrom: start - 60_000, capacityUntil: null, transitions: [{ at: start + 20_000, state: 'serving' }] },
      steps: [
        { from: 0, to: 2 ** 45, priceId: 'p', list: 96_000_000_000n, contracted: 96_000_000_000n, effective: 96_000_000_000n },
      ],
      usage: [who('ads', 10_000_000), who('search', 7_000_000)],
      concurrency: 1,
    });
    const printed = lines.map(({ state, group, effective }) => `| ${state} | ${group?.callerTeamId ?? '–'} | ${effective} |`);
    expect(printed).toHaveLength(4);
    for (const line of printed) expect(page).toContain(line);
    expect(page).toContain(`sum to ${sum(lines)}`);
  });
});

describe('Metering and ledger: a report is counted once', () => {
  test('whatever the order and however often, the mark ends at the last sequence', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.infiniteStream(fc.nat()), (last, order) => {
        const sent = Array.from({ length: last }, (_, i) => i + 1).flatMap((n) => (n % 3 === 0 ? [n, n] : [n]));
        const shuffled = sent.map((n) => ({ n, at: order.next().value as number })).sort((a, b) => a.at - b.at);
        let water: HighWater = { mark: 0, above: [] };
        let counted = 0;
        for (const { n } of shuffled) {
          if (!wasCounted(water, n)) counted += 1;
          water = count(water, n);
        }
        expect(water).toEqual({ mark: last, above: [] });
        expect(counted).toBe(last);
      }),
    );
  });
});
