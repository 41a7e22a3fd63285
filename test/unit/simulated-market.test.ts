// Properties over random seeds and kinds: whoever asks of a moment gets the same answer; bills are summed again here, minute by minute.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { CloudPool } from '../../src/clouds/cloud-provider.port.ts';
import type { RentedKind } from '../../src/clouds/rentals.ts';
import { SimulatedCloud } from '../../src/clouds/simulated/simulated-cloud.adapter.ts';
import { firstShortage, rateAt, rateSteps, shortageAt, type PricedMarket } from '../../src/clouds/simulated/simulated-market.ts';
import { HOUR_MS, MINUTE_MS } from '../../src/kernel/instant.ts';
import { costOfInterval } from '../../src/kernel/money.ts';
import { seededRandom } from '../support/actors.ts';

const NOW = 1_800_000_000_000;
const market = (more: Partial<PricedMarket> = {}): PricedMarket => ({
  ...{ seed: 7, swing: 0.8, priceStepMs: 20 * MINUTE_MS, noticeMs: 120_000 },
  spotShortages: { everyMs: 6 * HOUR_MS, lastMs: 40 * MINUTE_MS },
  onDemandShortages: { everyMs: HOUR_MS, lastMs: 0 },
  offerings: [
    {
      ...{
        region: 'north',
        zones: ['a', 'b', 'c'],
        instanceType: 'big',
        architecture: 'amd64',
        cpuMilli: 4_000,
        memoryMib: 16_384,
      },
      ...{ accelerator: null, onDemand: 1_000_000_000_000n, spot: 300_000_000_001n },
    },
  ],
  ...more,
});
const spot = (zone: string): RentedKind => ({ region: 'north', zone, instanceType: 'big', capacityType: 'spot' });
const at = fc.integer({ min: 0, max: 1_000 * HOUR_MS }).map((offset) => NOW + offset);
const seeds = fc.integer({ min: 0, max: 0xffff_ffff });

describe('Simulated market: prices', () => {
  test('of spot stay within the swing, move both ways, and come back to their mean', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const prices = Array.from({ length: 3_000 }, (_, n) =>
          Number(rateAt(market({ seed }), spot('a'), NOW + n * 20 * MINUTE_MS)),
        );
        const mean = prices.reduce((sum, price) => sum + price, 0) / prices.length;
        expect(Math.min(...prices)).toBeGreaterThanOrEqual(0.2 * 300_000_000_000);
        expect(Math.max(...prices)).toBeLessThanOrEqual(1.8 * 300_000_000_002);
        expect(mean / 300_000_000_000).toBeGreaterThan(0.9);
        expect(mean / 300_000_000_000).toBeLessThan(1.1);
        expect(Math.min(...prices)).toBeLessThan(0.6 * mean);
        expect(Math.max(...prices)).toBeGreaterThan(1.4 * mean);
      }),
      { numRuns: 20 },
    );
  });

  test('of on-demand stand still; zones and seeds differ; what is not sold has none', () => {
    const onDemand: RentedKind = { ...spot('a'), capacityType: 'on_demand' };
    expect(new Set([0, 1, 50].map((n) => rateAt(market(), onDemand, NOW + n * HOUR_MS)))).toEqual(new Set([1_000_000_000_000n]));
    const of = (seed: number, zone: string) => rateAt(market({ seed }), spot(zone), NOW);
    expect(new Set([of(1, 'a'), of(1, 'b'), of(2, 'a')]).size).toBe(3);
    expect([rateAt(market(), spot('z'), NOW), rateAt(market(), { ...spot('a'), capacityType: 'reserved' }, NOW)]).toEqual([
      null,
      null,
    ]);
  });

  test('as steps cover any stretch of time without gaps, and say what the price is', () => {
    fc.assert(
      fc.property(at, fc.integer({ min: 1, max: 5 * HOUR_MS }), (from, length) => {
        const steps = rateSteps(market(), spot('b'), from, from + length);
        expect([steps[0]?.from, steps.at(-1)?.to]).toEqual([from, from + length]);
        steps.slice(1).forEach((step, i) => expect(step.from).toBe(steps[i]?.to));
        for (const step of steps)
          expect([step.rate, step.rate]).toEqual([step.from, step.to - 1].map((n) => rateAt(market(), spot('b'), n)));
      }),
    );
  });
});

