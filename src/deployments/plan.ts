import type { Offering } from '../clouds/offering.ts';
import type { Id } from '../kernel/id.ts';
import type { PicoUsd, PicoUsdPerHour } from '../kernel/money.ts';
import type { RejectionCode } from '../scheduler/filter-offerings.ts';

/** Hours in a month for estimates: those of a year of 365 days / 12, as cloud providers count. */
export const HOURS_PER_MONTH = 730n;

export type PlanActionKind =
  | 'CREATE_DEPLOYMENT'
  | 'UPDATE_DEPLOYMENT'
  | 'PLACE'
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
  /** Lower is better; null for rejected ones. */
  readonly score: bigint | null;
  readonly chosen: boolean;
  readonly rejectedBecause: { readonly code: RejectionCode | 'DEARER'; readonly message: string } | null;
}

export interface Plan {
  readonly path: string;
  /** Over actions, generations and offerings, never over prices. */
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
}

/** A shown plan may run if it still is what was shown and is not dearer. */
export const mayRun = (shown: Plan, now: Plan): boolean =>
  shown.hash === now.hash && now.hourlyPerReplica <= shown.hourlyPerReplica && now.peakHourly <= shown.peakHourly;
