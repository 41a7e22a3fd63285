// The feed against a strict double of the catalogue and of the machine types: one suite for all feeds, and how a machine's price is a sum.
import { afterEach, describe, expect, test } from 'vitest';
import { GcpApi } from '../../src/clouds/gcp/gcp-api.adapter.ts';
import { GcpBillingPrices } from '../../src/clouds/gcp/gcp-billing-prices.adapter.ts';
import { GcpSettings } from '../../src/clouds/gcp/gcp-settings.adapter.ts';
import { seededRandom } from '../support/actors.ts';
import { PROJECT, TOKEN } from '../support/gcp-double.ts';
import { GcpPriceDouble, machineType, pricing, sku } from '../support/gcp-price-double.ts';
import { priceFeedSuite } from '../support/price-feed-suite.ts';

const NOW = Date.parse('2026-06-01T00:00:00Z');
const REGIONS = ['gcp/us-central1', 'gcp/europe-west4'] as const;

const started: GcpPriceDouble[] = [];
afterEach(() => {
  for (const double of started.splice(0)) double.http.stop();
});

async function opened() {
  const double = new GcpPriceDouble();
  started.push(double);
  await double.http.start();
  const { url } = double.http;
  const endpoints = { compute: `${url}/compute`, billing: `${url}/billing` };
  const api = new GcpApi({
    ...{ settings: GcpSettings.parse({ projectId: PROJECT, deadlineMs: 200, endpoints }), clock: { now: () => NOW } },
    ...{ random: seededRandom(8), token: () => Promise.resolve(TOKEN), pause: () => Promise.resolve() },
  });
  return { double, feed: new GcpBillingPrices(api, { pageSize: 3 }) };
}

priceFeedSuite('the Google catalogue', ['lists', 'damage', 'breakPages', 'trouble'], async () => {
  const { double, feed } = await opened();
  return {
    feed,
    regions: REGIONS,
    damage: () => void double.skus.push(sku('E2 Instance Core running in Americas', 1, { pricingInfo: null })),
    breakPages: (how) => void (double.fault = how),
    trouble: (how) => double.http.trouble(how),
  };
});

