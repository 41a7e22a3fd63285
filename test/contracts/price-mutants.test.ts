// Ten thousand damaged copies of real rows, each said by a feed to the real loop over the real book; afterwards every placement must be chosen
// as before, and not one price may have moved. Seeded: a mutant that gets through is found again.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CloudUnknown } from '../../src/clouds/cloud-provider.port.ts';
import { offeringIdOf, offeringKeyText } from '../../src/clouds/offering-key.ts';
import type { ObservedPrice } from '../../src/clouds/price-feed.port.ts';
import { HOUR_MS } from '../../src/kernel/instant.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { planPlacement } from '../../src/scheduler/plan-placement.ts';
import { seededRandom } from '../support/actors.ts';
import { FEED_INTERVAL_MS, openPriceWorld, SCOPE, toObserved, ToldFeed, type PriceWorld } from '../support/price-feed-world.ts';

const START = Date.parse('2026-11-21T00:00:00Z');
const REGIONS = ['aws/us-east-1', 'azure/eastus', 'azure/westeurope', 'gcp/us-central1', 'gcp/europe-west4'];
const MUTANTS = 10_000;
/** Of one reading: few enough that it is judged row by row and not refused as a whole. */
const PER_READING = 1_000;

/** Moves the decimal point by `places`. */
const shifted = (amount: string, places: number): string => {
  const [whole = '0', fraction = ''] = amount.split('.');
  const digits = places > 0 ? whole + fraction.padEnd(places, '0') : whole.padStart(1 - places, '0') + fraction;
  const scale = places > 0 ? Math.max(0, fraction.length - places) : fraction.length - places;
  return scale === 0 ? digits : `${digits.slice(0, -scale) || '0'}.${digits.slice(-scale)}`;
};

/** The ways in which a row is damaged; each says what it is not. */
const DAMAGE: readonly ((row: ObservedPrice) => Partial<ObservedPrice>)[] = [
  () => ({ amount: '0' }),
  () => ({ amount: '-1' }),
  ({ amount }) => ({ amount: `-${amount}` }),
  () => ({ amount: 'NaN' }),
  () => ({ amount: 'null' }),
  () => ({ amount: '' }),
  ({ amount }) => ({ amount: shifted(amount, 3) }),
  ({ amount }) => ({ amount: shifted(amount, -3) }),
  ({ amount }) => ({ amount: shifted(amount, -1), unit: 'minute' }),
  ({ amount }) => ({ amount: halfOf(amount), unit: 'GiBy.h' }),
  ({ amount }) => ({ amount: halfOf(amount), currency: 'EUR' }),
  ({ amount }) => ({ amount: halfOf(amount), currency: 'usd' }),
  ({ amount }) => ({ amount: halfOf(amount), effectiveFrom: START - HOUR_MS }),
];

const halfOf = (amount: string): string => (Number(amount) * 0.7).toFixed(9);

let world: PriceWorld;
let truth: readonly ObservedPrice[] = [];
const broken = new ToldFeed('broken');
const sound = new ToldFeed('sound');

const placements = () =>
  world.db.database.read(SCOPE, async (tx) => {
    const candidates = await world.service.candidates(tx, { regions: REGIONS });
    const demands = [
      { cpuMilli: 500, memoryMib: 512, accelerator: null },
      { cpuMilli: 4_000, memoryMib: 16_384, accelerator: null },
      { cpuMilli: 32_000, memoryMib: 131_072, accelerator: null },
      { cpuMilli: 2_000, memoryMib: 8_192, accelerator: { model: 'T4', countMilli: 1_000, memoryMib: 8_192 } },
      { cpuMilli: 8_000, memoryMib: 65_536, accelerator: { model: 'A100', countMilli: 1_000, memoryMib: 8_192 } },
    ];
    return demands.flatMap((resources) =>
      (['on_demand', 'spot'] as const).map((capacityType) => {
        const demand = { resources, capacityTypes: [capacityType] };
        const { chosen, best } = planPlacement({ demand, policy: { regions: REGIONS }, candidates }, world.world.now);
        return [chosen && offeringKeyText(chosen.offering), best.map(({ offering, price }) => [offering.id, price.effective])];
      }),
    );
  });

/** Everything that the book believes. */
const book = () =>
  world.db.database.read(SCOPE, (tx) =>
    sqlOf(tx).query(`select count(*)::int as rows, sum(list)::text as sum from price where state = 'believed'`),
  );

