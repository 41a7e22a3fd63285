// What Azure says of a subscription (sizes, prices, costs, rights, quotas), against strict doubles: the suites of all feeds and bills, and checks.
import { afterEach, describe, expect, test } from 'vitest';
import { AzureCloud } from '../../src/clouds/azure/azure-cloud.adapter.ts';
import { AzureSettings } from '../../src/clouds/azure/azure-settings.adapter.ts';
import { parseUsd } from '../../src/kernel/money.ts';
import { seededRandom } from '../support/actors.ts';
import { AzureDouble, TOKEN } from '../support/azure-double.ts';
import { SUBSCRIPTION } from '../support/azure-double-groups.ts';
import { AzureFacts, vmSize, type ChargedRow } from '../support/azure-facts-double.ts';
import { AzureRetailDouble, retailRow } from '../support/azure-retail-double.ts';
import { billSuite } from '../support/bill-suite.ts';
import { priceFeedSuite } from '../support/price-feed-suite.ts';

const REGIONS = ['azure/eastus', 'azure/westeurope'] as const;
const NOW = Date.parse('2026-06-01T00:00:00Z');

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

async function opened(more: Readonly<Record<string, unknown>> = {}) {
  const facts = new AzureFacts();
  const double: AzureDouble = new AzureDouble(facts.routes(() => double.http.url));
  const retail = new AzureRetailDouble();
  retail.pageRows = 1_000;
  for (const { http } of [double, retail]) {
    await http.start();
    stops.push(() => http.stop());
  }
  facts.sizes = [
    vmSize('Standard_D4s_v5', { vCPUs: '4', MemoryGB: '16' }),
    vmSize('Standard_NC24ads_A100_v4', { vCPUs: '24', MemoryGB: '220', GPUs: '1' }),
    vmSize('Standard_NV6ads_A10_v5', { vCPUs: '6', MemoryGB: '55', GPUs: '1' }),
    vmSize('Standard_D4ps_v5', { vCPUs: '4', MemoryGB: '16', CpuArchitectureType: 'Arm64', LowPriorityCapable: 'False' }),
    vmSize('Standard_M8ms', { vCPUs: '8' }, { restrictions: [{ type: 'Location', reasonCode: 'NotAvailableForSubscription' }] }),
    { resourceType: 'disks', name: 'Premium_LRS' },
  ];
  retail.rows.push(
    ...REGIONS.flatMap((region) => [
      retailRow({ armRegionName: region.slice(6) }),
      retailRow({ armRegionName: region.slice(6), skuName: 'D4s v5 Spot', retailPrice: 0.0213 }),
    ]),
  );
  const endpoints = { management: double.http.url, retailPrices: retail.endpoint };
  const settings = AzureSettings.parse({
    ...{ subscriptionId: SUBSCRIPTION, endpoints, deadlineMs: 200, regions: ['eastus'] },
    ...{ clusters: [{ resourceGroup: 'rg', name: 'east' }], scaleSets: { resourceGroup: 'purser' }, ...more },
  });
  const options = { name: 'azure', settings, clock: { now: () => NOW }, random: seededRandom(9) };
  const token = (): Promise<string> => Promise.resolve(TOKEN);
  const cloud = new AzureCloud({ ...options, token, pause: () => Promise.resolve() });
  return { facts, double, retail, cloud };
}

priceFeedSuite('a subscription of Azure', ['lists', 'trouble'], async () => {
  const { cloud, double, retail } = await opened();
  return {
    ...{ feed: cloud, regions: REGIONS },
    trouble: (how) => {
      double.http.trouble(how);
      retail.http.trouble(how);
    },
  };
});

const charge = (day: string, ServiceName: string, actual: number, more: Partial<ChargedRow> = {}): ChargedRow => ({
  ...{ day, ChargeType: 'Usage', ServiceName, ResourceLocation: 'US East', actual, amortized: actual, ...more },
});

const CHARGES = [
  charge('2026-05-01', 'Virtual Machines', 12.5),
  charge('2026-05-01', 'Storage', 0.000012345678),
  charge('2026-05-01', 'Virtual Machines', 100, { ChargeType: 'Purchase', amortized: 0, ResourceLocation: 'Unassigned' }),
  charge('2026-05-02', 'Virtual Machines', 11.25, { amortized: 14.5 }),
  charge('2026-05-02', 'Bandwidth', 0.75),
  charge('2026-05-03', 'Virtual Machines', 999),
];

billSuite('Azure Cost Management', ['damage', 'trouble'], async () => {
  const { cloud, double, facts } = await opened();
  facts.charges = [...CHARGES];
  return {
    source: cloud,
    from: Date.parse('2026-05-01T00:00:00Z'),
    cut: Date.parse('2026-05-02T00:00:00Z'),
    to: Date.parse('2026-05-03T00:00:00Z'),
    total: parseUsd('124.500012345678')!,
    damage: () => void facts.charges.push(charge('2026-05-02', 'Marketplace', 7, { ChargeType: 'Tax', currency: 'EUR' })),
    trouble: (how) => double.http.trouble(how),
  };
});