describe('Cloud port: prices of the Google catalogue', () => {
  const told = async (change: (double: GcpPriceDouble) => unknown) => {
    const { double, feed } = await opened();
    change(double);
    const { prices, unreadable } = await feed.observePrices(['gcp/us-central1']);
    const amounts = prices.map(({ key, amount }) => `${key.instanceType} ${key.capacityType} ${amount}`);
    return { amounts, unreadable: unreadable.map(({ ref, reason }) => `${ref}: ${reason}`), prices };
  };

  test('a machine is the exact sum of its cores, memory and accelerators', async () => {
    const { amounts, prices } = await told(() => undefined);
    expect(amounts).toEqual([
      // 4 × 0.031611 + 16 × 0.004237
      'n2-standard-4 on_demand 0.194236',
      'n2-standard-4 spot 0.047',
      // 12 × 0.031611 + 85 × 0.004237 + 2.933908
      'a2-highgpu-1g on_demand 3.673385',
    ]);
    expect(prices[0]).toMatchObject({ unit: 'hour', currency: 'USD', effectiveFrom: Date.parse('2026-05-01T00:00:00.123Z') });
  });

  test('local disks are summed, too: sold by the month, rounded once to the pico-dollar', async () => {
    const disks = { bundledLocalSsds: { partitionCount: 2 } };
    const { amounts } = await told(({ types }) => types.splice(0, 9, machineType('n2-standard-4-lssd', 4, 16_384, disks)));
    expect(amounts).toEqual(
      [
        // 0.194236 + 750 × 0.08 ÷ 744
        'n2-standard-4-lssd on_demand 0.274881161290',
        // 0.047 + 750 × 0.028 ÷ 744
        'n2-standard-4-lssd spot 0.075225806452',
      ].map((line) => line.replace(/0$/, '')),
    );
  });

  test('accelerators that are attached to machines of N1 are offered with them, as many as fit, and summed', async () => {
    const { double, feed } = await opened();
    double.types.splice(0, 9, machineType('n1-standard-4', 4, 15_360), machineType('n1-standard-96', 96, 368_640));
    double.skus.push(
      sku('N1 Predefined Instance Core running in Americas', 31_611_000),
      sku('N1 Predefined Instance Ram running in Americas', 4_237_000),
      sku('Nvidia Tesla T4 GPU running in Americas', 350_000_000),
    );
    const { offerings } = await feed.listOfferings(['gcp/us-central1']);
    const rented = offerings.filter(({ capacityType, accelerator }) => capacityType === 'on_demand' && accelerator);
    expect(rented.map(({ instanceType, accelerator }) => [instanceType, accelerator?.model, accelerator?.countMilli])).toEqual([
      ['n1-standard-4_nvidia-tesla-t4x1', 'T4', 1_000],
      ['n1-standard-4_nvidia-tesla-t4x2', 'T4', 2_000],
      ['n1-standard-4_nvidia-tesla-t4x4', 'T4', 4_000],
      ['n1-standard-96_nvidia-tesla-t4x4', 'T4', 4_000],
    ]);
    const { prices } = await feed.observePrices(['gcp/us-central1']);
    // 4 × 0.031611 + 15 × 0.004237, and 2 × 0.35
    expect(prices.filter(({ key }) => /^n1-standard-4(_.*x2)?$/.test(key.instanceType)).map(({ amount }) => amount)).toEqual([
      ...['0.189999', '0.889999'],
    ]);
  });

  test('memory that is no whole number of GiB is not rounded', async () => {
    const { amounts } = await told(({ types }) => types.splice(0, 9, machineType('n2-odd', 2, 1_843)));
    expect(amounts[0]).toBe('n2-odd on_demand 0.0708477724609375');
  });

  test.each<[string, (double: GcpPriceDouble) => unknown, string]>([
    [
      'shares a core',
      ({ types }) => types.push(machineType('n2-micro', 2, 1_024, { isSharedCpu: true })),
      'n2-micro/on_demand: it shares',
    ],
    [
      'has disks of another size',
      ({ skus, types }) => {
        skus.push(sku('Z3 Instance Core running in Americas', 1), sku('Z3 Instance Ram running in Americas', 1));
        types.push(machineType('z3-lssd', 2, 1_024, { bundledLocalSsds: { partitionCount: 2 } }));
      },
      'z3-lssd/on_demand: its local disks',
    ],
    [
      'has disks by a month of which nobody says how long it is',
      ({ skus, types }) => {
        skus.splice(0, 99, ...skus.filter((one) => !/Local Storage/.test(JSON.stringify(one))));
        skus.push(sku('SSD backed Local Storage in Americas', 1, { pricingInfo: [pricing('GiBy.mo', 1)] }));
        types.push(machineType('n2-lssd', 2, 1_024, { bundledLocalSsds: { partitionCount: 2 } }));
      },
      'n2-lssd/on_demand: how long a GiBy.mo',
    ],
    [
      'has a part without a price',
      ({ skus, types }) => {
        skus.push(sku('E2 Instance Core running in Americas', 1));
        types.push(machineType('e2-standard-2', 2, 8_192));
      },
      'e2-standard-2/on_demand: there is no price of its ram',
    ],
    [
      'has a part in another unit',
      ({ skus, types }) => {
        skus.push(sku('E2 Instance Core running in Americas', 1, { pricingInfo: [pricing('mo', 1)] }));
        types.push(machineType('e2-standard-2', 2, 8_192));
      },
      'e2-standard-2/on_demand: its core is counted in mo',
    ],
    [
      'has two prices of a part',
      ({ skus }) => skus.push(sku('N2 Instance Core running in Americas', 2, { skuId: 'another' })),
      'n2-standard-4/on_demand: two SKUs say different prices',
    ],
  ])('a machine that %s has no price, and that is told', async (_, change, words) => {
    const { unreadable } = await told(change);
    expect(unreadable.filter((one) => one.includes(words))).toHaveLength(1);
  });

  test('the price in force counts, not the next one', async () => {
    const { amounts } = await told(({ skus }) => {
      const next = pricing('h', 1, { effectiveTime: '2026-09-01T00:00:00Z' });
      skus[0] = sku('N2 Instance Core running in Americas', 0, { pricingInfo: [next, pricing('h', 31_611_000)] });
    });
    expect(amounts[0]).toBe('n2-standard-4 on_demand 0.194236');
  });

  test('the same SKU twice is no answer; a list whose last page happens to be full is read again in other pages', async () => {
    const { double, feed } = await opened();
    double.skus.splice(9);
    expect((await feed.observePrices(REGIONS)).prices).not.toEqual([]);
    double.skus.push(double.skus[0]);
    await expect(feed.observePrices(REGIONS)).rejects.toThrow(/twice/);
  });

  test('what can be rented has the accelerators of the price book, on demand and as spot; old types are passed over', async () => {
    const { offerings } = await (await opened()).feed.listOfferings(['gcp/us-central1']);
    expect(offerings.map(({ instanceType, capacityType }) => `${instanceType} ${capacityType}`)).toEqual([
      ...['n2-standard-4 on_demand', 'n2-standard-4 spot', 'a2-highgpu-1g on_demand', 'a2-highgpu-1g spot'],
    ]);
    expect(offerings[2]).toMatchObject({
      ...{ cpuMilli: 12_000, memoryMib: 87_040, architecture: 'amd64' },
      accelerator: { model: 'A100', countMilli: 1_000, memoryMib: 40_960 },
    });
  });
});
