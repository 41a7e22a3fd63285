import { MINUTE_MS, type Instant } from '../../kernel/instant.ts';
import type { CloudPool } from '../cloud-provider.port.ts';
import { refused, type Refused, type Rental, type RentalBook, type RentedKind, type RentedPool } from '../rentals.ts';
import { firstShortage, offeringOf, rateAt, shortageAt, type PricedMarket } from './simulated-market.ts';

/** When a stock-out or a quota is worth another try. Higher: capacity that came back is noticed late; lower: a market is asked in vain. */
export const RETRY_MS = MINUTE_MS;

/** What the next machine of a pool would be: in the zone of the pool, else in the cheapest one that is not short of it. */
export function kindToRent(market: PricedMarket | undefined, pool: CloudPool, now: Instant): RentedKind | Refused {
  const asked = askedOf(pool);
  if (!market) return asked;
  const { zone, instanceType, capacityType } = asked;
  const where = zone || asked.region || 'no region';
  const offering = offeringOf(market, asked);
  if (!offering) return refused('INVALID', `it sells no ${capacityType} ${instanceType} in ${where}`);
  const kinds = (zone === '' ? offering.zones : [zone]).map((one) => ({ ...asked, zone: one }));
  const [first, ...others] = kinds.filter((kind) => !shortageAt(market, kind, now));
  if (!first) return refused('STOCK_OUT', `${where} is short of ${capacityType} ${instanceType}`, RETRY_MS);
  return others.reduce((best, kind) => (costs(market, kind, now) < costs(market, best, now) ? kind : best), first);
}

const askedOf = ({ region, zone, instanceType, capacityType }: CloudPool): RentedKind => ({
  ...{ region: region ?? '', zone: zone ?? '', instanceType: instanceType ?? '' },
  capacityType,
});

const costs = (market: PricedMarket, kind: RentedKind, now: Instant): bigint => rateAt(market, kind, now) ?? 0n;

/** By instance id. */
export type Notices = Map<string, NonNullable<Rental['notice']>>;

interface Sight {
  readonly market: PricedMarket | undefined;
  readonly notices: Notices;
  readonly now: Instant;
}

/**
 * The book with the notices that were given by now, and without the machines that were taken away after theirs: those are no longer wished
 * for, and whoever wants another one asks for it.
 */
export function withInterruptions(book: RentalBook, sight: Sight): RentalBook {
  const pools = Object.entries(book.pools).map(([key, pool]) => [key, interrupted(pool, sight)] as const);
  return pools.every(([key, pool]) => pool === book.pools[key]) ? book : { ...book, pools: Object.fromEntries(pools) };
}

function interrupted(pool: RentedPool, sight: Sight): RentedPool {
  const machines = pool.machines.map((one) => taken(noticed(one, sight), sight.now));
  if (machines.every((one, i) => one === pool.machines[i])) return pool;
  const lost = machines.filter((one, i) => one.stoppedAt !== null && pool.machines[i]?.stoppedAt === null).length;
  return { ...pool, machines, desired: pool.desired - lost };
}

function noticed(machine: Rental, { market, notices, now }: Sight): Rental {
  if (machine.notice !== null || machine.stoppedAt !== null) return machine;
  const asked = notices.get(machine.instanceId);
  if (asked && asked.noticedAt <= now) return { ...machine, notice: asked };
  if (!market || machine.kind.capacityType !== 'spot') return machine;
  const shortage = firstShortage(market, machine.kind, machine.startedAt, now);
  return shortage ? { ...machine, notice: { noticedAt: shortage.from, goneAt: shortage.from + market.noticeMs } } : machine;
}

function taken(machine: Rental, now: Instant): Rental {
  const { notice, stoppedAt } = machine;
  if (stoppedAt !== null || !notice || notice.goneAt > now) return machine;
  return { ...machine, stoppedAt: notice.goneAt, goneAt: notice.goneAt };
}
