// Markets besides recorded availability: made up from a seed, and billed at recorded prices; and the picture of a comparison.
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { compareSpot, type SpotRow } from '../../src/simulation/compare-spot.ts';
import { makeMarket, type MarketShape } from '../../src/simulation/made-up-market.ts';
import { groupTraces, parseSpotPrices, parseTraceIndex } from '../../src/simulation/parse-spot-traces.ts';
import { seededRandom } from '../../src/simulation/seeded-random.ts';
import { spotChart } from '../../src/simulation/spot-chart.ts';
import { clairvoyantCost } from '../../src/simulation/spot-market.ts';
import { readSpotPrices, readSpotTraces } from '../../src/simulation/spot-traces.adapter.ts';

const DAY: MarketShape = { regions: 2, zonesPerRegion: 2, days: 2, tickMs: 180_000, capacity: 2 };

describe('Spot: made-up markets', () => {
  test('the same seed makes the same market, another seed another; shares are within capacity, prices positive', () => {
    const market = makeMarket(DAY, seededRandom(7), 'x');
    expect(makeMarket(DAY, seededRandom(7), 'x')).toEqual(market);
    expect(makeMarket(DAY, seededRandom(8), 'x')).not.toEqual(market);
    expect(market.traces.map(({ pool }) => pool)).toEqual(['made-up-1a', 'made-up-1b', 'made-up-2a', 'made-up-2b']);
    for (const { available, prices } of market.traces) {
      expect(available).toHaveLength(market.ticks);
      expect(Math.min(...available)).toBe(0);
      expect(Math.max(...available)).toBe(2);
      expect(Math.min(...prices!)).toBeGreaterThan(0);
    }
  });

  test('over many made-up markets what SpotHedge fills is cheaper with ours, in the mean', () => {
    const shapes: MarketShape[] = [
      DAY,
      { ...DAY, regions: 1, zonesPerRegion: 1, capacity: 8 },
      { ...DAY, zonesPerRegion: 1, tickMs: 60_000 },
    ];
    const ratios = shapes.flatMap((shape) =>
      [1, 2, 3, 4, 5].flatMap((seed) => {
        const made = makeMarket(shape, seededRandom(seed), `${seed}`);
        const group = { ...made, traces: made.traces.map(({ pool, available }) => ({ pool, available })) };
        const rows = compareSpot({ group, replicas: 3, onDemandRatio: 3, launchMs: 180_000 });
        const ours = rows.filter(({ policy }) => policy === 'purser');
        const costAt = (share: number) =>
          Math.min(...ours.filter((row) => row.filledShare >= share).map((row) => row.costToOnDemand));
        return rows
          .filter(({ policy }) => policy === 'spothedge')
          .map(({ setting, filledShare, costToOnDemand }) => ({ setting, ratio: costAt(filledShare - 1e-9) / costToOnDemand }));
      }),
    );
    const meanOf = (some: typeof ratios) => some.reduce((sum, { ratio }) => sum + ratio, 0) / some.length;
    expect(meanOf(ratios)).toBeLessThan(0.95);
    // A single launch more or less may be luck; it is never much, in the mean over markets.
    for (const [setting, own] of Map.groupBy(ratios, ({ setting }) => setting)) expect(meanOf(own), setting).toBeLessThan(1.05);
  }, 60_000);
});

describe('Spot: prices of the moment', () => {
  const INDEX = 'file,cloud,zone,instance_type,nodes_requested,kind,start_date,gap_seconds\n';
  const entry = (zone: string) => `${zone}.csv,aws,${zone},p3.2xlarge,1,availability,2023-02-15,60\n`;
  const HEAD = 'instance_type,zone,start_date,tick_seconds,spot_usd_per_hour\n';
  const price = (zone: string, at: number | string, usd: number | string) => `p3.2xlarge,${zone},2023-02-15,${at},${usd}\n`;
  const traces = parseTraceIndex(INDEX + entry('a') + entry('b')).map((one) => ({ ...one, available: [1, 1, 1, 1] }));

  test('a price holds until the next one, and prices are told in their mean', () => {
    const prices = parseSpotPrices(HEAD + price('a', 0, 1) + price('a', 120, 3) + price('b', 60, 2), 'prices.csv');
    const [group] = groupTraces(traces, prices);
    expect(group?.traces.map((trace) => trace.prices)).toEqual([
      [0.5, 0.5, 1.5, 1.5],
      [1, 1, 1, 1],
    ]);
    // The clairvoyant takes whichever is cheaper: two minutes at half a price, two at one.
    expect(clairvoyantCost({ group: group!, replicas: 1, onDemandRatio: 3, launchMs: 1 })).toBe(120_000 * 0.5 + 120_000);
  });

  test('a group that has no prices for one of its pools is billed as if they were all alike', () => {
    const [group] = groupTraces(traces, parseSpotPrices(HEAD + price('a', 0, 1), 'prices.csv'));
    expect(group?.traces.every(({ prices }) => prices === undefined)).toBe(true);
  });

  test.each([
    [price('a', -1, 1), /prices\.csv, line 2: tick_seconds/],
    [price('a', 0, 0), /prices\.csv, line 2: spot_usd_per_hour/],
    [price('a', 0, 'NaN'), /prices\.csv, line 2: spot_usd_per_hour/],
  ])('%j is refused', (line, message) => {
    expect(() => parseSpotPrices(HEAD + line, 'prices.csv')).toThrow(message);
  });

  test('the bundled prices belong to bundled traces, and who is always full pays no less than the clairvoyant', () => {
    const folder = join(import.meta.dirname, '..', '..', 'deploy', 'traces');
    const priced = readSpotTraces(join(folder, 'spot'), readSpotPrices(join(folder, 'spot-prices'))).filter(
      (group) => group.traces[0]?.prices,
    );
    expect(priced.map(({ name }) => name)).toContain('aws r5.16xlarge 1node preemption 2023-04-19');
    for (const group of priced)
      for (const row of compareSpot({ group, replicas: 2, onDemandRatio: 3, launchMs: 180_000 }))
        if (row.filledShare === 1) expect(row.costToClairvoyant).toBeGreaterThanOrEqual(1 - 1e-9);
  });
});

describe('Spot: the picture', () => {
  const row = (policy: string, setting: string, costToClairvoyant: number, filledShare: number): SpotRow => ({
    ...{ group: 'a <b> & c', policy, setting, costToOnDemand: 0.5, costToClairvoyant, filledShare, worstLossTicks: 0, moves: 0 },
  });

  test('a picture per group, a curve per policy, a titled point per setting, and no name is taken for markup', () => {
    const svg = spotChart([
      row('purser', 'thrifty', 1, 0.98),
      row('purser', 'filled 0.999', 1.2, 0.999),
      row('spothedge', '1 extra', 1.4, 1),
    ]);
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg"[^]*<\/svg>\n$/);
    expect(svg).toContain('a &#60;b&#62; &#38; c');
    expect(svg.match(/<path /g)).toHaveLength(2);
    expect(svg).toContain('<title>purser filled 0.999: 1.200 at 99.900 %</title>');
    expect(svg).not.toMatch(/NaN|undefined/);
  });

  test('alike costs make no scale of nothing', () => {
    expect(spotChart([row('purser', 'thrifty', 1, 1)])).not.toMatch(/NaN|Infinity/);
  });
});
