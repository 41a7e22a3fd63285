import type { Offering } from '../clouds/offering.ts';
import type { KnownRow } from './price-feed-store.port.ts';

/**
 * What a feed's listing adds: offerings that nobody knew, memory and interruption bands that were unknown or are new. A shape that is known
 * is not believed to have changed: a machine that suddenly seems larger would win by mistake.
 */
export function offeringsToSave(listed: readonly Offering[], known: readonly KnownRow[]): Offering[] {
  const byId = new Map(known.map(({ offering }) => [offering.id, offering]));
  const added = new Map<string, Offering>();
  for (const offering of listed) {
    const before = byId.get(offering.id);
    const after = before ? completed(before, offering) : plausible(offering);
    if (after && after !== before) added.set(offering.id, after);
  }
  return [...added.values()];
}

function completed(before: Offering, said: Offering): Offering {
  const memoryMib = before.memoryMib ?? said.memoryMib;
  const interruptionBand = said.interruptionBand ?? before.interruptionBand;
  const isSame = memoryMib === before.memoryMib && interruptionBand === before.interruptionBand;
  return isSame ? before : { ...before, memoryMib, interruptionBand };
}

const plausible = (offering: Offering): Offering | null =>
  Number.isSafeInteger(offering.cpuMilli) && offering.cpuMilli > 0 && (offering.memoryMib ?? 1) > 0 ? offering : null;
