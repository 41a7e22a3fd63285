// Prices and bills of AWS by the suites of their ports, on a strict double of the price list, the spot history, the Spot Advisor and Cost
// Explorer; and what each row becomes.
import { expect, afterEach, describe, test } from 'vitest';
import { AwsCloud } from '../../src/clouds/aws/aws-cloud.adapter.ts';
import { AwsSettings } from '../../src/clouds/aws/aws-settings.adapter.ts';
import { SpotAdvisor } from '../../src/clouds/aws/spot-advisor.adapter.ts';
import { CloudUnknown } from '../../src/clouds/cloud-provider.port.ts';
import { offeringKeyText } from '../../src/clouds/offering-key.ts';
import { parseUsd } from '../../src/kernel/money.ts';
import '../support/aws-clients.ts';
import { historyXml, product, startAwsPrices, type AwsPriceDouble, type RentedType } from '../support/aws-price-double.ts';
import { billSuite } from '../support/bill-suite.ts';
import { priceFeedSuite } from '../support/price-feed-suite.ts';
import { quietLogger } from '../support/quiet-logger.ts';

const [EAST, WEST] = ['us-east-1', 'us-west-2'] as const;
const NOW = Date.parse('2026-11-21T12:00:00Z');
/** Longer than any answer takes on a busy machine; nobody waits so long for one that hangs. */
const [DEADLINE_MS, HANGING_MS] = [50_000, 100];

const zonesOf = (region: string, amount: string) => ({ [`${region}a`]: amount, [`${region}b`]: `${amount}1` });
const rented = (type: string, vcpus: number, change: Partial<RentedType> = {}): RentedType => ({
  ...{ type, architecture: 'x86_64', vcpus, memoryMib: vcpus * 4_096 },
  onDemand: { [EAST]: `${vcpus}.0960000000`, [WEST]: `${vcpus}.1120000000` },
  spot: { ...zonesOf(EAST, `0.0${vcpus}`), ...zonesOf(WEST, `0.1${vcpus}`) },
  ...change,
});
const gpus = (count: number, partition: string) =>
  `<gpuInfo><gpus><item><name>L4</name><manufacturer>NVIDIA</manufacturer><count>${count}</count><logicalGpuCount>1</logicalGpuCount>` +
  `<gpuPartitionSize>${partition}</gpuPartitionSize><memoryInfo><sizeInMiB>2861</sizeInMiB></memoryInfo></item></gpus></gpuInfo>`;

const TYPES: RentedType[] = [
  ...['large', 'xlarge', '2xlarge', '4xlarge', '8xlarge', '12xlarge'].map((size, index) => rented(`m5.${size}`, 2 * (index + 1))),
  ...['large', 'xlarge', '2xlarge', '4xlarge'].map((size, index) => rented(`c7g.${size}`, index + 1, { architecture: 'arm64' })),
  rented('g6f.large', 2, { devices: gpus(0, '0.125') }),
  rented('g6.xlarge', 4, { devices: gpus(1, '1.0') }),
];

const opened: AwsPriceDouble[] = [];
afterEach(async () => {
  for (const double of opened.splice(0)) await double.close();
});

async function open(types: readonly RentedType[] = TYPES): Promise<{ double: AwsPriceDouble; cloud: AwsCloud }> {
  const double = await startAwsPrices(types, [EAST, WEST]);
  opened.push(double);
  const settings = AwsSettings.parse({
    ...{ regions: [EAST, WEST], endpoints: { all: double.url }, deadlineMs: DEADLINE_MS },
    spotAdvisorUrl: `${double.url}/spot-advisor-data.json`,
  });
  const deadline = (ms: number): AbortSignal => AbortSignal.timeout(double.trouble === 'hangs' ? HANGING_MS : ms);
  const cloud = new AwsCloud({ name: 'aws', settings, clock: { now: () => NOW }, logger: quietLogger, deadline });
  return { double, cloud };
}

priceFeedSuite('AWS', ['lists', 'damage', 'breakPages', 'trouble'], async () => {
  const { double, cloud } = await open();
  return {
    ...{ feed: cloud, regions: [`aws/${EAST}`, `aws/${WEST}`] as const },
    damage: () => void double.moreProducts.push('{"product": {"sku": "X1"}}'),
    breakPages: (how) => void (double.pages = how),
    trouble: (how) => void (double.trouble = how),
  };
});

const day = (text: string): number => Date.parse(`${text}T00:00:00Z`);