describe('Simulated market: shortages', () => {
  test('the first one after a moment is the one that whoever looks on meets first', () => {
    fc.assert(
      fc.property(seeds, at, (seed, from) => {
        const one = market({ seed });
        const first = firstShortage(one, spot('a'), from, from + 30 * HOUR_MS);
        if (!first) throw new Error('one comes every seven hours');
        expect(shortageAt(one, spot('a'), first.from)).not.toBeNull();
        expect(shortageAt(one, spot('a'), first.to)).toBeNull();
        // None begins before it: short at a moment means short already at `from`.
        for (let n = from; n < first.from; n += 7 * MINUTE_MS) {
          const meanwhile = shortageAt(one, spot('a'), n);
          expect(meanwhile === null || meanwhile.from <= from).toBe(true);
        }
      }),
      { numRuns: 50 },
    );
  });

  test('they take the share of time that was asked for, and zones have their own', () => {
    const short = (zone: string) =>
      Array.from({ length: 5_000 }, (_, n) => shortageAt(market(), spot(zone), NOW + n * 10 * MINUTE_MS) !== null);
    const [a, b] = [short('a'), short('b')];
    const share = a.filter(Boolean).length / a.length;
    expect(share).toBeGreaterThan(0.08);
    expect(share).toBeLessThan(0.12);
    expect(a.filter((one, i) => one && b[i]).length).toBeLessThan(0.3 * a.filter(Boolean).length);
  });
});

const pool = (zone: string | null, capacityType: 'spot' | 'on_demand' = 'spot'): CloudPool => ({
  ...{ key: `here/east/${zone ?? 'any'}-${capacityType}`, region: 'north', zone, instanceType: 'big', capacityType },
  ...{ labels: {}, config: {} },
});
const FENCE = { epoch: 1 };

