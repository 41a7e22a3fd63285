import type { Instant } from '../../kernel/instant.ts';
import { decimalText, divided, halved, parseDecimal, plus, times, type Decimal } from '../decimal.ts';
import type { CapacityType } from '../offering.ts';
import type { ObservedPrice, UnreadableRow } from '../price-feed.port.ts';
import type { MachineShape } from './machine-shapes.ts';

/** A SKU of Compute Engine with the rate that is in force. */
export interface ComputeSku {
  readonly skuId: string;
  readonly description: string;
  /** `OnDemand`, `Preemptible`, `Commit1Yr`, … */
  readonly usageType: string;
  readonly regions: readonly string[];
  readonly usageUnit: string;
  /** What Google counts in (`By.s`), and how many of it make one usage unit. */
  readonly base: { readonly unit: string; readonly perUsageUnit: number };
  readonly currency: string;
  /** Of one unit. */
  readonly units: string;
  readonly nanos: number;
  readonly effectiveFrom: Instant;
}

type Component = 'core' | 'ram' | 'gpu' | 'disk';

/** What a component is counted in. */
const UNITS: Readonly<Record<Component, string>> = { core: 'h', ram: 'GiBy.h', gpu: 'h', disk: 'GiBy.mo' };
/** A GiB for an hour, in bytes and seconds. */
const GIB_HOUR = 2n ** 30n * 3_600n;
/** Of a local disk: Google makes all of one size, but for those of storage machines, and says none. */
const DISK_GIB = 375;
const OTHER_DISKS = ['z3'];
/** What sums that do not end are rounded to. */
const PICO_DECIMALS = 12;

/** SKUs of families from before they had names. */
const FAMILIES: Readonly<Record<string, string>> = { 'compute optimized': 'c2', 'memory-optimized': 'm1' };
/** What of a description is no name: `N2D AMD`, `T2A Arm`, `N1 Predefined`. */
const WORDS = /^(predefined|amd|arm|memory-optimized)$/;
/** As SKUs call them. */
const GPUS: Readonly<Record<string, string>> = {
  ...{ 'nvidia-tesla-p4': 'tesla p4', 'nvidia-tesla-p100': 'tesla p100', 'nvidia-tesla-v100': 'tesla v100' },
  ...{ 'nvidia-tesla-t4': 'tesla t4', 'nvidia-l4': 'l4', 'nvidia-tesla-a100': 'tesla a100' },
  ...{ 'nvidia-a100-80gb': 'tesla a100 80gb', 'nvidia-h100-80gb': 'h100 80gb', 'nvidia-h100-mega-80gb': 'h100 80gb plus' },
  ...{ 'nvidia-h200-141gb': 'h200 141gb' },
};

/** By region, capacity type and component (`us-central1/spot/core n2`); SKUs of other things are passed over. */
export type SkuIndex = ReadonlyMap<string, readonly ComputeSku[]>;

export function indexSkus(skus: readonly ComputeSku[]): SkuIndex {
  const index = new Map<string, ComputeSku[]>();
  for (const sku of skus) {
    const part = partOf(sku);
    for (const region of part === null ? [] : sku.regions) {
      const key = `${region}/${part ?? ''}`;
      const there = index.get(key);
      if (there) there.push(sku);
      else index.set(key, [sku]);
    }
  }
  return index;
}

/** A machine is the sum of its cores, memory, accelerators and local disks. Null = not sold so; text = why it cannot be said. */
export function priceOf(
  index: SkuIndex,
  region: string,
  shape: MachineShape,
  capacityType: CapacityType,
): ObservedPrice | string | null {
  const parts = partsOf(shape);
  const found = parts.map(({ component, name }) => index.get(`${region}/${capacityType}/${component} ${name}`) ?? []);
  // Every region sells disks.
  if (found.every((skus, at) => skus.length === 0 || parts[at]?.component === 'disk')) return null;
  const problem = problemWith(shape);
  if (problem !== null) return problem;
  const rates = parts.map(({ component }, at) => rateOf(component, found[at] ?? []));
  const wrong = rates.find((rate) => typeof rate === 'string');
  if (typeof wrong === 'string') return wrong;
  return sumOf({ rates: rates as Rate[], amounts: parts.map(({ amount }) => amount), region, shape, capacityType });
}

interface Part {
  readonly component: Component;
  readonly name: string;
  readonly amount: Decimal;
}

const familyIn = ({ name }: MachineShape): string => name.split('-')[0] ?? '';

function partsOf(shape: MachineShape): Part[] {
  const { accelerator, bundledDisks } = shape;
  const family = familyIn(shape);
  const parts: Part[] = [
    { component: 'core', name: family, amount: whole(shape.guestCpus) },
    { component: 'ram', name: family, amount: halved(whole(shape.memoryMb), 10) },
  ];
  if (accelerator)
    parts.push({ component: 'gpu', name: GPUS[accelerator.type] ?? accelerator.type, amount: whole(accelerator.count) });
  if (bundledDisks > 0) parts.push({ component: 'disk', name: 'local ssd', amount: whole(bundledDisks * DISK_GIB) });
  return parts;
}

