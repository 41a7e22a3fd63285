// The Cloud Billing Catalog and the machine types of Compute Engine as their public references describe them.
import { PROJECT, TOKEN } from './gcp-double.ts';
import { DoubleRefusal, HttpDouble, type DoubleAnswer, type DoubleRequest } from './http-double.ts';
import type { PageFault } from './price-feed-suite.ts';

/** 31 days. */
const MONTH_S = 2_678_400;
const REGIONS = ['us-central1', 'europe-west4'] as const;

/** A SKU as the reference shows one. */
export const sku = (description: string, nanos: number, more: Readonly<Record<string, unknown>> = {}) => ({
  ...{ name: `services/6F81-5844-456A/skus/${description}`, skuId: description, description },
  category: {
    ...{ serviceDisplayName: 'Compute Engine', resourceFamily: 'Compute', resourceGroup: 'CPU' },
    usageType: /Spot/.test(description) ? 'Preemptible' : 'OnDemand',
  },
  ...{ serviceRegions: [...REGIONS], serviceProviderName: 'Google' },
  pricingInfo: [pricing(/ Ram /.test(description) ? 'GiBy.h' : 'h', nanos)],
  ...more,
});

export const pricing = (usageUnit: string, nanos: number, more: Readonly<Record<string, unknown>> = {}) => ({
  ...{ summary: '', currencyConversionRate: 1, effectiveTime: '2026-05-01T00:00:00.123456Z' },
  pricingExpression: {
    ...{ usageUnit, displayQuantity: 1, baseUnit: 's', baseUnitConversionFactor: 3_600, usageUnitDescription: 'hour' },
    tieredRates: [{ startUsageAmount: 0, unitPrice: { currencyCode: 'USD', units: '0', nanos } }],
  },
  ...more,
});

export const machineType = (name: string, guestCpus: number, memoryMb: number, more: Readonly<Record<string, unknown>> = {}) => ({
  ...{ kind: 'compute#machineType', id: '1', name, guestCpus, memoryMb, isSharedCpu: false, imageSpaceGb: 0, ...more },
});

export class GcpPriceDouble {
  readonly http: HttpDouble;
  pageSize = 2;
  fault: PageFault | null = null;
  readonly skus: unknown[] = [
    sku('N2 Instance Core running in Americas', 31_611_000),
    sku('N2 Instance Ram running in Americas', 4_237_000),
    sku('Spot Preemptible N2 Instance Core running in Americas', 7_650_000),
    sku('Spot Preemptible N2 Instance Ram running in Americas', 1_025_000),
    sku('A2 Instance Core running in Americas', 31_611_000),
    sku('A2 Instance Ram running in Americas', 4_237_000),
    sku('Nvidia Tesla A100 GPU running in Americas', 933_908_000, { pricingInfo: [gpu(2, 933_908_000)] }),
    sku('SSD backed Local Storage in Americas', 80_000_000, { pricingInfo: [byMonth(80_000_000)] }),
    sku('SSD backed Local Storage attached to Spot Preemptible VMs in Americas', 28_000_000, {
      pricingInfo: [byMonth(28_000_000)],
    }),
    sku('SSD backed Local Storage attached to DWS Defined Duration VMs in Americas', 1, { pricingInfo: [byMonth(1)] }),
    sku('N2 Custom Instance Core running in Americas', 33_174_000),
    sku('N2 Sole Tenancy Instance Core running in Americas', 99_000_000),
    sku('Network Egress', 1, { category: { resourceFamily: 'Network', usageType: 'OnDemand' }, pricingInfo: [{ tiers: 3 }] }),
  ];
  readonly accelerators: unknown[] = ['nvidia-tesla-t4', 'nvidia-tesla-t4-vws', 'nvidia-tesla-v100'].map((name) => ({
    ...{ kind: 'compute#acceleratorType', id: '1', name, maximumCardsPerInstance: 8 },
    ...(name.endsWith('v100') ? { deprecated: { state: 'DEPRECATED' } } : {}),
  }));
  readonly types: unknown[] = [
    machineType('n2-standard-4', 4, 16_384),
    machineType('a2-highgpu-1g', 12, 87_040, {
      accelerators: [{ guestAcceleratorType: 'nvidia-tesla-a100', guestAcceleratorCount: 1 }],
    }),
    machineType('n2-highcpu-old', 2, 2_048, { deprecated: { state: 'DEPRECATED' } }),
  ];

