import type { Instant } from '../../kernel/instant.ts';
import { decimalText, halved, parseDecimal, plus, times, type Decimal } from '../decimal.ts';
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
  readonly currency: string;
  /** Of one unit. */
  readonly units: string;
  readonly nanos: number;
  readonly effectiveFrom: Instant;
}

type Component = 'core' | 'ram' | 'gpu';

/** What a component is counted in. */
const UNITS: Readonly<Record<Component, string>> = { core: 'h', ram: 'GiBy.h', gpu: 'h' };

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

/** A machine is the sum of its cores, memory and accelerators. Null = not sold so; text = why it cannot be said. */
export function priceOf(
  index: SkuIndex,
  region: string,
  shape: MachineShape,
  capacityType: CapacityType,
): ObservedPrice | string | null {
  const family = shape.name.split('-')[0] ?? '';
  const gpu = shape.accelerator && (GPUS[shape.accelerator.type] ?? shape.accelerator.type);
  const parts: readonly (readonly [Component, string, Decimal])[] = [
    ['core', family, whole(shape.guestCpus)],
    ['ram', family, halved(whole(shape.memoryMb), 10)],
    ...(shape.accelerator && gpu ? [['gpu', gpu, whole(shape.accelerator.count)] as const] : []),
  ];
  const found = parts.map(([component, name]) => index.get(`${region}/${capacityType}/${component} ${name}`) ?? []);
  if (found.every((skus) => skus.length === 0)) return null;
  if (shape.isSharedCpu) return 'it shares a core: how much of it is paid for is not said';
  if (shape.bundledDisks > 0) return 'its local disks are paid for apart, by the month';
  const rates = parts.map(([component], at) => rateOf(component, found[at] ?? []));
  const wrong = rates.find((rate) => typeof rate === 'string');
  if (typeof wrong === 'string') return wrong;
  return sumOf({ rates: rates as Rate[], amounts: parts.map(([, , amount]) => amount), region, shape, capacityType });
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
  readonly amount: Decimal;
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
  return amount ? { amount: plus(amount, { digits: BigInt(nanos), scale: 9 }), currency, effectiveFrom } : `units are ${units}`;
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
  const total = rates.reduce((sum, { amount }, at) => plus(sum, times(amount, amounts[at] ?? NONE)), NONE);
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