describe('Simulated market: the cloud', () => {
  function opened(priced = market()) {
    let now = NOW;
    const cloud = new SimulatedCloud({ clock: { now: () => now }, random: seededRandom(3), priced, market: { quota: 1_000 } });
    return { cloud, pass: (ms: number) => void (now += ms), now: () => now };
  }

  test('a zone that is short refuses; a pool without a zone takes the cheapest that is not', async () => {
    const { cloud, pass, now } = opened();
    const first = firstShortage(market(), spot('a'), NOW, NOW + 24 * HOUR_MS);
    pass((first?.from ?? NOW) - NOW);
    for (const one of [pool('a'), pool(null)]) await cloud.ensurePool(one, FENCE);
    expect(await cloud.scalePool(pool('a').key, { desired: 1, release: [] }, FENCE)).toMatchObject({ reason: 'STOCK_OUT' });
    expect(await cloud.scalePool(pool(null).key, { desired: 1, release: [] }, FENCE)).toEqual({ outcome: 'accepted' });
    const started = now();
    pass(HOUR_MS);
    const free = ['b', 'c'].filter((zone) => !shortageAt(market(), spot(zone), started));
    const rates = free.map((zone) => rateSteps(market(), spot(zone), started, now()));
    const { lines } = await cloud.fetchBill(NOW - 24 * HOUR_MS, now() + HOUR_MS);
    const billed = lines.reduce((sum, { billedCost }) => sum + billedCost, 0n);
    const costs = rates.map((steps) => steps.reduce((sum, { rate, from, to }) => sum + costOfInterval(rate, from, to), 0n));
    expect(costs).toContain(billed);
  });

  test('a shortage takes spot machines back after a notice, and leaves on-demand ones', async () => {
    const { cloud, pass } = opened();
    for (const one of [pool('b'), pool('b', 'on_demand')]) {
      await cloud.ensurePool(one, FENCE);
      await cloud.scalePool(one.key, { desired: 2, release: [] }, FENCE);
    }
    const first = firstShortage(market(), spot('b'), NOW, NOW + 24 * HOUR_MS);
    pass((first?.from ?? 0) - NOW + 1_000);
    expect(await cloud.interruptions()).toMatchObject([{ goneAt: (first?.from ?? 0) + 120_000 }, { instanceId: 'sim-000002' }]);
    pass(180_000);
    expect(await cloud.interruptions()).toEqual([]);
    expect(await cloud.observeNodes(pool('b').key)).toMatchObject({ desired: 0 });
    expect(await cloud.observeNodes(pool('b', 'on_demand').key)).toMatchObject({ desired: 2 });
  });

  test.each([
    [{ ...pool('z') }, 'it sells no spot big in z'],
    [{ ...pool(null), region: null }, 'in no region'],
    [{ ...pool(null), instanceType: 'tiny' }, 'it sells no spot tiny in north'],
  ])('a pool of what it does not sell is invalid', async (wrong, words) => {
    const { cloud } = opened();
    const result = await cloud.ensurePool(wrong, FENCE);
    expect(result).toMatchObject({ outcome: 'refused', reason: 'INVALID', message: expect.stringContaining(words) as string });
  });

  test('its bill is exactly what ran times the price of the moment, however pools came and went', async () => {
    const pools = [pool('a'), pool('b'), pool('a', 'on_demand')];
    const step = fc.record({
      pool: fc.constantFrom(...pools),
      desired: fc.integer({ min: 0, max: 4 }),
      // What is gone shows for an hour: nothing is missed.
      minutes: fc.integer({ min: 1, max: 55 }),
      remove: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(seeds, fc.array(step, { minLength: 1, maxLength: 20 }), async (seed, steps) => {
        const priced = market({ seed, spotShortages: { everyMs: HOUR_MS, lastMs: 20 * MINUTE_MS } });
        const { cloud, pass, now } = opened(priced);
        const lives = new Map<string, { kind: RentedKind; from: number; to: number | null }>();
        const look = async (): Promise<void> => {
          for (const { key, zone, capacityType } of pools)
            for (const { instanceId, phase, since } of (await cloud.observeNodes(key))?.nodes ?? []) {
              const known = lives.get(instanceId) ?? { kind: { ...spot(zone ?? ''), capacityType }, from: since, to: null };
              lives.set(instanceId, { ...known, to: known.to ?? (phase === 'gone' || phase === 'stopping' ? since : null) });
            }
        };
        const end = (ids: readonly string[]): void =>
          ids.forEach((id) => lives.set(id, { ...lives.get(id)!, to: lives.get(id)!.to ?? now() }));
        for (const { pool: one, desired, minutes, remove } of steps) {
          await look();
          await cloud.ensurePool(one, FENCE);
          const nodes = (await cloud.observeNodes(one.key))?.nodes ?? [];
          const there = nodes
            .filter(({ phase }) => phase === 'starting' || phase === 'running')
            .map(({ instanceId }) => instanceId);
          const release = there.slice(0, Math.max(0, there.length - desired));
          const answer = await cloud.scalePool(one.key, { desired, release }, FENCE);
          if (answer.outcome === 'accepted') end(release);
          await look();
          if (remove) end(((await cloud.observeNodes(one.key))?.nodes ?? []).map(({ instanceId }) => instanceId));
          if (remove) await cloud.deletePool(one.key, FENCE);
          pass(minutes * MINUTE_MS + 17);
        }
        await look();
        const expected = [...lives.values()].flatMap(({ kind, from, to }) => rateSteps(priced, kind, from, to ?? now()));
        const total = expected.reduce((sum, { rate, from, to }) => sum + costOfInterval(rate, from, to), 0n);
        const billed = async (from: number, to: number): Promise<bigint> =>
          (await cloud.fetchBill(from, to)).lines.reduce((sum, { billedCost }) => sum + billedCost, 0n);
        expect(await billed(NOW - HOUR_MS, now() + HOUR_MS)).toBe(total);
        const cut = NOW + 2 * HOUR_MS;
        expect((await billed(NOW - HOUR_MS, cut)) + (await billed(cut, now() + HOUR_MS))).toBe(total);
      }),
      { numRuns: 60 },
    );
  });
});