  constructor() {
    const lists = ['maxResults', 'pageToken'];
    this.http = new HttpDouble({
      token: TOKEN,
      words: (code, reason, message) => ({ error: { code, message, errors: [{ reason, message }] } }),
      routes: [
        {
          ...{ method: 'GET', path: new RegExp(`^/compute/projects/${PROJECT}/zones$`), query: lists },
          answer: (request) => pageOf(request, 'items', zones(this.http.url), 3),
        },
        {
          ...{
            method: 'GET',
            path: new RegExp(`^/compute/projects/${PROJECT}/zones/(?<zone>[^/]+)/machineTypes$`),
            query: lists,
          },
          answer: (request) => pageOf(request, 'items', this.types, 2),
        },
        {
          ...{
            method: 'GET',
            path: new RegExp(`^/compute/projects/${PROJECT}/zones/(?<zone>[^/]+)/acceleratorTypes$`),
            query: lists,
          },
          answer: (request) => pageOf(request, 'items', this.accelerators, 2),
        },
        {
          ...{ method: 'GET', path: /^\/billing\/services\/6F81-5844-456A\/skus$/ },
          query: ['currencyCode', 'pageSize', 'pageToken'],
          answer: (request) => this.#skus(request),
        },
      ],
    });
  }

  #skus(request: DoubleRequest): DoubleAnswer {
    const { query } = request;
    if (query.get('currencyCode') !== 'USD') throw new DoubleRefusal(400, 'badRequest', 'currencyCode');
    const size = Number(query.get('pageSize'));
    if (!(size >= 1 && size <= 5_000)) throw new DoubleRefusal(400, 'badRequest', 'pageSize');
    if (this.fault === 'repeats' && query.get('pageToken')) query.set('pageToken', '0');
    const answer = pageOf(request, 'skus', this.skus, size);
    const { nextPageToken = '', ...page } = answer.body as { nextPageToken?: string };
    // The last page has an empty token.
    return { body: { ...page, nextPageToken: this.fault === 'loses its successor' ? '' : nextPageToken } };
  }
}

const gpu = (units: number, nanos: number) => {
  const one = pricing('h', nanos);
  const tieredRates = [{ startUsageAmount: 0, unitPrice: { currencyCode: 'USD', units: String(units), nanos } }];
  return { ...one, pricingExpression: { ...one.pricingExpression, tieredRates } };
};

/** A GiB for a month, as Google counts it: in bytes and seconds. */
const byMonth = (nanos: number) => {
  const one = pricing('GiBy.mo', nanos);
  const baseUnitConversionFactor = 2 ** 30 * MONTH_S;
  return { ...one, pricingExpression: { ...one.pricingExpression, baseUnit: 'By.s', baseUnitConversionFactor } };
};

const zones = (url: string): unknown[] =>
  [...REGIONS, 'asia-east1'].flatMap((region) =>
    ['a', 'b'].map((letter) => ({ name: `${region}-${letter}`, region: `${url}/compute/projects/${PROJECT}/regions/${region}` })),
  );

function pageOf({ query }: DoubleRequest, field: string, rows: readonly unknown[], size: number): DoubleAnswer {
  const from = Number(query.get('pageToken') ?? 0);
  const more = from + size < rows.length ? { nextPageToken: String(from + size) } : {};
  return { body: { [field]: rows.slice(from, from + size), ...more } };
}
