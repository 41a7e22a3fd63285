import type { Id } from '../kernel/id.ts';
import type { ZoneWish } from '../scheduler/plan-spot.ts';

/** How many zones must share the replicas, those counted that others of the wish are in, and the zones of pools as far as they are known. */
export interface LiveZones extends ZoneWish {
  readonly of: ReadonlyMap<Id, string>;
}

/** One replica, there or on its way. */
export interface Placed {
  readonly id: string;
  readonly poolId: Id;
  readonly isOnDemand: boolean;
  readonly isReady: boolean;
}

export const zonesIn = (zones: LiveZones, poolIds: Iterable<Id>): ReadonlySet<string> =>
  new Set([...zones.elsewhere, ...[...poolIds].flatMap((id) => zones.of.get(id) ?? [])]);

/** The first of the pools, or where too few zones are in use the first in another one. */
export function poolInNewZone<T extends { readonly poolId: Id }>(
  pools: readonly T[],
  used: Iterable<Id>,
  zones: LiveZones | undefined,
): T | undefined {
  const [first] = pools;
  if (zones === undefined || zones.atLeast <= 1) return first;
  const known = zonesIn(zones, used);
  if (known.size >= zones.atLeast) return first;
  return pools.find(({ poolId }) => zones.of.has(poolId) && !known.has(zones.of.get(poolId) ?? '')) ?? first;
}

/** What is on demand is let go where it is not the last of a zone that is needed, as long as another one is as good. */
export function stopsOutsideLastZones(
  placed: readonly Placed[],
  stops: ReadonlySet<string>,
  zones: LiveZones | undefined,
): ReadonlySet<string> {
  if (zones === undefined || zones.atLeast <= 1) return stops;
  const going = new Set(stops);
  const left = (): Placed[] => placed.filter(({ id }) => !going.has(id));
  const countOf = (some: readonly Placed[]): number =>
    zonesIn(
      zones,
      some.map(({ poolId }) => poolId),
    ).size;
  for (const stop of placed.filter(({ id, isOnDemand, isReady }) => stops.has(id) && isOnDemand && isReady)) {
    const now = countOf(left());
    if (now >= zones.atLeast) break;
    const other = left().find(({ id, isOnDemand, isReady }) => {
      if (!isOnDemand || !isReady) return false;
      return countOf([...left().filter((one) => one.id !== id), stop]) > now;
    });
    if (!other) continue;
    going.delete(stop.id);
    going.add(other.id);
  }
  return going;
}
