import { planSpot, type HeldInstance, type SpotPlan, type SpotPolicy } from '../scheduler/plan-spot.ts';
import { newSpotRecord, recordSpot, type SpotRecord } from '../scheduler/spot-record.ts';
import type { SpotContestant } from './simulate-spot.ts';
import { fixedStandby, onDemandOnly, singleZone, spotHedge } from './spot-baselines.ts';
import type { SpotScenario } from './spot-market.ts';

const GOALS = [0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 1] as const;
/** Of SpotHedge, how many replicas more than wished it keeps on spot. */
const EXTRA = [0, 1, 2, 3, 4] as const;

/** Everybody who takes part, ours first. */
export function spotContestants({ replicas, group }: SpotScenario): SpotContestant[] {
  const zones = group.traces.map(({ pool }) => pool);
  return [
    purser('thrifty', (scenario) => ({ ...steady(scenario), yieldMs: scenario.group.tickMs })),
    purser('steady', steady),
    ...GOALS.map((goal) => purser(`filled ${goal}`, (scenario) => ({ ...steady(scenario), filledGoal: goal }))),
    ...EXTRA.map(spotHedge),
    ...zones.map(singleZone),
    ...Array.from({ length: replicas + 1 }, (_, count) => fixedStandby(count)),
    onDemandOnly,
  ];
}

/** Between two samples nobody can know more: a shortage waits for one. */
const steady = ({ replicas, onDemandRatio, launchMs, group }: SpotScenario): SpotPolicy => ({
  ...{ replicas, onDemandRatio, launchMs, patienceMs: group.tickMs, yieldMs: 0, filledGoal: null },
});

/** The policy of the product, with a record of its own. */
const purser = (setting: string, policyOf: (scenario: SpotScenario) => SpotPolicy): SpotContestant => ({
  ...{ policy: 'purser', setting },
  start: (scenario) => {
    const policy = policyOf(scenario);
    const { replicas } = policy;
    const pools = scenario.group.traces.map(({ pool }) => pool);
    let record: SpotRecord = newSpotRecord(0);
    let before: readonly HeldInstance[] = [];
    return ({ now, held, lost, refused }) => {
      const readyBefore = readyOf(before, record.at);
      const seen = { replicas, readyBefore, ready: readyOf(held, now), heldBefore: byPool(before), lost: byPool(lost) };
      record = recordSpot(record, seen, now);
      const plan = planSpot({ policy, record, held, pools, refused }, now);
      before = afterPlan(held, plan, now === 0 ? 0 : now + policy.launchMs);
      return plan;
    };
  },
});

const readyOf = (held: readonly HeldInstance[], now: number): number => held.filter(({ readyAt }) => readyAt <= now).length;

function byPool(instances: readonly HeldInstance[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { pool } of instances) if (pool !== null) counts.set(pool, (counts.get(pool) ?? 0) + 1);
  return counts;
}

/** What is held once the plan is carried out; if it is refused in part, the policy is asked again at the same moment. */
const afterPlan = (held: readonly HeldInstance[], { launches, stops }: SpotPlan, readyAt: number): HeldInstance[] => [
  ...held.filter(({ id }) => !stops.includes(id)),
  ...launches.map((pool, n) => ({ id: `new ${n}`, pool, readyAt })),
];
