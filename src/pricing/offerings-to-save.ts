import type { Offering } from '../clouds/offering.ts';
import { regionOf } from '../clouds/offering-key.ts';
import type { KnownRow } from './price-feed-store.port.ts';
import { isName, isSoundKey } from './sound-reading.ts';

/** Thousandths of a CPU, and MiB, of the largest machine that can be. Higher does not fit into the table; lower: the largest are not offered. */
const MAX_CPU_MILLI = 10_000_000;
const MAX_MEMORY_MIB = 2 ** 30;

/**
 * What a feed's listing of these regions adds: offerings that nobody knew, memory and interruption bands that were unknown or are new. A shape that is known
 * is not believed to have changed, nor to be another one in the next region: a machine that suddenly seems larger would win by mistake.
 */
export function offeringsToSave(listed: readonly Offering[], known: readonly KnownRow[], regions: readonly string[]): Offering[] {
  const byId = new Map(known.map(({ offering }) => [offering.id, offering]));
  // In a steady state nobody asks for it.
  let kinds: ReadonlyMap<string, Offering> | null = null;
  const spoken = new Set(regions);
  const added = new Map<string, Offering>();
  for (const offering of listed) {
    if (!spoken.has(regionOf(offering)) || added.has(offering.id)) continue;
    const before = byId.get(offering.id);
    if (!before) kinds ??= new Map(known.map((row) => [kindOf(row.offering), row.offering]));
    const after = before ? completed(before, offering) : plausible(offering, kinds?.get(kindOf(offering)));
    if (after && after !== before) added.set(offering.id, after);
  }
  return [...added.values()];
}

function completed(before: Offering, said: Offering): Offering {
  const memoryMib = before.memoryMib ?? said.memoryMib;
  const interruptionBand = said.interruptionBand ?? before.interruptionBand;
  const isSame = memoryMib === before.memoryMib && interruptionBand === before.interruptionBand;
  return isSame || !isSound(said) ? before : { ...before, memoryMib, interruptionBand };
}

const kindOf = ({ provider, instanceType }: Offering): string => `${provider}/${instanceType}`;

function plausible(offering: Offering, sameKind: Offering | undefined): Offering | null {
  if (!isSound(offering)) return null;
  if (!sameKind) return offering;
  const { architecture, accelerator, cpuMilli } = sameKind;
  return { ...offering, architecture, accelerator, cpuMilli, memoryMib: sameKind.memoryMib ?? offering.memoryMib };
}

const isSound = (offering: Offering): boolean => {
  const { cpuMilli, memoryMib, architecture, accelerator, interruptionBand } = offering;
  const isSized = isWithin(cpuMilli, MAX_CPU_MILLI) && isWithin(memoryMib ?? 1, MAX_MEMORY_MIB);
  return isSized && isSoundKey(offering) && [architecture, accelerator?.model ?? '', interruptionBand ?? ''].every(isName);
};

const isWithin = (size: number, most: number): boolean => Number.isSafeInteger(size) && size > 0 && size <= most;
