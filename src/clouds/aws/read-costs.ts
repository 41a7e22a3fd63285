import type { Instant } from '../../kernel/instant.ts';
import { DAY_MS } from '../../kernel/instant.ts';
import type { PicoUsd } from '../../kernel/money.ts';
import type { BillLine } from '../bill.port.ts';
import { chargeOf } from '../decimal.ts';

/** What is read of a group of GetCostAndUsage. */
export interface CostGroup {
  readonly Keys?: readonly string[] | undefined;
  readonly Metrics?:
    Readonly<Record<string, { readonly Amount?: string | undefined; readonly Unit?: string | undefined }>> | undefined;
}

export const METRICS = { billed: 'UnblendedCost', effective: 'NetAmortizedCost' } as const;

/** The words of FOCUS for what Cost Explorer calls RECORD_TYPE, spaces and case aside; whatever else there is adjusts the bill. */
const CATEGORIES: Readonly<Record<string, string>> = {
  usage: 'Usage',
  discountedusage: 'Usage',
  savingsplancoveredusage: 'Usage',
  tax: 'Tax',
  credit: 'Credit',
  fee: 'Purchase',
  rifee: 'Purchase',
  recurringreservationfee: 'Purchase',
  upfrontreservationfee: 'Purchase',
  savingsplanupfrontfee: 'Purchase',
  savingsplanrecurringfee: 'Purchase',
};

export const categoryOf = (recordType: string): string =>
  CATEGORIES[recordType.toLowerCase().replace(/[^a-z]/g, '')] ?? 'Adjustment';

/** A group by service and region on one day; a text says what of it cannot be read. */
export function readCosts({ Keys, Metrics }: CostGroup, recordType: string, day: Instant): BillLine | string {
  const [serviceName, region] = Keys ?? [];
  if (serviceName === undefined || region === undefined) return 'it names no service or no region';
  const [billed, effective] = [costOf(Metrics?.[METRICS.billed]), costOf(Metrics?.[METRICS.effective])];
  if (typeof billed === 'string') return billed;
  if (typeof effective === 'string') return effective;
  return {
    ...{ chargePeriodStart: day, chargePeriodEnd: day + DAY_MS, chargeCategory: categoryOf(recordType), serviceName },
    regionId: ['', 'global', 'NoRegion'].includes(region) ? null : region,
    ...{ resourceId: null, billedCost: billed, effectiveCost: effective, listCost: null, tags: {} },
  };
}

/** In pico-dollars; a text says why it is none. */
export function costOf(
  metric: { readonly Amount?: string | undefined; readonly Unit?: string | undefined } | undefined,
): PicoUsd | string {
  if (metric?.Unit !== 'USD') return `its currency is ${metric?.Unit ?? 'not said'}`;
  return chargeOf(metric.Amount ?? '') ?? 'its cost cannot be read';
}
