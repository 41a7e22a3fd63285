// Tables as people and SkyPilot write them, with what is wrong in them; each line is read, or told with its number.
import { describe, expect, test } from 'vitest';
import { CloudUnknown } from '../../src/clouds/cloud-provider.port.ts';
import { offeringKeyText } from '../../src/clouds/offering-key.ts';
import { parseOwnPrices } from '../../src/pricing/parse-own-prices.ts';
import { parseSkypilot } from '../../src/pricing/parse-skypilot.ts';
import type { PriceTable } from '../../src/pricing/read-price-table.ts';

const SKYPILOT = 'InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,AvailabilityZone';
const OWN =
  'provider,region,zone,instance_type,architecture,cpu_milli,memory_mib,accelerator_model,accelerator_count_milli,accelerator_memory_mib,on_demand_usd_per_hour,on_demand_date,spot_usd_per_hour,interruption_band';

const shown = ({ prices, unreadable }: PriceTable) => [
  ...prices.map(({ key, amount }) => `${offeringKeyText(key)} ${amount}`),
  ...unreadable.map(({ ref, reason }) => `${ref}: ${reason}`),
];
const skypilot = (...lines: string[]) => parseSkypilot([SKYPILOT, ...lines].join('\n'), 'lambda');
const own = (...lines: string[]) => parseOwnPrices([OWN, ...lines].join('\n'));

describe('Prices from tables: SkyPilot catalogues', () => {
  test('a line is an offering on demand and, with a price for it, one on spot', () => {
    const table = skypilot(
      `gpu_1x_a100,A100-80GB,1.0,30.0,200.0,"{'Gpus': [{'Name': 'A100', 'MemoryInfo': {'SizeInMiB': 81920}}]}",1.29,0.645,us-east-1,`,
    );
    expect(shown(table)).toEqual(['lambda/us-east-1/-/gpu_1x_a100/on_demand 1.29', 'lambda/us-east-1/-/gpu_1x_a100/spot 0.645']);
    expect(table.offerings[0]).toMatchObject({
      ...{ cpuMilli: 30_000, memoryMib: 204_800, architecture: 'amd64' },
      accelerator: { model: 'A100', countMilli: 1_000, memoryMib: 81_920 },
    });
  });

  test('one price for all zones is one offering; zones that differ are told apart', () => {
    const table = skypilot(
      'm5.large,,,2.0,8.0,,0.096,0.041,us-east-1,us-east-1a',
      'm5.large,,,2.0,8.0,,0.096,0.043,us-east-1,us-east-1b',
    );
    expect(shown(table)).toEqual([
      'lambda/us-east-1/-/m5.large/on_demand 0.096',
      'lambda/us-east-1/us-east-1a/m5.large/spot 0.041',
      'lambda/us-east-1/us-east-1b/m5.large/spot 0.043',
    ]);
  });

  test('what is listed without a price is offered; an accelerator alone is no machine', () => {
    const table = skypilot('cpu_4x,,,4,16,,,,us-east-1,', ',V100,1.0,,,,2.48,0.74,us-central1,');
    expect(table.offerings.map((one) => offeringKeyText(one))).toEqual(['lambda/us-east-1/-/cpu_4x/on_demand']);
    expect(shown(table)).toEqual([]);
  });

  test('memory of an accelerator comes from its name, or from what is told of it, or is unknown', () => {
    const { offerings } = skypilot(
      `a,V100-32GB,8.0,8,64,,1,,r,`,
      `b,T4,1.0,8,64,"{'Gpus': [{'MemoryInfo': {'SizeInMiB': 15360}}]}",1,,r,`,
      `c,GH200,1.0,8,64,,1,,r,`,
    );
    expect(offerings.map(({ accelerator }) => [accelerator?.model, accelerator?.memoryMib])).toEqual([
      ['V100', 32_768],
      ['T4', 15_360],
      ['GH200', 0],
    ]);
  });
});

describe('Prices from tables: a table of your own', () => {
  test('has the columns of the bundled book', () => {
    const table = own('rack,cellar,,big,amd64,64000,262144,L4,2000,24576,1.25,2026-11-01,0.5,<5%');
    expect(shown(table)).toEqual(['rack/cellar/-/big/on_demand 1.25', 'rack/cellar/-/big/spot 0.5']);
    expect(table.prices[0]?.effectiveFrom).toBe(Date.parse('2026-11-01'));
    expect(table.offerings.map(({ interruptionBand }) => interruptionBand)).toEqual([null, '<5%']);
    expect(table.offerings[0]?.accelerator).toEqual({ model: 'L4', countMilli: 2_000, memoryMib: 24_576 });
  });

  test.each([
    ['rack,cellar,,big,amd64,many,1,,,,1,,,', 'line 2: cpu_milli is "many", which is no number.'],
    ['rack,,,big,amd64,1,1,,,,1,,,', 'line 2: region is empty.'],
    ['rack,cellar,,big,amd64,1,1,,,,1,yesterday,,', 'line 2: on_demand_date is "yesterday", which is no date.'],
    ['rack,cellar,,big', 'line 2: It has 4 cells; the header has 14.'],
  ])('%s is told with its line, and the next one is read', (line, told) => {
    expect(shown(own(line, 'rack,cellar,,ok,amd64,1,1,,,,NaN,,,'))).toEqual(['rack/cellar/-/ok/on_demand NaN', told]);
  });

  test.each([
    ['no header', 'a,b\n1,2'],
    ['nothing but a header', OWN],
    ['nothing', ''],
    ['a cell without an end', `${OWN}\nrack,"cellar`],
  ])('%s is no answer', (_, text) => expect(() => parseOwnPrices(text)).toThrow(CloudUnknown));
});