billSuite('AWS, Cost Explorer', ['damage', 'trouble'], async () => {
  const { double, cloud } = await open();
  const compute = { service: 'Amazon Elastic Compute Cloud - Compute', region: EAST };
  double.charges.push(
    { day: '2026-11-01', recordType: 'Usage', ...compute, unblended: '12.3456789012', amortized: '10.0000000001' },
    { day: '2026-11-02', recordType: 'Usage', ...compute, unblended: '0.0000000138', amortized: '0.0000000138' },
    { day: '2026-11-03', recordType: 'Tax', service: 'Tax', region: 'NoRegion', unblended: '2.34', amortized: '2.34' },
    { day: '2026-11-03', recordType: 'Credit', ...compute, unblended: '-1.5', amortized: '-1.5' },
    { day: '2026-11-05', recordType: 'Usage', ...compute, unblended: '99', amortized: '99' },
  );
  return {
    ...{ source: cloud, from: day('2026-11-01'), cut: day('2026-11-03'), to: day('2026-11-04') },
    total: parseUsd('13.185678915')!,
    damage: () =>
      void double.charges.push({
        day: '2026-11-02',
        recordType: 'Usage',
        ...compute,
        unblended: '5',
        amortized: '5',
        unit: 'EUR',
      }),
    trouble: (how) => void (double.trouble = how),
  };
});

describe('Offerings: of AWS', () => {
  test('a type is what the price book calls it: architecture, memory, accelerators, parts of them', async () => {
    const { offerings } = await (await open()).cloud.listOfferings([`aws/${EAST}`]);
    const of = (type: string, zone: string) => offerings.find((one) => one.instanceType === type && one.zone === zone);
    expect(of('c7g.large', '')).toMatchObject({
      architecture: 'arm64',
      cpuMilli: 1_000,
      memoryMib: 4_096,
      capacityType: 'on_demand',
    });
    expect(of('g6f.large', '')).toMatchObject({ accelerator: { model: 'L4', countMilli: 125, memoryMib: 24_576 } });
    expect(of('g6.xlarge', `${EAST}b`)).toMatchObject({ accelerator: { countMilli: 1_000 }, capacityType: 'spot' });
    expect(of('m5.xlarge', `${EAST}a`)).toMatchObject({ interruptionBand: '5-10%' });
    expect(of('m5.xlarge', '')?.interruptionBand).toBeNull();
  });

  test('what no container of ours runs on is passed over', async () => {
    const { cloud } = await open([...TYPES, rented('mac1.metal', 12, { architecture: 'x86_64_mac' })]);
    const { offerings, unreadable } = await cloud.listOfferings([`aws/${EAST}`]);
    expect(offerings.some(({ instanceType }) => instanceType === 'mac1.metal')).toBe(false);
    expect(unreadable).toEqual([]);
  });

  test('without the Spot Advisor nothing is known, rather than bands of nobody', async () => {
    const { double, cloud } = await open();
    double.edit = (call, answer) => (call.path.startsWith('/spot') ? { ...answer, body: '{"ranges":[]}' } : answer);
    await expect(cloud.listOfferings([`aws/${EAST}`])).rejects.toThrow(CloudUnknown);
  });

  test('a Spot Advisor that says too much is not heard to the end', async () => {
    const { double } = await open();
    const advisor = new SpotAdvisor({ url: `${double.url}/spot-advisor-data.json`, deadlineMs: DEADLINE_MS, maxBytes: 100 });
    await expect(advisor.bands()).rejects.toThrow(/says too much/);
  });
});

