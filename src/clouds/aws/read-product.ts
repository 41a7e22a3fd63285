import type { Instant } from '../../kernel/instant.ts';

/** A product of the price list, with what it costs on demand. */
export interface ListedProduct {
  readonly instanceType: string;
  readonly region: string;
  /** As written. */
  readonly amount: string;
  readonly currency: string;
  readonly unit: string;
  readonly effectiveFrom: Instant | null;
  readonly publishedAt: Instant | null;
}

export interface UnreadableProduct {
  readonly ref: string;
  readonly reason: string;
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads one text of `PriceList` (format aws_v1): `product.attributes` and `terms.OnDemand`, which has one term with one dimension for a machine
 * of on-demand capacity. More of them, or none, is no price.
 */
export function readProduct(text: string): ListedProduct | UnreadableProduct {
  const entry = parse(text);
  const product = fields(entry['product']);
  const attributes = fields(product['attributes']);
  const ref = [product['sku'], attributes['instanceType']].filter((part) => typeof part === 'string').join(' ') || '?';
  const { instanceType, regionCode } = attributes;
  if (typeof instanceType !== 'string' || typeof regionCode !== 'string')
    return { ref, reason: 'it names no instance type or no region' };
  const term = only(fields(fields(entry['terms'])['OnDemand']));
  const dimension = term && only(fields(term['priceDimensions']));
  if (!dimension) return { ref, reason: 'it does not have one price on demand' };
  const price = priceOf(dimension);
  if (typeof price === 'string') return { ref, reason: price };
  return {
    ...{ instanceType, region: regionCode, ...price },
    effectiveFrom: instantOf(term['effectiveDate']),
    publishedAt: instantOf(entry['publicationDate']),
  };
}

function priceOf({ pricePerUnit, unit }: Fields): Pick<ListedProduct, 'amount' | 'currency' | 'unit'> | string {
  const [price, ...others] = Object.entries(fields(pricePerUnit));
  if (!price || others.length > 0) return 'it does not have one currency';
  const [currency, amount] = price;
  if (typeof amount !== 'string') return 'its amount is no text';
  return { amount, currency, unit: unit === 'Hrs' ? 'hour' : String(unit) };
}

/** The only member; null if there are others. */
function only(members: Fields): Fields | null {
  const values = Object.values(members);
  return values.length === 1 ? fields(values[0]) : null;
}

function parse(text: string): Fields {
  try {
    return fields(JSON.parse(text));
  } catch {
    return {};
  }
}

const fields = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {});

function instantOf(text: unknown): Instant | null {
  const at = typeof text === 'string' ? Date.parse(text) : Number.NaN;
  return Number.isSafeInteger(at) ? at : null;
}
