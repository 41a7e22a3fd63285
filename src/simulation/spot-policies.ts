import { planSpot, type HeldInstance, type SpotPlan, type SpotPolicy } from '../scheduler/plan-spot.ts';
import type { SpotGoal } from '../scheduler/spot-goal.ts';
import { newSpotRecord, recordSpot, type SpotRecord } from '../scheduler/spot-record.ts';
import type { SpotContestant } from './simulate-spot.ts';
import { fixedStandby, onDemandOnly, singleZone, spotHedge } from './spot-baselines.ts';
import type { SpotGroup, SpotScenario } from './spot-market.ts';

const SHARES = [0.97, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9998, 0.9999, 1] as const;
const KEPT = [0.99, 0.995, 0.999, 0.9995] as const;
/** How many replicas more than wished are kept, of ours and of SpotHedge. */
const EXTRA = [0, 1, 2, 3, 4] as const;

/** Everybody who takes part, ours first. */
export function spotContestants({ replicas, group }: SpotScenario): SpotContestant[] {
  const zones = group.traces.map(({ pool }) => pool);
  return [
    purser('thrifty', { kind: 'thrifty' }),
    purser('patient', { kind: 'patient' }),
    ...EXTRA.map((spares) => purser(`${spares} spares`, { kind: 'spares', spares })),
    ...SHARES.map((share) => purser(`filled ${share}`, { kind: 'filled', share })),
    ...KEPT.map((share) => purser(`kept ${share}`, { kind: 'kept', share })),
    ...EXTRA.map(spotHedge),
    ...zones.map(singleZone),
    ...Array.from({ length: replicas + 1 }, (_, count) => fixedStandby(count)),
    onDemandOnly,
  ];
}

/** The policy of the product, with a record of its own. */
const purser = (setting: string, goal: SpotGoal): SpotContestant => ({
  ...{ policy: 'purser', setting },
  start: ({ replicas, onDemandRatio, launchMs, group }) => {
    const policy: SpotPolicy = { replicas, onDemandRatio, launchMs, lookMs: group.tickMs, goal };
    const places = placesOf(group);
    let record: SpotRecord = newSpotRecord(0);
    let before: readonly HeldInstance[] = [];
    return ({ now, held, lost, refused, prices }) => {
      const readyBefore = readyOf(before, record.at);
      const seen = { replicas, launchMs, readyBefore, ready: readyOf(held, now), heldBefore: byPool(before), lost: byPool(lost) };
      record = recordSpot(record, seen, now);
      const pools = places.map((place, n) => ({ ...place, price: prices[n] ?? 1 }));
      const plan = planSpot({ policy, record, held, pools, refused }, now);
      before = afterPlan(held, plan, now === 0 ? 0 : now + launchMs);
      return plan;
    };
  },
});

/** Of a zone's name the last letter is the zone, the rest the region: `us-east-1a`, `us-east1-c`. No band: what Spot Advisor said then is not known. */
const placesOf = ({ traces }: SpotGroup) =>
  traces.map(({ pool }) => ({ name: pool, zone: pool, region: pool.replace(/-?[a-z]$/, ''), interruptionBand: null }));

const readyOf = (held: readonly HeldInstance[], now: number): number => held.filter(({ readyAt }) => readyAt <= now).length;

function byPool(instances: readonly HeldInstance[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { pool } of instances) if (pool !== null) counts.set(pool, (counts.get(pool) ?? 0) + 1);
  return counts;
}

/** What is held once the plan is carried out; if it is refused in part, the policy is asked again at the same moment. */
const afterPlan = (held: readonly HeldInstance[], { launches, stops }: SpotPlan, readyAt: number): HeldInstance[] => [
  ...held.filter(({ id }) => !stops.includes(id)),
  ...launches.map((pool, n) => ({ id: `new ${n}`, pool, readyAt, leavesAt: null })),
];
