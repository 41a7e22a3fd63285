import type { Json } from '../kernel/event.ts';
import type { Plan, PlanCandidate } from './plan.ts';

const text = (amount: bigint | null): string | null => amount?.toString() ?? null;
const amount = (digits: string | null): bigint | null => (digits === null ? null : BigInt(digits));

type StoredCandidate = Omit<PlanCandidate, 'hourly' | 'score'> & {
  readonly hourly: string | null;
  readonly score: string | null;
};
type StoredPlan = Omit<Plan, 'candidates' | 'hourlyPerReplica' | 'costDelta' | 'monthlyAfter' | 'peakHourly'> & {
  readonly candidates: readonly StoredCandidate[];
  readonly hourlyPerReplica: string;
  readonly costDelta: string;
  readonly monthlyAfter: string;
  readonly peakHourly: string;
};

/** The plan as JSON, amounts as digits; for the store of shown plans and for decisions. */
export function planToJson(plan: Plan): Json {
  const stored: StoredPlan = {
    ...plan,
    candidates: plan.candidates.map((candidate) => ({
      ...candidate,
      hourly: text(candidate.hourly),
      score: text(candidate.score),
    })),
    hourlyPerReplica: plan.hourlyPerReplica.toString(),
    costDelta: plan.costDelta.toString(),
    monthlyAfter: plan.monthlyAfter.toString(),
    peakHourly: plan.peakHourly.toString(),
  };
  return JSON.parse(JSON.stringify(stored)) as Json;
}

/** What `planToJson` wrote. */
export function planFromJson(json: Json): Plan {
  const stored = json as object as StoredPlan;
  return {
    ...stored,
    candidates: stored.candidates.map((candidate) => ({
      ...candidate,
      hourly: amount(candidate.hourly),
      score: amount(candidate.score),
    })),
    hourlyPerReplica: BigInt(stored.hourlyPerReplica),
    costDelta: BigInt(stored.costDelta),
    monthlyAfter: BigInt(stored.monthlyAfter),
    peakHourly: BigInt(stored.peakHourly),
  };
}
