import type { Json } from '../kernel/event.ts';
import type { CostParts } from '../scheduler/cost-model.ts';
import type { Plan, PlanCandidate, PlanPlace } from './plan.ts';

const text = (amount: bigint | null): string | null => amount?.toString() ?? null;
const amount = (digits: string | null): bigint | null => (digits === null ? null : BigInt(digits));

type StoredCost = Readonly<Record<keyof CostParts, string>>;
type StoredPlace = Omit<PlanPlace, 'hourly'> & { readonly hourly: string };
type StoredCandidate = Omit<PlanCandidate, 'hourly' | 'score' | 'cost'> & {
  readonly cost?: StoredCost | null;
  readonly hourly: string | null;
  readonly score: string | null;
};
type StoredPlan = Omit<Plan, 'candidates' | 'places' | 'hourlyPerReplica' | 'costDelta' | 'monthlyAfter' | 'peakHourly'> & {
  readonly candidates: readonly StoredCandidate[];
  /** Absent in plans of before. */
  readonly places?: readonly StoredPlace[];
  readonly hourlyPerReplica: string;
  readonly costDelta: string;
  readonly monthlyAfter: string;
  readonly peakHourly: string;
};

const mapCost = <A, B>(cost: Readonly<Record<keyof CostParts, A>>, convert: (amount: A) => B): Record<keyof CostParts, B> => ({
  price: convert(cost.price),
  egress: convert(cost.egress),
  interruptions: convert(cost.interruptions),
  move: convert(cost.move),
});

/** The plan as JSON, amounts as digits; for the store of shown plans and for decisions. */
export function planToJson(plan: Plan): Json {
  const stored: StoredPlan = {
    ...plan,
    candidates: plan.candidates.map((candidate) => ({
      ...candidate,
      hourly: text(candidate.hourly),
      score: text(candidate.score),
      ...(candidate.cost ? { cost: mapCost(candidate.cost, String) } : { cost: null }),
    })),
    places: plan.places.map((place) => ({ ...place, hourly: place.hourly.toString() })),
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
    ...{ why: '', wouldChange: [] },
    ...stored,
    candidates: stored.candidates.map((candidate) => ({
      ...candidate,
      hourly: amount(candidate.hourly),
      score: amount(candidate.score),
      cost: candidate.cost ? mapCost(candidate.cost, BigInt) : null,
    })),
    places: (stored.places ?? []).map((place) => ({ ...place, hourly: BigInt(place.hourly) })),
    hourlyPerReplica: BigInt(stored.hourlyPerReplica),
    costDelta: BigInt(stored.costDelta),
    monthlyAfter: BigInt(stored.monthlyAfter),
    peakHourly: BigInt(stored.peakHourly),
  };
}