describe('Price gate: what AWS says reaches it as it was written', () => {
  const pricesOf = async (cloud: AwsCloud): Promise<Map<string, string>> => {
    const { prices } = await cloud.observePrices([`aws/${EAST}`]);
    return new Map(prices.map(({ key, amount, unit }) => [offeringKeyText(key), `${amount} per ${unit}`]));
  };

  test('Linux on shared tenancy, to the last digit, and spot by zone', async () => {
    const prices = await pricesOf((await open()).cloud);
    expect(prices.get(`aws/${EAST}/-/m5.large/on_demand`)).toBe('2.0960000000 per hour');
    expect(prices.get(`aws/${EAST}/${EAST}b/m5.large/spot`)).toBe('0.021 per hour');
  });

  test('of a spot price that changed, the newest', async () => {
    const { double, cloud } = await open();
    const row = { type: 'm5.large', zone: `${EAST}a` };
    double.moreHistory.push(historyXml({ ...row, amount: '7', at: '2026-11-21T11:59:00.000Z' }));
    double.moreHistory.push(historyXml({ ...row, amount: '3', at: '2026-11-19T11:59:00.000Z' }));
    expect((await pricesOf(cloud)).get(`aws/${EAST}/${EAST}a/m5.large/spot`)).toBe('7 per hour');
  });

  test.each([
    ['two prices', product({ type: 'm5.large', region: EAST }, '0.5').text, /more than one price/],
    [
      'an amount that is no text',
      product({ type: 'm9.large', region: EAST }, '0').text.replace('"USD":"0"', '"USD":0'),
      /no text/,
    ],
    [
      'two currencies',
      product({ type: 'm9.large', region: EAST }, '0').text.replace('"USD":"0"', '"USD":"0","CNY":"1"'),
      /one currency/,
    ],
    ['half a text', product({ type: 'm9.large', region: EAST }, '0').text.slice(0, 300), /no instance type/],
  ])('%s is told and no price', async (_, text, reason) => {
    const { double, cloud } = await open();
    double.moreProducts.push(text);
    const { unreadable } = await cloud.observePrices([`aws/${EAST}`]);
    expect(unreadable).toEqual([{ ref: expect.any(String) as string, reason: expect.stringMatching(reason) as string }]);
  });

  test('another unit is told in its own words', async () => {
    const { double, cloud } = await open(
      TYPES.filter(({ type }) => type !== 'm5.large').concat(rented('m5.large', 2, { onDemand: { [EAST]: '' } })),
    );
    double.edit = (call, answer) =>
      call.action === 'GetProducts'
        ? { ...answer, body: answer.body.replaceAll('\\"unit\\":\\"Hrs\\"', '\\"unit\\":\\"Secs\\"') }
        : answer;
    expect((await pricesOf(cloud)).get(`aws/${EAST}/-/c7g.large/on_demand`)).toBe('1.0960000000 per Secs');
  });

  test('half a spot history is no answer', async () => {
    const { double, cloud } = await open();
    double.edit = (call, answer) =>
      call.action === 'DescribeSpotPriceHistory'
        ? { ...answer, body: answer.body.replace(/<nextToken>[^<]*/, '<nextToken>') }
        : answer;
    await expect(cloud.observePrices([`aws/${EAST}`])).rejects.toThrow(/a part of it is missing/);
  });

  test('an answer that is cut off is no answer', async () => {
    const { double, cloud } = await open();
    double.edit = (call, answer) => (call.action === 'GetProducts' ? { ...answer, body: answer.body.slice(0, 500) } : answer);
    await expect(cloud.observePrices([`aws/${EAST}`])).rejects.toThrow(CloudUnknown);
  });
});

describe('Cloud port: the bill of AWS', () => {
  test('kinds of charges have the words of FOCUS; what has no region has none; it is final when AWS says so', async () => {
    const { double, cloud } = await open();
    const base = { day: '2026-11-01', service: 'S', unblended: '1', amortized: '1' };
    double.charges.push(
      { ...base, recordType: 'SavingsPlanRecurringFee', region: 'NoRegion' },
      { ...base, recordType: 'Refund', region: WEST, day: '2026-11-02' },
    );
    const bill = await cloud.fetchBill(day('2026-11-01'), day('2026-11-03'));
    expect(bill.lines).toMatchObject([
      { chargeCategory: 'Purchase', regionId: null },
      { chargeCategory: 'Adjustment', regionId: WEST, chargePeriodStart: day('2026-11-02') },
    ]);
    expect(bill.isFinal).toBe(true);
    expect((await cloud.fetchBill(day('2026-11-20'), day('2026-11-21'))).isFinal).toBe(false);
  });

  test('charges that do not sum to their total are half an answer', async () => {
    const { double, cloud } = await open();
    const base = { day: '2026-11-01', recordType: 'Usage', unblended: '1', amortized: '1' };
    double.charges.push({ ...base, service: 'A', region: EAST }, { ...base, service: 'B', region: EAST });
    double.edit = (call, answer) =>
      call.body.includes('"Filter"') ? { ...answer, body: answer.body.replace(/,\{"Keys":\["B".*?\}\}\}/, '') } : answer;
    await expect(cloud.fetchBill(day('2026-11-01'), day('2026-11-02'))).rejects.toThrow(/do not sum/);
  });
});