describe('Cloud port: bills of Azure Cost Management', () => {
  const fetched = async (change: (facts: AzureFacts) => unknown = () => undefined) => {
    const { cloud, facts } = await opened();
    facts.charges = [...CHARGES];
    change(facts);
    return cloud.fetchBill(Date.parse('2026-05-01T00:00:00Z'), Date.parse('2026-05-03T00:00:00Z'));
  };

  test('lines have the words of FOCUS: kind, service, region; a purchase takes effect elsewhere', async () => {
    const { lines, isFinal } = await fetched();
    expect(lines).toContainEqual(
      expect.objectContaining({ chargeCategory: 'Purchase', regionId: null, billedCost: parseUsd('100'), effectiveCost: 0n }),
    );
    expect(lines).toContainEqual(
      expect.objectContaining({
        chargeCategory: 'Usage',
        regionId: 'useast',
        billedCost: parseUsd('11.25'),
        effectiveCost: parseUsd('14.5'),
      }),
    );
    expect(isFinal).toBe(false);
  });

  test('what was reserved and not used is charged in effect, though nobody bills it', async () => {
    const unused = charge('2026-05-02', 'Virtual Machines', 0, { ChargeType: 'UnusedReservation', amortized: 3.5 });
    const { lines } = await fetched((facts) => facts.charges.push(unused));
    const effective = lines.reduce((sum, line) => sum + line.effectiveCost, 0n);
    expect(effective).toBe(parseUsd('31.250012345678'));
    expect(lines).toContainEqual(
      expect.objectContaining({ chargeCategory: 'Usage', billedCost: 0n, effectiveCost: parseUsd('3.5') }),
    );
  });

  test('a page that is lost shows in the total of its kind', async () => {
    await expect(fetched((facts) => (facts.losesPages = true))).rejects.toThrow(/do not sum to its total/);
  });
});

describe('Cloud port: sizes of Azure', () => {
  test('accelerators have the names of the price book, parts of one are parts; what the subscription may not rent is left out', async () => {
    const { cloud } = await opened();
    const { offerings } = await cloud.listOfferings(['azure/eastus']);
    expect(
      offerings.map(({ instanceType, capacityType, architecture, accelerator }) =>
        [instanceType, capacityType, architecture, accelerator && `${accelerator.countMilli} ${accelerator.model}`].join(' '),
      ),
    ).toEqual([
      'Standard_D4s_v5 on_demand amd64 ',
      'Standard_D4s_v5 spot amd64 ',
      'Standard_NC24ads_A100_v4 on_demand amd64 1000 A100',
      'Standard_NC24ads_A100_v4 spot amd64 1000 A100',
      'Standard_NV6ads_A10_v5 on_demand amd64 166 A10',
      'Standard_NV6ads_A10_v5 spot amd64 166 A10',
      'Standard_D4ps_v5 on_demand arm64 ',
    ]);
  });
});

describe('Clouds check: Azure', () => {
  const found = async (change: (made: Awaited<ReturnType<typeof opened>>) => unknown, more = {}) => {
    const made = await opened(more);
    change(made);
    return (await made.cloud.check()).map(({ aspect, status, message }) => `${aspect} ${status}: ${message}`);
  };

  test('a subscription that can be used is told with rights, quotas, notices, prices and bill', async () => {
    expect(await found(() => undefined)).toEqual([
      'credentials ok: Subscription Team.',
      'permissions ok: rg: pools can be made, scaled and given back.',
      'permissions ok: purser: pools can be made, scaled and given back.',
      'quota ok: eastus: cores in use: 4 of 100 on demand, 4 of 100 spot.',
      'notices ok: Evictions can be read, minutes late; 0 are open.',
      'prices ok: The retail price list answers: 2 rows on its first page.',
      'bill ok: Cost Management answers: 0 lines for the day before yesterday.',
    ]);
  });

  test('what is lacking is named, and what to do about it', async () => {
    const findings = await found(
      ({ facts }) => {
        facts.notActions = ['Microsoft.ContainerService/managedClusters/agentPools/delete*'];
        facts.actions = ['Microsoft.ContainerService/*'];
        facts.cores = [100, 100];
      },
      { bill: { from: 'focus', file: '/nowhere/bill.csv' } },
    );
    expect(findings).toEqual(
      expect.arrayContaining([
        'permissions failed: rg: not allowed: Microsoft.ContainerService/managedClusters/agentPools/delete, Microsoft.ContainerService/managedClusters/agentPools/deleteMachines/action: grant a role that has them.',
        'quota failed: eastus: no core is free (100 of 100 on demand, 100 of 100 spot): ask for a higher quota.',
        'bill failed: The FOCUS file /nowhere/bill.csv cannot be read: export it there.',
      ]),
    );
  });

  test('a subscription that does not answer is unknown, not failed', async () => {
    const findings = await found(({ double }) => double.http.trouble('broken'));
    expect(findings.filter((one) => !one.includes(' unknown: '))).toEqual([expect.stringMatching(/^prices ok/)]);
  });
});
