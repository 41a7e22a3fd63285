// The feed against a strict double of the public price list: one suite for all feeds, and what only this list does.
import { afterEach, describe, expect, test } from 'vitest';
import { AzureRetailPrices } from '../../src/clouds/azure/azure-retail-prices.adapter.ts';
import { CloudUnknown } from '../../src/clouds/cloud-provider.port.ts';
import { seededRandom } from '../support/actors.ts';
import { AzureRetailDouble, retailRow, type RetailDoubleRow } from '../support/azure-retail-double.ts';
import { priceFeedSuite } from '../support/price-feed-suite.ts';

const NOW = Date.parse('2026-06-01T00:00:00Z');
const REGIONS = ['azure/eastus', 'azure/westeurope'] as const;

const machines = (armRegionName: string): RetailDoubleRow[] => [
  retailRow({ armRegionName }),
  retailRow({ armRegionName, skuName: 'D4s v5 Spot', meterName: 'D4s v5 Spot', retailPrice: 0.0213 }),
  retailRow({ armRegionName, armSkuName: 'Standard_NC24ads_A100_v4', skuName: 'NC24ads A100 v4', retailPrice: 3.673 }),
  retailRow({ armRegionName, skuName: 'D4s v5 Low Priority', meterName: 'D4s v5 Low Priority', retailPrice: 0.04 }),
  retailRow({ armRegionName, productName: 'Virtual Machines Dsv5 Series Windows', retailPrice: 0.376 }),
  retailRow({ armRegionName, type: 'Reservation', retailPrice: 991, reservationTerm: '1 Year' }),
];

const started: AzureRetailDouble[] = [];
afterEach(() => {
  for (const double of started.splice(0)) double.http.stop();
});

async function opened(rows: readonly RetailDoubleRow[] = REGIONS.flatMap((region) => machines(region.slice(6)))) {
  const double = new AzureRetailDouble();
  double.rows.push(...rows);
  started.push(double);
  await double.http.start();
  const feed = new AzureRetailPrices({
    ...{ clock: { now: () => NOW }, random: seededRandom(3), endpoint: double.endpoint, pageRows: double.pageRows },
    ...{ limits: { timeoutMs: 200, tries: 3 }, pause: () => Promise.resolve() },
  });
  return { double, feed };
}

const seen = async (rows: readonly RetailDoubleRow[]) => (await opened(rows)).feed.observePrices(REGIONS);

priceFeedSuite('the Azure retail list', ['damage', 'breakPages', 'trouble'], async () => {
  const { double, feed } = await opened();
  return {
    feed,
    regions: REGIONS,
    damage: () => void double.rows.push(retailRow({ retailPrice: null, armSkuName: 'Standard_D8s_v5' })),
    breakPages: (how) => void (double.fault = how),
    trouble: (how) => double.http.trouble(how),
  };
});

describe('Cloud port: prices of the Azure retail list', () => {
  test('Linux machines on demand and spot, as written; neither Windows nor Low Priority nor reservations', async () => {
    const { prices } = await (await opened()).feed.observePrices(['azure/eastus']);
    expect(prices.map(({ key, amount }) => [key.instanceType, key.capacityType, amount])).toEqual([
      ['Standard_D4s_v5', 'on_demand', '0.192'],
      ['Standard_D4s_v5', 'spot', '0.0213'],
      ['Standard_NC24ads_A100_v4', 'on_demand', '3.673'],
    ]);
    expect(prices[0]).toMatchObject({ unit: 'hour', currency: 'USD', effectiveFrom: Date.parse('2022-01-01T00:00:00Z') });
  });

  test('other units and currencies are told in their own words; small numbers without an exponent', async () => {
    const { prices } = await seen([
      retailRow({ unitOfMeasure: '100 Hours' }),
      retailRow({ armSkuName: 'B', currencyCode: 'EUR', retailPrice: 0.00000012 }),
    ]);
    expect(prices.map(({ unit, currency, amount }) => [unit, currency, amount])).toEqual([
      ['100 Hours', 'USD', '0.192'],
      ['hour', 'EUR', '0.00000012'],
    ]);
  });

  test('of several rows of one machine the latest in force counts; two of one date that disagree are no price', async () => {
    const row = (effectiveStartDate: string, retailPrice: number) => retailRow({ effectiveStartDate, retailPrice });
    const changed = await seen([row('2022-01-01T00:00:00Z', 1), row('2026-05-01T00:00:00Z', 2), row('2027-01-01T00:00:00Z', 3)]);
    expect(changed.prices.map(({ amount }) => amount)).toEqual(['2']);
    const torn = await seen([row('2022-01-01T00:00:00Z', 1), row('2022-01-01T00:00:00Z', 2)]);
    expect(torn).toMatchObject({ prices: [], unreadable: [{ ref: expect.stringContaining('Standard_D4s_v5') as string }] });
  });

  test('a page that has fewer rows than it says is no answer; a page that is asked for too early is asked for again', async () => {
    const { double, feed } = await opened();
    double.http.throttle(2);
    expect((await feed.observePrices(REGIONS)).prices).toHaveLength(6);
    double.short = true;
    await expect(feed.observePrices(REGIONS)).rejects.toThrow(CloudUnknown);
  });

  test('a page on another host is not asked for', async () => {
    const { double, feed } = await opened();
    const { url } = double.http;
    double.http.url = 'http://localhost:1';
    await expect(feed.observePrices(REGIONS)).rejects.toThrow(/another host/);
    double.http.url = url;
  });
});