function problemWith(shape: MachineShape): string | null {
  if (shape.isSharedCpu) return 'it shares a core: how much of it is paid for is not said';
  const isOdd = shape.bundledDisks > 0 && OTHER_DISKS.includes(familyIn(shape));
  return isOdd ? 'its local disks are of a size that is not said' : null;
}

/** Of each offering that is sold; what cannot be said is told. */
export function pricesOf(index: SkuIndex, region: string, shapes: readonly MachineShape[]) {
  const prices: ObservedPrice[] = [];
  const unreadable: UnreadableRow[] = [];
  for (const shape of shapes)
    for (const capacityType of ['on_demand', 'spot'] as const) {
      const price = priceOf(index, region, shape, capacityType);
      if (typeof price === 'string') unreadable.push({ ref: `${region}/${shape.name}/${capacityType}`, reason: price });
      else if (price) prices.push(price);
    }
  return { prices, unreadable };
}

/** `spot/core n2`; null = of something else. */
function partOf({ description, usageType }: ComputeSku): string | null {
  const capacityType = { OnDemand: 'on_demand', Preemptible: 'spot' }[usageType];
  if (capacityType === undefined) return null;
  const [, gpu] = /^nvidia (.+?) gpu (?:attached to spot preemptible vms )?running in /i.exec(description) ?? [];
  if (gpu !== undefined) return `${capacityType}/gpu ${gpu.toLowerCase()}`;
  if (/^ssd backed local storage(?: attached to spot preemptible vms)?(?: in .+)?$/i.test(description))
    return `${capacityType}/disk local ssd`;
  const [, name, component] = /^(?:spot preemptible )?(.+?)(?: instance)? (core|ram) running in /i.exec(description) ?? [];
  const family = name === undefined ? null : familyOf(name.toLowerCase());
  return family === null ? null : `${capacityType}/${(component ?? '').toLowerCase()} ${family}`;
}

function familyOf(name: string): string | null {
  const [first = '', ...others] = name.split(' ');
  if (Object.hasOwn(FAMILIES, name)) return FAMILIES[name] ?? null;
  return /^[a-z]\d[a-z]?$/.test(first) && others.every((word) => WORDS.test(word)) ? first : null;
}

interface Rate {
  /** By the hour, as a fraction: of what is sold by the month it may have no end. */
  readonly amount: Decimal;
  readonly by: bigint;
  readonly currency: string;
  readonly effectiveFrom: Instant;
}

/** Of one unit; or why it cannot be said. */
function rateOf(component: Component, skus: readonly ComputeSku[]): Rate | string {
  const [first, ...others] = skus;
  if (!first) return `there is no price of its ${component}`;
  if (first.usageUnit !== UNITS[component]) return `its ${component} is counted in ${first.usageUnit}`;
  const { units, nanos, currency, effectiveFrom } = first;
  if (others.some((sku) => sku.units !== units || sku.nanos !== nanos || sku.usageUnit !== first.usageUnit))
    return `two SKUs say different prices of its ${component}`;
  const amount = parseDecimal(units);
  const hours = component === 'disk' ? hoursOf(first) : ONE;
  if (!hours) return `how long a ${first.usageUnit} of its ${component} lasts is not said`;
  if (!amount) return `units are ${units}`;
  const unit = plus(amount, { digits: BigInt(nanos), scale: 9 });
  return { amount: times(unit, { digits: hours.times, scale: 0 }), by: hours.by, currency, effectiveFrom };
}

const ONE = { times: 1n, by: 1n };

/** A GiB and hour as part of the unit that is sold; null = Google does not say. */
function hoursOf({ base: { unit, perUsageUnit } }: ComputeSku): typeof ONE | null {
  if (unit !== 'By.s' || !Number.isSafeInteger(perUsageUnit) || perUsageUnit <= 0) return null;
  return { times: GIB_HOUR, by: BigInt(perUsageUnit) };
}

interface Sum {
  readonly rates: readonly Rate[];
  readonly amounts: readonly Decimal[];
  readonly region: string;
  readonly shape: MachineShape;
  readonly capacityType: CapacityType;
}

function sumOf({ rates, amounts, region, shape, capacityType }: Sum): ObservedPrice | string {
  const currencies = [...new Set(rates.map(({ currency }) => currency))];
  if (currencies.length !== 1) return `its parts are priced in ${currencies.join(' and ')}`;
  const by = rates.reduce((all, rate) => all * rate.by, 1n);
  const sum = rates.reduce((all, rate, at) => {
    const share = times(rate.amount, amounts[at] ?? NONE);
    return plus(all, times(share, { digits: by / rate.by, scale: 0 }));
  }, NONE);
  // Rounded once, where it has no end.
  const total = by === 1n ? sum : divided(sum, by, PICO_DECIMALS);
  return {
    key: { provider: 'gcp', region, zone: '', instanceType: shape.name, capacityType },
    amount: decimalText(total),
    currency: currencies[0] ?? '',
    unit: 'hour',
    effectiveFrom: Math.max(...rates.map(({ effectiveFrom }) => effectiveFrom)),
  };
}

const NONE: Decimal = { digits: 0n, scale: 0 };
const whole = (count: number): Decimal => ({ digits: BigInt(count), scale: 0 });
