import type { Offering } from '../clouds/offering.ts';
import type { Id } from '../kernel/id.ts';
import { formatUsd, type PicoUsd, type PicoUsdPerHour } from '../kernel/money.ts';
import type { CostParts } from '../scheduler/cost-model.ts';
import type { RejectionCode } from '../scheduler/filter-offerings.ts';

/** Hours in a month for estimates: those of a year of 365 days / 12, as cloud providers count. */
export const HOURS_PER_MONTH = 730n;

export type PlanActionKind =
  | 'CREATE_DEPLOYMENT'
  | 'UPDATE_DEPLOYMENT'
  | 'PLACE'
  | 'MAKE_POOL'
  | 'CREATE_REVISION'
  | 'START_ROLLOUT'
  | 'SCALE'
  | 'SET_TRAFFIC'
  | 'DELETE_DEPLOYMENT'
  | 'NOTHING';

export interface PlanAction {
  readonly kind: PlanActionKind;
  readonly message: string;
}

export interface PlanCandidate {
  readonly offering: Offering;
  /** Per replica; null where nobody knows a price. */
  readonly hourly: PicoUsdPerHour | null;
  /** Where its price comes from, with the date of that source; absent where nobody knows one, and in plans of before. */
  readonly priceSource?: string;
  /** That carry the throughput there; absent where replicas were asked for, and for rejected ones. */
  readonly replicas?: number;
  /** What all replicas there cost per hour, all parts together; lower is better; null for rejected ones. */
  readonly score: bigint | null;
  /** What the score is made of; null for rejected ones. */
  readonly cost?: CostParts | null;
  readonly chosen: boolean;
  readonly rejectedBecause: { readonly code: RejectionCode | LosingCode; readonly message: string } | null;
}

/** Why one that fits is not taken. */
export type LosingCode = 'DEARER' | 'SAME_COST' | 'NOT_WORTH_MOVING';

/** A pool that replicas go to. */
export interface PlanPlace {
  readonly cluster: string;
  readonly pool: string;
  /** Its key in one line. */
  readonly offering: string;
  /** Empty = any. */
  readonly zone: string;
  readonly replicas: number;
  /** To be rented for these replicas; null = its machines are not rented for it. */
  readonly machines: number | null;
  /** All replicas there, per hour. */
  readonly hourly: PicoUsdPerHour;
}

export interface Plan {
  readonly path: string;
  /** Over what is asked for, actions, generations and offerings, never over prices. */
  readonly hash: string;
  readonly actions: readonly PlanAction[];
  /** Generation of the deployment that the plan was made against; 0 = it does not exist. */
  readonly generation: number;
  readonly candidates: readonly PlanCandidate[];
  readonly rejectedCounts: Readonly<Partial<Record<RejectionCode, number>>>;
  readonly offeringId: Id | null;
  /** Price of one replica on the chosen offering, which is that of the first pool. */
  readonly hourlyPerReplica: PicoUsdPerHour;
  /** How much dearer per hour it will be once done. */
  readonly costDelta: PicoUsd;
  readonly monthlyAfter: PicoUsd;
  /** Replicas and price per hour while both sides of the rollout run. */
  readonly peakReplicas: number;
  readonly peakHourly: PicoUsdPerHour;
  readonly risks: readonly string[];
  readonly places: readonly PlanPlace[];
  /** Why what was chosen was chosen, in one sentence. */
  readonly why: string;
  /** What would lead to another choice. */
  readonly wouldChange: readonly string[];
}

/** A shown plan may run if it still is what was shown and is not dearer. */
export const mayRun = (shown: Plan, now: Plan): boolean =>
  shown.hash === now.hash && now.hourlyPerReplica <= shown.hourlyPerReplica && now.peakHourly <= shown.peakHourly;

/** How the world has changed between two plans of one wish, in words; empty where nothing that matters has. */
export function changesBetween(shown: Plan, now: Plan): string[] {
  const placesOf = ({ places }: Plan): string =>
    places.map(({ cluster, pool, replicas }) => `${replicas} on ${cluster}/${pool}`).join(', ');
  const dearer = now.hourlyPerReplica > shown.hourlyPerReplica || now.peakHourly > shown.peakHourly;
  const actions = ({ actions: all }: Plan): string => all.map(({ message }) => message).join(' ');
  return [
    ...(shown.generation === now.generation
      ? []
      : [`The deployment is at version ${now.generation} now, not ${shown.generation}.`]),
    ...(placesOf(shown) === placesOf(now)
      ? []
      : [`It would go to ${placesOf(now) || 'no place'} now, not ${placesOf(shown) || 'no place'}.`]),
    ...(dearer
      ? [`It costs up to ${formatUsd(now.peakHourly)} USD per hour now, and ${formatUsd(shown.peakHourly)} were shown.`]
      : []),
    ...(shown.hash !== now.hash && actions(shown) !== actions(now) ? [`It would do something else: ${actions(now)}`] : []),
  ];
}
