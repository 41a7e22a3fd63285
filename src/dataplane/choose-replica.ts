import type { RouteRevision } from '../traffic/router-contract/route-table.ts';

/** What choosing needs to know of a replica. */
export interface Candidate {
  readonly inFlight: number;
  readonly ejected: boolean;
  /** Tried already for this request. */
  readonly tried: boolean;
}

export interface CandidateRevision<C extends Candidate> {
  readonly revision: Pick<RouteRevision, 'weight' | 'concurrency'>;
  readonly candidates: readonly C[];
}

export type Choice<C> =
  { readonly kind: 'chosen'; readonly candidate: C } | { readonly kind: 'busy' } | { readonly kind: 'none' };

/**
 * A revision by weight (`fraction` in [0, 1)), then its least loaded replica with a free slot. Ejected and tried replicas are passed
 * over, unless nothing else is left: a wrong suspicion must not close a deployment. `busy` = wait for a slot; `none` = no replica.
 */
export function chooseReplica<C extends Candidate>(revisions: readonly CandidateRevision<C>[], fraction: number): Choice<C> {
  const live = revisions.filter((entry) => entry.revision.weight > 0 && entry.candidates.length > 0);
  if (live.length === 0) return { kind: 'none' };
  const fresh = live.filter((entry) => entry.candidates.some(isFresh));
  const entry = byWeight(fresh.length > 0 ? fresh : live, fraction);
  const pool = fresh.length > 0 ? entry.candidates.filter(isFresh) : entry.candidates;
  const best = leastLoaded(pool, fraction);
  if (!best || best.inFlight >= entry.revision.concurrency) return { kind: 'busy' };
  return { kind: 'chosen', candidate: best };
}

const isFresh = (candidate: Candidate): boolean => !candidate.ejected && !candidate.tried;

function byWeight<E extends CandidateRevision<Candidate>>(entries: readonly E[], fraction: number): E {
  const total = entries.reduce((sum, entry) => sum + entry.revision.weight, 0);
  let left = fraction * total;
  for (const entry of entries) {
    left -= entry.revision.weight;
    if (left < 0) return entry;
  }
  return entries.at(-1) as E;
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
