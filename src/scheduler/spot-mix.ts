import { HORIZON_MS, type PoolRisk } from './spot-risk.ts';

/** A pool as a mix is made of it. */
export interface MixPool {
  /** Instances there now. */
  readonly held: number;
  /** No more can be had. */
  readonly limit: number;
  readonly price: number;
  /** Null = nobody knows it. */
  readonly zone: string | null;
  readonly risk: PoolRisk;
  /** Losses per ms that hit this pool and another, by the other's place in the list. */
  readonly jointRate: (other: number) => number;
}

/** So many zones shall share what is held; others of the same wish are elsewhere already. */
export interface ZoneWish {
  readonly atLeast: number;
  readonly elsewhere: ReadonlySet<string>;
}

/** What a mix is for; prices in spot prices. */
export interface MixTerms {
  readonly replicas: number;
  readonly onDemandRatio: number;
  readonly launchMs: number;
  /** Of a missing replica. Infinity: nothing is left to chance, that is, to spot. */
  readonly missingPrice: number;
  /** So many instances more than wished, on spot wherever there is some; null = as many as pay. */
  readonly spares: number | null;
  /** So many replicas may depend on spot; null = all. */
  readonly atRisk: number | null;
  /** Absent = the mix alone decides. */
  readonly zones?: ZoneWish | undefined;
}

/** How many of each kind are wanted. */
export interface Mix {
  /** By pool, in the order of the list. */
  readonly counts: readonly number[];
  readonly onDemand: number;
  /** Everything, with spares. */
  readonly total: number;
}

interface Cover {
  readonly spares: number;
  readonly replicas: number;
}

interface Step {
  readonly mix: Mix;
  readonly cost: number;
}

interface Choice {
  readonly place: number;
  readonly price: number;
  readonly missing: number;
}

/**
 * The mix that costs least: price + `missingPrice` × launchMs × the harm of losses to be expected. With s spares and c(p) instances in pool p that is
 *
 *     Σp rate(p) · E h(lost(p) − s)  +  Σp<q joint(p, q) · [ h(l(p) + l(q) − s) − h(l(p) − s) − h(l(q) − s) ]
 *
 * lost(p) = c(p) × share over the shares seen, l(p) its mean, h(m) = m replicas missing, a little more than m where many are at once (`harmOf`): a loss
 * lasts until its successor is ready, spares make up for the first s, and what two pools lose within one launch adds up. On-demand is not lost. For every
 * s spot is added where it costs least, and the cheapest step is kept.
 */
export function cheapestMix(pools: readonly MixPool[], terms: MixTerms): Mix {
  const { replicas, onDemandRatio, spares } = terms;
  let best: Step = { mix: { counts: pools.map(() => 0), onDemand: replicas, total: replicas }, cost: replicas * onDemandRatio };
  if (terms.missingPrice === Infinity) return best.mix;
  if (spares !== null) return stepsWith(spares, pools, terms).at(-1)?.mix ?? best.mix;
  for (let count = 0; count <= replicas && leastPrice(pools, terms, count) < best.cost; count += 1)
    for (const step of stepsWith(count, pools, terms)) if (step.cost < best.cost - TIE) best = step;
  return best.mix;
}

/** No mix with so many spares is cheaper, whatever is missing. */
function leastPrice(pools: readonly MixPool[], { replicas, onDemandRatio }: MixTerms, spares: number): number {
  const cheapest = pools.reduce((least, { price }) => Math.min(least, price), onDemandRatio);
  const spot = pools.reduce((left, { limit }) => Math.min(left + limit, replicas + spares), 0);
  return spot * cheapest + Math.min(replicas, replicas + spares - spot) * onDemandRatio;
}

/** Costs closer than this are the same. */
const TIE = 1e-9;

/** More and more spot instead of on-demand. */
function stepsWith(spares: number, pools: readonly MixPool[], terms: MixTerms): Step[] {
  const { replicas, onDemandRatio } = terms;
  const total = replicas + spares;
  const counts = pools.map(() => 0);
  const steps: Step[] = [];
  let cost = 0;
  const most = terms.atRisk === null ? total : Math.min(total, terms.atRisk + spares);
  for (let spot = 1; spot <= most; spot += 1) {
    const choice = cheapestPool(pools, counts, spares, terms);
    if (choice === null) break;
    counts[choice.place] = (counts[choice.place] ?? 0) + 1;
    cost += choice.price + terms.missingPrice * choice.missing;
    // More on-demand than replicas makes up for nothing.
    const onDemand = Math.min(replicas, total - spot);
    steps.push({ mix: { counts: [...counts], onDemand, total: spot + onDemand }, cost: cost + onDemandRatio * onDemand });
  }
  return steps;
}

