import { offeringIdOf } from '../../src/clouds/offering-key.ts';
import type { CapacityType, Offering } from '../../src/clouds/offering.ts';
import type { Accelerator } from '../../src/kernel/resources.ts';
import type { PriceRow } from '../../src/pricing/price-book.ts';
import type { Candidate } from '../../src/scheduler/filter-offerings.ts';
import { seededRandom } from './actors.ts';

export const MARKET_NOW = 1_800_000_000_000;

/** An `m5.large` of `us-east-1` for 0.096 USD, or what is said instead. */
export function candidate(change: Partial<Offering> = {}, effective: bigint | null = 96_000_000_000n): Candidate {
  const key = {
    ...{ provider: 'aws', region: 'us-east-1', zone: '', instanceType: 'm5.large', capacityType: 'on_demand' as CapacityType },
    ...change,
  };
  const id = offeringIdOf(key);
  const size = { architecture: 'amd64', cpuMilli: 2000, memoryMib: 8192, accelerator: null, interruptionBand: null };
  return { offering: { ...size, ...key, id, ...change }, price: effective === null ? null : priceRow(id, effective) };
}

const priceRow = (offeringId: string, effective: bigint): PriceRow => ({
  ...{ id: offeringId, offeringId, list: effective, contracted: effective, effective, state: 'believed' },
  ...{ effectiveFrom: MARKET_NOW - 1, observedAt: MARKET_NOW - 1, source: 'test@2026-01-01' },
});

const DEVICES: readonly (Accelerator | null)[] = [
  ...Array.from({ length: 8 }, () => null),
  { model: 'T4', countMilli: 1000, memoryMib: 16_384 },
  { model: 'L4', countMilli: 1000, memoryMib: 24_576 },
  { model: 'L4', countMilli: 4000, memoryMib: 24_576 },
  { model: 'A10G', countMilli: 1000, memoryMib: 24_576 },
  { model: 'A100', countMilli: 8000, memoryMib: 40_960 },
  { model: 'Inferentia2', countMilli: 1000, memoryMib: 32_768 },
];

/** So many offerings over three clouds and thirty regions each, of every shape; the same for the same seed. */
export function makeMarket(count: number, seed: number): Candidate[] {
  const random = seededRandom(seed);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random.fraction() * values.length)]!;
  return Array.from({ length: count }, (_, n) => {
    const cpus = pick([1, 2, 4, 8, 16, 32, 64]);
    const capacityType = pick(['on_demand', 'spot'] as const);
    const price =
      (BigInt(cpus) * BigInt(20 + Math.floor(random.fraction() * 60)) * 1_000_000_000n) / (capacityType === 'spot' ? 3n : 1n);
    const offering = {
      ...{ provider: pick(['aws', 'azure', 'gcp']), region: `region-${Math.floor(random.fraction() * 30)}`, zone: '' },
      ...{ instanceType: `type-${n}`, capacityType, architecture: pick(['amd64', 'amd64', 'arm64']), cpuMilli: cpus * 1000 },
      ...{ memoryMib: random.fraction() < 0.01 ? null : cpus * 1024 * pick([2, 4, 8]), accelerator: pick(DEVICES) },
      interruptionBand: capacityType === 'spot' ? pick([null, '<5%', '10-15%', '>20%']) : null,
    };
    return candidate(offering, random.fraction() < 0.01 ? null : price);
  });
}
