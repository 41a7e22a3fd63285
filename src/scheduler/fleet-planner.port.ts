import type { Result } from '../kernel/result.ts';
import type { FleetInput } from './fleet.ts';
import type { FleetPlan } from './plan-fleet.ts';

export interface FleetQuestion {
  readonly input: FleetInput;
  /** True: bettered and bounded by a solver. */
  readonly exact: boolean;
}

/**
 * Makes joint plans beside everything else: whoever asks goes on meanwhile. It answers within a bounded time and never throws; where it cannot
 * plan, one sentence says why. It keeps nothing, so asking again is safe.
 */
export interface FleetPlanner {
  plan(question: FleetQuestion): Promise<Result<FleetPlan, string>>;
}
