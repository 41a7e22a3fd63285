import type { RouteRevision } from '../traffic/router-contract/route-table.ts';

/** A group's place among those of its deployment. */
export interface Rank {
  readonly weight: number;
  readonly order: number;
}

/** What choosing needs to know of a replica. */
export interface Candidate {
  readonly inFlight: number;
  readonly ejected: boolean;
  /** Tried already for this request. */
  readonly tried: boolean;
  /** Of its group, the same object for all of one group; null where replicas are alike. */
  readonly rank: Rank | null;
}

export interface CandidateRevision<C extends Candidate> {
  readonly revision: Pick<RouteRevision, 'weight' | 'concurrency'>;
  readonly candidates: readonly C[];
}

export type Choice<C> =
  { readonly kind: 'chosen'; readonly candidate: C } | { readonly kind: 'busy' } | { readonly kind: 'none' };

/**
 * A revision by weight (`fraction` in [0, 1)), in it a group of the lowest order that can serve, by weight, then its least loaded replica
 * with a free slot. Ejected and tried replicas are passed over, unless nothing else is left: a wrong suspicion must not close a
 * deployment. `busy` = wait for a slot; `none` = no replica.
 */
export function chooseReplica<C extends Candidate>(revisions: readonly CandidateRevision<C>[], fraction: number): Choice<C> {
  const live = revisions.filter((entry) => entry.revision.weight > 0 && entry.candidates.length > 0);
  if (live.length === 0) return { kind: 'none' };
  const fresh = live.filter((entry) => entry.candidates.some(isFresh));
  const { entry, rest } = byWeight(fresh.length > 0 ? fresh : live, (one) => one.revision.weight, fraction);
  const usable = fresh.length > 0 ? entry.candidates.filter(isFresh) : entry.candidates;
  const best = leastLoaded(ofGroup(usable, entry.revision.concurrency, rest), fraction);
  if (!best || best.inFlight >= entry.revision.concurrency) return { kind: 'busy' };
  return { kind: 'chosen', candidate: best };
}

const isFresh = (candidate: Candidate): boolean => !candidate.ejected && !candidate.tried;

/** Those of the group whose turn it is. One without a free slot is passed over as long as another of its order has one. */
function ofGroup<C extends Candidate>(usable: readonly C[], concurrency: number, fraction: number): readonly C[] {
  if (usable.every(({ rank }) => rank === null)) return usable;
  const nearest = Math.min(...usable.map(orderOf));
  const near = usable.filter((candidate) => orderOf(candidate) === nearest);
  const free = near.filter(({ inFlight }) => inFlight < concurrency);
  const ranks = [...new Set((free.length > 0 ? free : near).map(({ rank }) => rank))];
  const { entry } = byWeight(ranks, (rank) => (nearest === Infinity ? 1 : (rank?.weight ?? 1)), fraction);
  return near.filter(({ rank }) => rank === entry);
}

/** Who has no share comes after all others, and so does who belongs to no group of those that are listed. */
const orderOf = ({ rank }: Candidate): number => (rank === null || rank.weight === 0 ? Infinity : rank.order);

/** The entry in whose share the fraction falls, and where in it, in [0, 1). */
function byWeight<E>(entries: readonly E[], weightOf: (entry: E) => number, fraction: number): { entry: E; rest: number } {
  const total = entries.reduce((sum, entry) => sum + weightOf(entry), 0);
  let left = fraction * total;
  for (const entry of entries) {
    const weight = weightOf(entry);
    if (left < weight) return { entry, rest: left / weight };
    left -= weight;
  }
  return { entry: entries.at(-1) as E, rest: 0 };
}

/** Starts at a place that differs per request, so that ties spread. */
function leastLoaded<C extends Candidate>(pool: readonly C[], fraction: number): C | undefined {
  const start = Math.floor(fraction * 7919) % Math.max(1, pool.length);
  let best: C | undefined;
  for (let i = 0; i < pool.length; i += 1) {
    const candidate = pool[(start + i) % pool.length];
    if (candidate && (!best || candidate.inFlight < best.inFlight)) best = candidate;
  }
  return best;
}
