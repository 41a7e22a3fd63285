import { HOUR_MS, type Instant } from '../kernel/instant.ts';
import type { CloudFence, CloudNode, CloudPool, CloudPoolState, CloudRefusal, CloudResult } from './cloud-provider.port.ts';
import type { OfferingKey } from './offering-key.ts';
import { planScale, type ScaleInput, type ScalePlan } from './plan-scale.ts';

/** Gone machines show for this long. Lower than an hour breaks the port. */
const REMEMBERED_MS = HOUR_MS;

/** What is paid for. */
export type RentedKind = Omit<OfferingKey, 'provider'>;

/** A machine in the books of a provider that keeps them itself. */
export interface Rental {
  readonly instanceId: string;
  readonly nodeName: string | null;
  readonly kind: RentedKind;
  readonly startedAt: Instant;
  /** When it runs, or will; null = that is not known yet. */
  readonly runningAt: Instant | null;
  /** When it was given back or taken away; null = it is there. */
  readonly stoppedAt: Instant | null;
  /** When it is gone after that, or will be; null = that is not known yet. */
  readonly goneAt: Instant | null;
  readonly notice: { readonly noticedAt: Instant; readonly goneAt: Instant } | null;
}

export interface RentedPool {
  readonly pool: CloudPool;
  readonly desired: number;
  readonly machines: readonly Rental[];
}

/** Everything that such a provider remembers. */
export interface RentalBook {
  /** The highest that was seen, by cluster: each has a leader of its own, whose epochs say nothing about another's. */
  readonly epochs: Readonly<Record<string, number>>;
  /** Machines that were ever rented: numbers them. */
  readonly made: number;
  readonly pools: Readonly<Record<string, RentedPool>>;
  /** Machines of pools that are no more, and those that are long gone. */
  readonly past: readonly Rental[];
}

export const EMPTY_BOOK: RentalBook = { epochs: {}, made: 0, pools: {}, past: [] };

export type Refused = Extract<CloudResult, { outcome: 'refused' }>;

export const ACCEPTED: CloudResult = { outcome: 'accepted' };

export const refused = (reason: CloudRefusal, message: string, retryAfterMs: number | null = null): Refused => ({
  outcome: 'refused',
  ...{ reason, message, retryAfterMs },
});

/** The book under this leader of the pool's cluster; null = a later one was seen. */
export function ledBy(book: RentalBook, key: string, { epoch }: CloudFence): RentalBook | null {
  const cluster = key.slice(0, key.lastIndexOf('/'));
  const seen = book.epochs[cluster] ?? 0;
  if (epoch < seen) return null;
  return epoch === seen ? book : { ...book, epochs: { ...book.epochs, [cluster]: epoch } };
}

export const isThere = ({ stoppedAt }: Rental): boolean => stoppedAt === null;

/** Every machine of every pool that is. */
export const machinesOf = ({ pools }: RentalBook): Rental[] => Object.values(pools).flatMap(({ machines }) => machines);

/** The book with this pool as described: machines that run stay. */
export function withPool(book: RentalBook, pool: CloudPool): RentalBook {
  const known = book.pools[pool.key] ?? { desired: 0, machines: [] };
  return { ...book, pools: { ...book.pools, [pool.key]: { ...known, pool } } };
}

/** The book without the pool; its machines end as `stop` says. */
export function withoutPool(book: RentalBook, key: string, stop: (machine: Rental) => Rental): RentalBook {
  const { [key]: known, ...pools } = book.pools;
  if (!known) return book;
  return { ...book, pools, past: [...book.past, ...known.machines.map((one) => (isThere(one) ? stop(one) : one))] };
}

/** What a wish means for a pool. */
export const planRentals = ({ machines }: RentedPool, wish: ScaleInput['wish']): ScalePlan =>
  planScale({
    machines: machines.filter(isThere).map((one) => ({ ...one, phase: 'running', since: one.startedAt, isBroken: false })),
    ...{ coming: 0, wish },
  });

/** The book after a plan was carried out; `desired` is the wish. */
export function withScaled(
  book: RentalBook,
  key: string,
  change: { readonly desired: number; readonly machines: readonly Rental[]; readonly rented: readonly Rental[] },
): RentalBook {
  const known = book.pools[key];
  if (!known) return book;
  const { desired, machines, rented } = change;
  const made = book.made + rented.length;
  return { ...book, made, pools: { ...book.pools, [key]: { ...known, desired, machines: [...machines, ...rented] } } };
}

/** True while whoever looks at its pool is told of it. */
const isShown = ({ goneAt }: Rental, now: Instant): boolean => goneAt === null || now - goneAt <= REMEMBERED_MS;

/** The pool as its port shows it; what is gone for long only if it is kept. */
export function stateOf({ desired, machines }: RentedPool, now: Instant, isKept = nothing): CloudPoolState {
  const shown = machines.filter((machine) => isShown(machine, now) || isKept(machine)).map((machine) => nodeOf(machine, now));
  return { desired, nodes: shown.sort((a, b) => (a.instanceId < b.instanceId ? -1 : 1)) };
}

export function nodeOf({ instanceId, nodeName, startedAt, runningAt, stoppedAt, goneAt }: Rental, now: Instant): CloudNode {
  const base = { instanceId, nodeName };
  if (stoppedAt !== null) {
    if (goneAt !== null && now >= goneAt) return { ...base, phase: 'gone', since: goneAt };
    return { ...base, phase: 'stopping', since: stoppedAt };
  }
  if (runningAt !== null && now >= runningAt) return { ...base, phase: 'running', since: runningAt };
  return { ...base, phase: 'starting', since: startedAt };
}

const nothing = (_machine: Rental): boolean => false;

/** The book without what nobody asks for any more: machines that stopped before `before`. */
export function tidied(
  book: RentalBook,
  { now, before, isKept = nothing }: { readonly now: Instant; readonly before: Instant; readonly isKept?: typeof nothing },
): RentalBook {
  const shows = (machine: Rental): boolean => isShown(machine, now) || isKept(machine);
  const left = machinesOf(book).filter((one) => !shows(one));
  // One that is not gone yet still has to be put to rest, however long ago it was given back.
  const stays = ({ stoppedAt, goneAt }: Rental): boolean => stoppedAt === null || goneAt === null || stoppedAt >= before;
  const past = [...book.past, ...left].filter(stays);
  if (left.length === 0 && past.length === book.past.length) return book;
  const pools = Object.entries(book.pools).map(([key, one]) => [key, { ...one, machines: one.machines.filter(shows) }] as const);
  return { ...book, pools: Object.fromEntries(pools), past };
}