const hasMore = ({ limit }: MixPool, count: number): boolean => count < limit;

/** Where one more may be: as long as too few zones are in use, and another one has something, there. */
function openPools(pools: readonly MixPool[], counts: readonly number[], zones: ZoneWish | undefined): typeof hasMore {
  if (zones === undefined || zones.atLeast <= 1) return hasMore;
  const used = new Set(zones.elsewhere);
  for (const [place, { zone }] of pools.entries()) if (zone !== null && (counts[place] ?? 0) > 0) used.add(zone);
  const isNew = ({ zone, limit }: MixPool): boolean => zone !== null && !used.has(zone) && limit > 0;
  return used.size < zones.atLeast && pools.some(isNew) ? isNew : hasMore;
}

/** Where one more costs least; among equals where there is least of it, then where least is lost. Null = nowhere is more. */
function cheapestPool(pools: readonly MixPool[], counts: readonly number[], spares: number, terms: MixTerms): Choice | null {
  const cover = { spares, replicas: terms.replicas };
  const isOpen = openPools(pools, counts, terms.zones);
  let best: (Choice & { readonly cost: number }) | null = null;
  for (const [place, pool] of pools.entries()) {
    const { held, price } = pool;
    const count = counts[place] ?? 0;
    if (!isOpen(pool, count)) continue;
    const missing = terms.launchMs * addedRisk(pools, counts, place, cover);
    // A launch is paid for before it serves; what is there already has been.
    const fullPrice = price * (count < held ? 1 : 1 + terms.launchMs / HORIZON_MS);
    const cost = fullPrice + terms.missingPrice * missing;
    if (best === null || cost < best.cost - TIE || (cost < best.cost + TIE && isLess(pools, counts, place, best.place)))
      best = { place, price: fullPrice, missing, cost };
  }
  return best;
}

function isLess(pools: readonly MixPool[], counts: readonly number[], one: number, other: number): boolean {
  const fewer = (counts[one] ?? 0) - (counts[other] ?? 0);
  return fewer < 0 || (fewer === 0 && (pools[one]?.risk.rate ?? 0) < (pools[other]?.risk.rate ?? 0));
}

/** Harm of losses, per ms and launch, that one more instance there adds. */
function addedRisk(pools: readonly MixPool[], counts: readonly number[], place: number, cover: Cover): number {
  const pool = pools[place];
  if (pool === undefined) return 0;
  const count = counts[place] ?? 0;
  return addedAlone(pool, count, cover) + (cover.spares > 0 ? addedTogether(pools, counts, place, cover) : 0);
}

function addedAlone({ risk: { rate, shares } }: MixPool, count: number, { spares, replicas }: Cover): number {
  if (count + 1 <= spares) return 0;
  let added = 0;
  for (const { share, chance } of shares)
    added += chance * (harmOf((count + 1) * share - spares, replicas) - harmOf(count * share - spares, replicas));
  return rate * added;
}

/** What this pool and another take at once, beyond what each takes alone. */
function addedTogether(pools: readonly MixPool[], counts: readonly number[], place: number, { spares, replicas }: Cover): number {
  const { risk, jointRate } = pools[place] ?? { risk: { meanShare: 0 }, jointRate: () => 0 };
  const own = (counts[place] ?? 0) * risk.meanShare - spares;
  const more = own + risk.meanShare;
  let added = 0;
  for (let other = 0; other < pools.length; other += 1) {
    const lost = (counts[other] ?? 0) * (pools[other]?.risk.meanShare ?? 0);
    if (other === place || lost === 0 || more + lost <= 0) continue;
    const before = harmOf(own + lost, replicas) - harmOf(own, replicas);
    added += jointRate(other) * (harmOf(more + lost, replicas) - harmOf(more, replicas) - before);
  }
  return added;
}

/** Missing replicas; the more at once, the more each counts, up to double for all. */
function harmOf(missing: number, replicas: number): number {
  if (missing <= 1) return Math.max(0, missing);
  return missing * (1 + (missing - 1) / replicas);
}