const nextPass = async (): Promise<void> => {
  world.world.now += FEED_INTERVAL_MS;
  await world.pass();
};

const quarantined = async (): Promise<number> =>
  (await world.db.database.read(SCOPE, (tx) => world.store.feeds(tx))).find(({ name }) => name === 'broken')?.quarantined ?? 0;

describe('Price gate: ten thousand mutants of real rows move nothing', () => {
  beforeAll(async () => {
    world = await openPriceWorld(START, [broken, sound], REGIONS);
    truth = world.book.map((row) => ({ ...toObserved(row), effectiveFrom: START - HOUR_MS }));
    broken.says(truth);
    sound.says(truth);
    // Until feeds are compared, nobody else contradicts it.
    sound.trouble = new CloudUnknown('nobody answers');
    await world.pass();
  });
  afterAll(() => world.db.close());

  test(
    'row by row: nothing, negative, unreadable, ×1000, ÷1000, other units, other currencies, old dates; said once and said again',
    { timeout: 240_000 },
    async () => {
      const [before, prices] = [await placements(), await book()];
      const random = seededRandom(7);
      let mutants = 0;
      for (let reading = 0; reading < MUTANTS / PER_READING; reading += 1) {
        const from = Math.floor(random.fraction() * truth.length);
        const damaged = new Map(
          Array.from({ length: PER_READING }, (_, index) => {
            const row = truth[(from + index * 3) % truth.length];
            const damage = DAMAGE[(reading + index) % DAMAGE.length];
            return row && damage ? [[offeringIdOf(row.key), { ...row, ...damage(row) }] as const] : [];
          }).flat(),
        );
        mutants += damaged.size;
        broken.says(truth.map((row) => damaged.get(offeringIdOf(row.key)) ?? row));
        await nextPass();
        expect(await quarantined()).toBe(damaged.size);
        // A source that is broken for good says it again and again.
        if (reading === 0) await nextPass();
      }
      expect(mutants).toBe(MUTANTS);
      expect(await book()).toEqual(prices);
      expect(await placements()).toEqual(before);
    },
  );

  test.each<[string, () => readonly ObservedPrice[], number | null]>([
    ['half a page, the cheaper half', () => halfPage(), null],
    [
      'a clock that stands still, with other prices',
      () => truth.map((row) => ({ ...row, amount: halfOf(row.amount), effectiveFrom: null })),
      START,
    ],
    [
      'a clock that went back',
      () => truth.map((row) => ({ ...row, amount: halfOf(row.amount), effectiveFrom: null })),
      START - HOUR_MS,
    ],
    ['everything ÷1000', () => truth.map((row) => ({ ...row, amount: shifted(row.amount, -3), effectiveFrom: null })), null],
    ['everything in another currency', () => truth.map((row) => ({ ...row, amount: halfOf(row.amount), currency: 'JPY' })), null],
  ])('as a whole: %s', async (_, rows, asOf) => {
    const [before, prices] = [await placements(), await book()];
    broken.says(truth, START);
    await nextPass();
    broken.says(rows(), asOf);
    await nextPass();
    await nextPass();
    expect(await book()).toEqual(prices);
    expect(await placements()).toEqual(before);
  });

  test('two feeds that disagree, in ever other ways: neither moves a price', async () => {
    sound.trouble = null;
    broken.says(truth);
    await nextPass();
    const [before, prices] = [await placements(), await book()];
    const times = (factor: number) =>
      truth.map((row) => ({ ...row, amount: (Number(row.amount) * factor).toFixed(9), effectiveFrom: null }));
    for (const [one, other] of [
      [0.8, 1.25],
      [1.3, 0.95],
    ] as const) {
      broken.says(times(one));
      sound.says(times(other));
      await nextPass();
      await nextPass();
    }
    // The first to speak is contradicted by what the other said last, which is the book.
    expect(await book()).toEqual(prices);
    expect(await placements()).toEqual(before);
    broken.says(truth);
    sound.says(truth);
    await nextPass();
  });
});

const halfPage = (): readonly ObservedPrice[] =>
  [...truth]
    .sort((a, b) => Number(a.amount) - Number(b.amount))
    .slice(0, truth.length / 2)
    .map((row) => ({ ...row, amount: halfOf(row.amount), effectiveFrom: null }));
