import { HOUR_MS } from '../kernel/instant.ts';
import { expectedLosses, lossFactorOf } from './spot-hazard.ts';
import { pairKey, type SpotPoolRecord, type SpotRecord } from './spot-record.ts';

/** A pool of spot capacity: one instance type in one zone. */
export interface SpotPool {
  /** Its own, among all. */
  readonly name: string;
  /** As offerings name it: `aws/us-east-1`. */
  readonly region: string;
  /** Its own among all regions; null = nobody knows it. */
  readonly zone: string | null;
  /** Of an instance, in spot prices: 1 = the one that missing time and on-demand are compared with. */
  readonly price: number;
  /** Of Spot Advisor: what is believed of it before it is known. Null = nothing. */
  readonly interruptionBand: string | null;
}

interface LostShare {
  readonly share: number;
  readonly chance: number;
}

export interface PoolRisk {
  /** Losses per ms, in the coming hour, while something is held there. */
  readonly rate: number;
  /** Chance that what is launched is lost before so long a time has passed. */
  readonly lossWithin: (ms: number) => number;
  /** Shares of what is held that a loss takes, and how likely each is. */
  readonly shares: readonly LostShare[];
  readonly meanShare: number;
}

/** Plans look ahead so far. Higher: what was calm for hours counts for more, and what was just lost is forgiven sooner; lower: plans change often. */
export const HORIZON_MS = HOUR_MS;

/** What is believed of a pool weighs as much as so many losses. Higher: it is learned late; lower: one loss condemns a pool. */
const PRIOR_LOSSES = 2;

/** Believed before losses were seen: a quarter, half, three quarters and all of what is held are as likely. */
const PRIOR_SHARES = [0.25, 0.5, 0.75, 1];

/** Share of two pools' losses that hit both, believed before it is seen; it weighs as much as so many losses. */
const JOINT = { zone: 0.5, region: 0.05, far: 0.01 };
const JOINT_LOSSES = 10;

const UNUSED: Pick<SpotPoolRecord, 'losses' | 'expected' | 'lostShares' | 'calmSince'> = {
  ...{ losses: 0, expected: 0, lostShares: [], calmSince: null },
};

/** The typical hazard at the pool's age, times how much worse than typical it was: the mean of a Gamma posterior (conjugate to Poisson losses). */
export function poolRisk(record: SpotRecord, { name, interruptionBand }: SpotPool): PoolRisk {
  const { losses, expected, lostShares, calmSince } = record.pools.get(name) ?? UNUSED;
  const age = calmSince === null ? 0 : record.at - calmSince;
  const factor = (losses + PRIOR_LOSSES * lossFactorOf(interruptionBand)) / (expected + PRIOR_LOSSES);
  const shares = likelyShares(lostShares);
  return {
    rate: (factor * expectedLosses(age, age + HORIZON_MS)) / HORIZON_MS,
    lossWithin: (ms) => 1 - Math.exp(-factor * expectedLosses(age, age + ms)),
    shares,
    meanShare: shares.reduce((sum, { share, chance }) => sum + share * chance, 0),
  };
}

function likelyShares(lostShares: readonly number[]): LostShare[] {
  const counts = new Map<number, number>(PRIOR_SHARES.map((share) => [share, 1]));
  for (const share of lostShares) counts.set(share, (counts.get(share) ?? 0) + 1);
  const all = PRIOR_SHARES.length + lostShares.length;
  return [...counts].map(([share, count]) => ({ share, chance: count / all }));
}

/** Share of the losses of either that are losses of both. */
export function jointShare(record: SpotRecord, one: SpotPool, other: SpotPool): number {
  const seen = record.pairs.get(pairKey(one.name, other.name));
  return ((seen?.joint ?? 0) + JOINT_LOSSES * believedJoint(one, other)) / ((seen?.losses ?? 0) + JOINT_LOSSES);
}

function believedJoint(one: SpotPool, other: SpotPool): number {
  if (one.region !== other.region) return JOINT.far;
  return one.zone !== null && one.zone === other.zone ? JOINT.zone : JOINT.region;
}
