// The simulated cloud as a feed of the real price loop on a real database, through half a day of a market that swings.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SimulatedCloud } from '../../src/clouds/simulated/simulated-cloud.adapter.ts';
import { rateAt, type PricedMarket } from '../../src/clouds/simulated/simulated-market.ts';
import { HOUR_MS, MINUTE_MS } from '../../src/kernel/instant.ts';
import { formatUsd } from '../../src/kernel/money.ts';
import { seededRandom } from '../support/actors.ts';
import { FEED_INTERVAL_MS, openPriceWorld, SCOPE, type PriceWorld } from '../support/price-feed-world.ts';

const START = 1_800_000_000_000;
const REGION = 'play/north';
const market: PricedMarket = {
  ...{ seed: 21, swing: 0.8, priceStepMs: HOUR_MS, noticeMs: 120_000 },
  spotShortages: { everyMs: 12 * HOUR_MS, lastMs: 40 * MINUTE_MS },
  onDemandShortages: { everyMs: HOUR_MS, lastMs: 0 },
  offerings: [
    {
      ...{ region: 'north', zones: ['a', 'b'], instanceType: 'big', architecture: 'amd64', cpuMilli: 4_000, memoryMib: 16_384 },
      accelerator: { model: 'A10G', countMilli: 1_000, memoryMib: 24_576 },
      ...{ onDemand: 1_006_000_000_000n, spot: 350_000_000_000n },
    },
  ],
};

let world: PriceWorld;
let cloud: SimulatedCloud;
beforeAll(async () => {
  let now = () => START;
  cloud = new SimulatedCloud({ name: 'play', clock: { now: () => now() }, random: seededRandom(1), priced: market });
  world = await openPriceWorld(START, [cloud], [REGION]);
  now = () => world.world.now;
});
afterAll(() => world.db.close());

const believed = async (): Promise<Map<string, string>> => {
  const rows = await world.db.database.read(SCOPE, (tx) => world.service.candidates(tx, { regions: [REGION] }));
  return new Map(
    rows.map(({ offering, price }) => [`${offering.zone} ${offering.capacityType}`, price ? formatUsd(price.effective) : 'none']),
  );
};
const said = (zone: string, at: number): string =>
  formatUsd(rateAt(market, { region: 'north', zone, instanceType: 'big', capacityType: 'spot' }, at) ?? 0n);

describe('Simulated market: as a feed', () => {
  test('what it sells is in the price book with its shape, and with its prices once two readings agree', async () => {
    await world.pass();
    expect(new Set((await believed()).values())).toEqual(new Set(['none']));
    world.world.now += FEED_INTERVAL_MS;
    await world.pass();
    expect(await believed()).toEqual(
      new Map([
        [' on_demand', '1.006'],
        ['a spot', said('a', START)],
        ['b spot', said('b', START)],
      ]),
    );
    const [first] = await world.db.database.read(SCOPE, (tx) => world.service.candidates(tx, { regions: [REGION] }));
    expect(first?.offering).toMatchObject({
      provider: 'play',
      cpuMilli: 4_000,
      memoryMib: 16_384,
      accelerator: { model: 'A10G' },
    });
  });

  test('its prices are followed through swings of ±80 %, each believed within the hour, and none that it never said', async () => {
    const everSaid = new Set([said('a', START)]);
    let followed = 0;
    let readings = 0;
    for (; world.world.now < START + 12 * HOUR_MS; readings += 1) {
      world.world.now += FEED_INTERVAL_MS;
      everSaid.add(said('a', world.world.now));
      await world.pass();
      const price = (await believed()).get('a spot') ?? '';
      expect(everSaid).toContain(price);
      if (price === said('a', world.world.now)) followed += 1;
    }
    expect(everSaid.size).toBeGreaterThan(8);
    expect(followed).toBeGreaterThan(0.8 * readings);
  });
});
