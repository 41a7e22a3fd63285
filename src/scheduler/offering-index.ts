import { offeringKeyText, regionOf } from '../clouds/offering-key.ts';
import type { CapacityType } from '../clouds/offering.ts';
import type { Accelerator } from '../kernel/resources.ts';
import type { PriceRow } from '../pricing/price-book.ts';
import type { Candidate } from './filter-offerings.ts';

/** Rows that differ only in size and price: what they have in common is judged once for all of them. */
export interface OfferingClass {
  /** Its rows: from `start` up to, not including, `end`. */
  readonly start: number;
  readonly end: number;
  /** Places in the lists of the index. */
  readonly region: number;
  readonly kind: number;
  readonly device: number;
  readonly risk: number;
  readonly place: number;
}

/**
 * Offerings as columns of numbers, class by class, so that a decision looks at each of tens of thousands in a few nanoseconds. Built once per
 * version of the price book.
 */
export interface OfferingIndex {
  /** By row. */
  readonly candidates: readonly Candidate[];
  readonly size: number;
  readonly classes: readonly OfferingClass[];
  readonly cpuMilli: Float64Array;
  /** −1 = unknown. */
  readonly memoryMib: Float64Array;
  /** Pico-USD per hour, exact up to 9,007 USD; NaN = unpriced, `STALE` = nobody confirms it any more. */
  readonly price: Float64Array;
  /** Since when the price is in force, in ms. */
  readonly from: Float64Array;
  readonly regions: readonly { readonly provider: string; readonly region: string }[];
  readonly kinds: readonly { readonly capacityType: CapacityType; readonly architecture: string }[];
  readonly devices: readonly (Accelerator | null)[];
  readonly risks: readonly { readonly capacityType: CapacityType; readonly interruptionBand: string | null }[];
  /** Region and zone; an empty zone is any. */
  readonly places: readonly { readonly region: string; readonly zone: string }[];
  /** What ties are broken by. */
  readonly keyOf: (row: number) => string;
}

type Traits = Omit<OfferingClass, 'start' | 'end'>;

export function makeOfferingIndex(unordered: readonly Candidate[]): OfferingIndex {
  const distinct = makeDistinct();
  const classes = makeClasses();
  const classOf = new Int32Array(unordered.length);
  unordered.forEach(({ offering }, at) => (classOf[at] = classNumber(distinct, classes, offering)));
  const { order, bounds } = orderBy(classOf, classes.values.length);
  const candidates: Candidate[] = [];
  for (const at of order) {
    const candidate = unordered[at];
    if (candidate) candidates.push(candidate);
  }
  const { regions, kinds, devices, risks, places } = distinct;
  return {
    ...{ candidates, size: candidates.length, ...columnsOf(candidates), keyOf: makeKeys(candidates) },
    ...{ regions: regions.values, kinds: kinds.values, devices: devices.values, risks: risks.values, places: places.values },
    classes: classes.values.map((traits, n) => ({ ...traits, start: bounds[n] ?? 0, end: bounds[n + 1] ?? 0 })),
  };
}

function classNumber(
  { regions, kinds, devices, risks, places }: ReturnType<typeof makeDistinct>,
  classes: ReturnType<typeof makeClasses>,
  offering: Candidate['offering'],
): number {
  const { provider, zone, capacityType, architecture, accelerator, interruptionBand } = offering;
  const region =
    regions.find(provider, offering.region) ?? regions.add(provider, offering.region, { provider, region: regionOf(offering) });
  const kind = kinds.find(capacityType, architecture) ?? kinds.add(capacityType, architecture, { capacityType, architecture });
  const [model, size] = [accelerator?.model ?? '', deviceKey(accelerator)];
  const device = devices.find(model, size) ?? devices.add(model, size, accelerator);
  const band = interruptionBand ?? '';
  const risk = risks.find(capacityType, band) ?? risks.add(capacityType, band, { capacityType, interruptionBand });
  const place = places.find(region, zone) ?? places.add(region, zone, { region: regionOf(offering), zone });
  const [outer, inner] = [place * MANY + kind, device * MANY + risk];
  return classes.find(outer, inner) ?? classes.add(outer, inner, { region, kind, device, risk, place });
}

/** More kinds and risks than there can be. */
const MANY = 4096;

/** Counting sort: where each class starts, and which candidate comes where. */
function orderBy(classOf: Int32Array, classes: number): { readonly order: Int32Array; readonly bounds: Int32Array } {
  const bounds = new Int32Array(classes + 1);
  for (const number of classOf) bounds[number + 1] = (bounds[number + 1] ?? 0) + 1;
  for (let n = 1; n <= classes; n += 1) bounds[n] = (bounds[n] ?? 0) + (bounds[n - 1] ?? 0);
  const next = bounds.slice();
  const order = new Int32Array(classOf.length);
  for (let at = 0; at < classOf.length; at += 1) {
    const number = classOf[at] ?? 0;
    const row = next[number] ?? 0;
    order[row] = at;
    next[number] = row + 1;
  }
  return { order, bounds };
}

/** No price is below nothing. */
export const STALE = -1;

const amountOf = ({ effective, stale }: PriceRow): number => (stale ? STALE : Number(effective));

function columnsOf(candidates: readonly Candidate[]) {
  const column = (): Float64Array => new Float64Array(candidates.length);
  const columns = { cpuMilli: column(), memoryMib: column(), price: column(), from: column() };
  candidates.forEach(({ offering, price }, row) => {
    columns.cpuMilli[row] = offering.cpuMilli;
    columns.memoryMib[row] = offering.memoryMib ?? -1;
    columns.price[row] = price?.state === 'believed' ? amountOf(price) : NaN;
    columns.from[row] = price?.effectiveFrom ?? 0;
  });
  return columns;
}

/** Of the same model: larger than any count in thousandths. */
const COUNTS = 10_000_000;
const deviceKey = (accelerator: Accelerator | null): number =>
  accelerator ? accelerator.memoryMib * COUNTS + accelerator.countMilli : 0;

const makeDistinct = () => ({
  regions: new Distinct<string, string, OfferingIndex['regions'][number]>(),
  kinds: new Distinct<string, string, OfferingIndex['kinds'][number]>(),
  devices: new Distinct<string, number, Accelerator | null>(),
  risks: new Distinct<string, string, OfferingIndex['risks'][number]>(),
  places: new Distinct<number, string, OfferingIndex['places'][number]>(),
});

const makeClasses = () => new Distinct<number, number, Traits>();

/** Numbers values in the order in which they come. By two keys: joining them for each row would take longer than all else. */
class Distinct<A, B, T> {
  readonly values: T[] = [];
  readonly #numbers = new Map<A, Map<B, number>>();

  find(a: A, b: B): number | undefined {
    return this.#numbers.get(a)?.get(b);
  }

  add(a: A, b: B, value: T): number {
    const inner = this.#numbers.get(a) ?? new Map<B, number>();
    if (inner.size === 0) this.#numbers.set(a, inner);
    inner.set(b, this.values.length);
    return this.values.push(value) - 1;
  }
}

/** Keys are long and few are asked for. */
function makeKeys(candidates: readonly Candidate[]): (row: number) => string {
  const keys: string[] = [];
  return (row) => {
    const candidate = candidates[row];
    return (keys[row] ??= candidate ? offeringKeyText(candidate.offering) : '');
  };
}
