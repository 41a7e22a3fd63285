import type { Instant } from '../../kernel/instant.ts';
import { decimalText, parseDecimal } from '../decimal.ts';
import { offeringKeyText } from '../offering-key.ts';
import type { ObservedPrice, UnreadableRow } from '../price-feed.port.ts';

/** A row of the retail price list, its price as text. */
export interface RetailRow {
  readonly armSkuName: string;
  readonly armRegionName: string;
  readonly skuName: string;
  readonly meterName: string;
  readonly productName: string;
  readonly type: string;
  readonly unitOfMeasure: string;
  readonly currencyCode: string;
  readonly retailPrice: string;
  readonly effectiveStartDate: string;
  readonly isPrimaryMeterRegion?: boolean | undefined;
}

export interface RetailPrices {
  readonly prices: readonly ObservedPrice[];
  readonly unreadable: readonly UnreadableRow[];
}

/** What is not a Linux machine that anybody can rent by the hour. */
const OTHER_PRODUCTS = /windows|cloud ?services|dedicated host|reserved/i;

/**
 * The prices of Linux machines among the rows. Of several rows of one machine the one in force since the latest date counts; two
 * of the same date that disagree are told, and neither is a price.
 */
export function pricesOfMeters(rows: readonly RetailRow[], now: Instant): RetailPrices {
  const byKey = new Map<string, ObservedPrice[]>();
  const unreadable: UnreadableRow[] = [];
  for (const row of rows.filter(isMachine)) {
    const price = priceOf(row);
    if (typeof price === 'string') unreadable.push({ ref: refOf(row), reason: price });
    else if ((price.effectiveFrom ?? 0) <= now) push(byKey, offeringKeyText(price.key), price);
  }
  const prices: ObservedPrice[] = [];
  for (const [ref, all] of byKey) {
    const chosen = latest(all);
    if (chosen) prices.push(chosen);
    else unreadable.push({ ref, reason: 'two rows of the same date say different prices' });
  }
  return { prices, unreadable };
}

const refOf = (row: RetailRow): string => `${row.armRegionName}/${row.armSkuName} ${row.meterName}`;

function isMachine(row: RetailRow): boolean {
  const names = `${row.skuName} ${row.meterName}`;
  return (
    row.type === 'Consumption' &&
    row.isPrimaryMeterRegion !== false &&
    row.armSkuName !== '' &&
    !OTHER_PRODUCTS.test(row.productName) &&
    !/low priority/i.test(names)
  );
}

/** Or why it is none. */
function priceOf(row: RetailRow): ObservedPrice | string {
  const amount = parseDecimal(row.retailPrice);
  const effectiveFrom = Date.parse(row.effectiveStartDate);
  if (!amount) return `the price is ${row.retailPrice}`;
  if (Number.isNaN(effectiveFrom)) return `it is in force from ${row.effectiveStartDate}`;
  const isSpot = /\bspot\b/i.test(`${row.skuName} ${row.meterName}`);
  const key = { provider: 'azure', region: row.armRegionName, zone: '', instanceType: row.armSkuName };
  return {
    key: { ...key, capacityType: isSpot ? 'spot' : 'on_demand' },
    amount: decimalText(amount),
    currency: row.currencyCode,
    unit: row.unitOfMeasure === '1 Hour' ? 'hour' : row.unitOfMeasure,
    effectiveFrom,
  };
}

/** Null where the latest disagree. */
function latest(prices: readonly ObservedPrice[]): ObservedPrice | null {
  const newest = Math.max(...prices.map(({ effectiveFrom }) => effectiveFrom ?? 0));
  const [first, ...others] = prices.filter(({ effectiveFrom }) => (effectiveFrom ?? 0) === newest);
  const agree = (one: ObservedPrice): boolean =>
    one.amount === first?.amount && one.unit === first.unit && one.currency === first.currency;
  return first && others.every(agree) ? first : null;
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const there = map.get(key);
  if (there) there.push(value);
  else map.set(key, [value]);
}
