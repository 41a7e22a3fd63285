import { offeringKeyText } from '../clouds/offering-key.ts';
import type { Offering } from '../clouds/offering.ts';
import type { Pool } from '../fleet/cluster.ts';
import { digestOfJson } from '../kernel/digest.ts';
import type { Json } from '../kernel/event.ts';
import { failure, type Failure } from '../kernel/failure.ts';
import type { Id } from '../kernel/id.ts';
import { formatUsd, type PicoUsdPerHour } from '../kernel/money.ts';
import { err, ok, type Result } from '../kernel/result.ts';
import type { ModelVersion } from '../registry/model-version.ts';
import type { Contradiction } from '../scheduler/check-policy.ts';
import type { Placement } from '../scheduler/plan-placement.ts';
import type { AdoptedObject } from './cluster.port.ts';
import { brokenGuard, type BrokenGuard, type Peak } from './broken-guard.ts';
import type { Deployment, DeploymentSpec } from './deployment.ts';
import type { Workload } from './replica.ts';
import { HOURS_PER_MONTH, type Plan, type PlanAction, type PlanCandidate } from './plan.ts';
import { planToJson } from './plan-json.ts';
import { hourlyOf, hourlyOfReplica, placesOf, replicasOf, type PlacedPool, type PricedPool } from './placement.ts';
import { shareOf, type RentedCapacity } from './rented-pool.ts';
import { makeRevisionSpec, runsTheSame, type Revision, type RevisionSpec } from './revision.ts';
import { effectiveWeights, type Rollout, type RolloutState } from './rollout.ts';
import { hourlyOfWorkloads, knownHourlyOf, sumOf } from './workload-cost.ts';

/** The deployment as it is, with what a plan needs to know of it. */
export interface CurrentDeployment {
  readonly deployment: Deployment;
  readonly revisions: readonly Revision[];
  readonly rollout: Rollout | null;
  /** Those not removed. */
  readonly workloads: readonly Workload[];
  readonly rates: ReadonlyMap<Id, PicoUsdPerHour>;
}

export interface PlanInput {
  readonly path: string;
  /** Its traffic is what it was; the plan says where it goes. */
  readonly wish: DeploymentSpec;
  readonly version: ModelVersion;
  readonly current: CurrentDeployment | null;
  readonly placement: Placement;
  /** Where its replicas go. */
  readonly pools: readonly PlacedPool[];
  /** Believed prices of the offerings, the rejected ones and those of the pools included. */
  readonly prices: ReadonlyMap<Id, PicoUsdPerHour>;
  /** What runs already and is to be taken over; null = nothing. */
  readonly adopt: AdoptedObject | null;
  /** Why so many replicas; absent where they were asked for. */
  readonly because?: string;
}

export const HIBERNATION_RISK = 'At 0 replicas requests are refused until it is scaled up.';

/** What is to be done, decided once; the service writes exactly this. */
export interface PlannedRevision {
  /** Null = make a new one of this spec. */
  readonly existing: Revision | null;
  readonly number: number;
  readonly spec: RevisionSpec;
  /** False = traffic goes there already. */
  readonly needsRollout: boolean;
}

export interface PlannedDeployment {
  readonly plan: Plan;
  readonly revision: PlannedRevision;
  readonly pools: readonly PricedPool[];
}

/**
 * What a wish leads to and what it costs. Refused: NO_CAPACITY (no offering fits: `details.plan` says why each lost), LIMIT_EXCEEDED
 * (more replicas or money than the wish itself allows, both sides of a rollout counted).
 */
export function planDeployment(input: PlanInput): Result<PlannedDeployment, Failure> {
  const revision = planRevision(input);
  const pools = pricedPools(input);
  const costs = costsOf(input, revision, pools);
  const plan = makePlan(input, { revision, pools, costs });
  if (input.placement.contradiction) return err(contradicts(input.placement.contradiction, plan));
  if (plan.offeringId === null) return err(noCapacity(input.placement, plan));
  const broken = brokenGuard(input.wish, costs.peak);
  return broken ? err(beyondGuard(broken, plan)) : ok({ plan, revision, pools });
}

/** A pool that says what its nodes are is priced by that, another one by the cheapest offering that fits; none if one has no price. */
function pricedPools({ pools, placement, prices }: PlanInput): readonly PricedPool[] {
  const priced = pools.flatMap((placed): PricedPool[] => {
    const offeringId = placed.pool.offeringId ?? placement.chosen?.offering.id;
    const price = offeringId === undefined ? undefined : prices.get(offeringId);
    return offeringId === undefined || price === undefined ? [] : [{ ...placed, offeringId, price }];
  });
  return priced.length === pools.length ? priced : [];
}

/** An object is taken over once: a revision of another version that names it again is made anew beside it. */
function adoptedBy({ adopt, version, current }: PlanInput, existing: Revision | undefined): AdoptedObject | null {
  if (existing?.modelVersionId === version.id) return adopt ?? existing.spec.adopt ?? null;
  const taken = (current?.revisions ?? []).some(
    ({ spec }) => spec.adopt?.namespace === adopt?.namespace && spec.adopt?.name === adopt?.name,
  );
  return taken ? null : adopt;
}

function planRevision(input: PlanInput): PlannedRevision {
  const { wish, version, current } = input;
  const revisions = current?.revisions ?? [];
  const target = targetOf(current);
  const existing = revisions.find(({ number }) => number === target);
  const spec = makeRevisionSpec(wish, version, adoptedBy(input, existing));
  if (existing && runsTheSame(existing, version.id, spec, wish.concurrency))
    return { existing, number: existing.number, spec, needsRollout: false };
  const number = Math.max(0, ...revisions.map((revision) => revision.number)) + 1;
  return { existing: null, number, spec, needsRollout: true };
}

/** After these the same wish is tried anew. */
const GIVEN_UP: readonly RolloutState[] = ['rolled_back', 'failed'];

/** The revision that a repeat of the same wish would lead to again; null when several share the traffic. */
function targetOf(current: CurrentDeployment | null): number | null {
  if (!current || GIVEN_UP.some((state) => state === current.rollout?.state)) return null;
  const [only, ...others] = current.deployment.spec.traffic.filter(({ weight }) => weight > 0);
  return only && others.length === 0 ? only.revision : null;
}

interface Decided {
  readonly revision: PlannedRevision;
  readonly pools: readonly PricedPool[];
  readonly costs: Costs;
}

function makePlan(input: PlanInput, { revision, pools, costs }: Decided): Plan {
  const { current, placement, path } = input;
  const actions = planActions(input, revision);
  const generation = current?.deployment.generation ?? 0;
  const offeringId = pools[0]?.offeringId ?? null;
  const after = hourlyOf(pools) ?? 0n;
  const places = pools.map(({ pool, clusterName, replicas, offeringId: offering, rented }) => ({
    pool: rented ? `${clusterName}/${pool.name}` : pool.id,
    ...{ replicas, offering },
  }));
  return {
    path,
    hash: digestOfJson({
      ...{ path, actions: actions.map(({ kind, message }) => ({ kind, message })), generation, places },
      asked: askedIn(input.wish, revision.spec),
    }),
    actions,
    generation,
    candidates: candidatesOf(input, pools),
    rejectedCounts: placement.rejectedCounts,
    offeringId,
    hourlyPerReplica: hourlyOfReplica(pools),
    costDelta: after - costs.now,
    monthlyAfter: after * HOURS_PER_MONTH,
    peakReplicas: costs.peak.replicas,
    peakHourly: costs.peakKnown,
    risks: risksOf(input, revision),
    places: placesOf(pools, offeringsOf(placement)),
    ...{ why: [whyOf(placement, pools), input.because ?? ''].join(' ').trim(), wouldChange: placement.wouldChange },
  };
}

interface Costs {
  readonly now: PicoUsdPerHour;
  readonly peak: Peak;
  /** The part of the peak that is known: to be shown. */
  readonly peakKnown: PicoUsdPerHour;
}

/** What runs now, and the most that runs at a time on the way: what is left keeps its replicas until those that follow it are ready. */
function costsOf({ current }: PlanInput, revision: PlannedRevision, pools: readonly PricedPool[]): Costs {
  const workloads = current?.workloads ?? [];
  const rates = current?.rates ?? new Map<Id, PicoUsdPerHour>();
  const stays = ({ revisionId, poolId }: Workload): boolean =>
    revisionId === revision.existing?.id && pools.some(({ pool }) => pool.id === poolId);
  const others = workloads.filter((workload) => !stays(workload) && keepsTraffic(current, workload.revisionId));
  const replicas = others.reduce((all, one) => all + one.replicas, 0) + replicasOf(pools);
  return {
    now: knownHourlyOf(workloads, rates),
    peak: { replicas, hourly: sumOf([hourlyOfWorkloads(others, rates), hourlyOf(pools)]) },
    peakKnown: knownHourlyOf(others, rates) + (hourlyOf(pools) ?? 0n),
  };
}

function keepsTraffic(current: CurrentDeployment | null, revisionId: Id): boolean {
  if (!current) return false;
  const number = current.revisions.find(({ id }) => id === revisionId)?.number;
  return effectiveWeights(current.deployment.spec.traffic, current.rollout).some(
    ({ revision, weight }) => revision === number && weight > 0,
  );
}

function planActions(input: PlanInput, revision: PlannedRevision): PlanAction[] {
  const { wish, version, current, pools } = input;
  const from = current ? current.deployment.spec.replicas : 0;
  const runs = `${wish.model} version ${version.number} on ${replicasInWords(wish.replicas)}`;
  const actions = wishActions(input);
  actions.push(...pools.flatMap(makesPool));
  if (isMoved(wish, current, pools)) actions.push({ kind: 'PLACE', message: `Place ${placesInWords(pools)}.` });
  if (!revision.existing) actions.push({ kind: 'CREATE_REVISION', message: `Create revision ${revision.number}: ${runs}.` });
  if (revision.needsRollout) actions.push({ kind: 'START_ROLLOUT', message: rolloutMessage(current, revision) });
  else if (from !== wish.replicas) actions.push({ kind: 'SCALE', message: scaleMessage(from, wish.replicas, revision) });
  return actions.length > 0 ? actions : [{ kind: 'NOTHING', message: 'Nothing changes: it is as wished.' }];
}

/** True if the wish names clusters, or machines are rented for it, and a pool gets replicas that had none, or one that had some is left. */
function isMoved({ placement }: DeploymentSpec, current: CurrentDeployment | null, pools: readonly PlacedPool[]): boolean {
  if ((placement.clusters ?? []).length === 0 && !pools.some(({ rented }) => rented)) return false;
  const before = new Set((current?.workloads ?? []).map(({ poolId }) => poolId));
  const after = new Set(pools.map(({ pool }) => pool.id));
  return before.size !== after.size || [...after].some((id) => !before.has(id));
}

function wishActions({ path, wish, current }: PlanInput): PlanAction[] {
  if (!current) return [{ kind: 'CREATE_DEPLOYMENT', message: `Create the deployment ${path}.` }];
  if (!wishDiffers(current.deployment.spec, wish)) return [];
  return [
    { kind: 'UPDATE_DEPLOYMENT', message: `Update the wish of ${path} (generation ${current.deployment.generation + 1}).` },
  ];
}

const makesPool = ({ pool, clusterName, rented }: PlacedPool): PlanAction[] =>
  rented?.isNew ? [{ kind: 'MAKE_POOL', message: madeInWords(clusterName, pool, rented) }] : [];

function madeInWords(cluster: string, pool: Pool, { scaling: { provider, config, maxNodes }, zone }: RentedCapacity): string {
  const what = `up to ${maxNodes} ${config['instanceType']} (${pool.capacityType.replace('_', '-')}) in ${zone || config['region']}`;
  return `Make pool ${pool.name} in cluster ${cluster}: ${what}, rented by ${provider}.`;
}

const placesInWords = (pools: readonly PlacedPool[]): string =>
  pools.map(({ clusterName, pool, replicas }) => `${replicas} on ${clusterName}/${pool.name}`).join(', ');

const scaleMessage = (from: number, to: number, { number }: PlannedRevision): string =>
  `Scale revision ${number} from ${from} to ${to} replicas${to === 0 ? ': it hibernates' : ''}.`;

const replicasInWords = (replicas: number): string =>
  replicas === 0 ? '0 replicas: it hibernates' : `${replicas} ${replicas === 1 ? 'replica' : 'replicas'}`;

function rolloutMessage(current: CurrentDeployment | null, { number }: PlannedRevision): string {
  if (!current) return `Send all traffic to revision ${number} once it is ready.`;
  return `Shift traffic to revision ${number} in steps once it is ready; go back if it fails.`;
}

/** True if anything but the traffic differs, which a plan does not take from its caller. */
export const wishDiffers = (a: DeploymentSpec, b: DeploymentSpec): boolean => digestOfWish(a) !== digestOfWish(b);

const digestOfWish = ({ maxSpendPerHour, ...rest }: DeploymentSpec): string =>
  digestOfJson(plain({ ...rest, traffic: [], maxSpendPerHour: maxSpendPerHour.toString() }));

/** Everything that the caller asks for, its own limits and what is taken over included; where that goes is said by the places. */
function askedIn({ placement: { places: _, ...placement }, ...wish }: DeploymentSpec, { adopt }: RevisionSpec): string {
  return digestOfJson(plain({ wish: digestOfWish({ ...wish, placement }), adopt: adopt ?? null }));
}

/** As JSON: fields that are undefined play no part. */
const plain = (value: object): Json => JSON.parse(JSON.stringify(value)) as Json;

/** The share of a machine that one replica is charged, all that must be shown of what was looked at. */
function candidatesOf({ placement, prices, wish }: PlanInput, pools: readonly PricedPool[]): PlanCandidate[] {
  const { best, rejected, chosen } = placement;
  const taken = new Set(pools.some(({ rented }) => rented) ? pools.map(({ offeringId }) => offeringId) : [chosen?.offering.id]);
  const isRented = pools.some(({ rented }) => rented);
  const kept = best.map(({ offering, price, score, cost, machines, replicas }): PlanCandidate => {
    const isTaken = taken.has(offering.id);
    const hourly = shareOf(price.effective, machines, isRented ? replicas : 1);
    return {
      offering,
      hourly,
      priceSource: price.source,
      ...(isRented && wish.milliRequestsPerSecond !== undefined ? { replicas } : {}),
      score,
      cost,
      chosen: isTaken,
      rejectedBecause: isTaken ? null : loses(score, chosen?.score ?? 0n),
    };
  });
  const lost = rejected.map(({ offering, code, message }): PlanCandidate => {
    const hourly = prices.get(offering.id) ?? null;
    return { offering, hourly, score: null, cost: null, chosen: false, rejectedBecause: { code, message } };
  });
  return [...kept, ...lost];
}

const loses = (score: bigint, chosen: bigint): PlanCandidate['rejectedBecause'] => {
  if (score === chosen) return { code: 'SAME_COST', message: 'It costs the same; of equals the first by name is chosen.' };
  return score > chosen
    ? { code: 'DEARER', message: `It costs ${formatUsd(score - chosen)} USD per hour more than the chosen one.` }
    : {
        code: 'NOT_WORTH_MOVING',
        message: `It costs ${formatUsd(chosen - score)} USD per hour less now; a wish that asks for nothing else does not move for that.`,
      };
};

const offeringsOf = ({ best, places }: Placement): ReadonlyMap<Id, Offering> =>
  new Map([...best, ...places].map(({ offering }) => [offering.id, offering]));

/** Machines to be started that cost nothing more: a reservation, a plan, or one's own. */
const isPaid = ({ machines, cost }: Placement['places'][number]): boolean => machines > 0 && cost.price === 0n;

function whyOf({ best, chosen, places }: Placement, pools: readonly PricedPool[]): string {
  if (pools.some(({ rented }) => rented) && places.some(isPaid)) return 'What is paid for already is used first.';
  const isCheapest = best[0]?.offering.id === chosen?.offering.id;
  if (!pools.some(({ rented }) => rented) || isCheapest) return 'The cheapest offering that fits was chosen.';
  return pools.every(({ rented }) => rented?.isNew === false)
    ? 'It stays where it is: nothing else was asked for.'
    : 'The cheapest places that the policy allows were chosen.';
}

const isSpot = ({ chosen }: Placement, pools: readonly PlacedPool[]): boolean => {
  const rented = pools.filter((one) => one.rented);
  return rented.length > 0 ? rented.some(({ pool }) => pool.capacityType === 'spot') : chosen?.offering.capacityType === 'spot';
};

/** A pool that does not say what its nodes are is priced by what fits, whether it is there or not. */
function acceleratorRisk({ wish, version, pools }: PlanInput): string[] {
  const blind = pools.find(({ pool, rented }) => !rented && pool.offeringId === null);
  if (!blind || !(wish.resources ?? version.resources).accelerator) return [];
  return [`Nobody says whether ${blind.clusterName}/${blind.pool.name} has the accelerator: it is only priced as if it had.`];
}

function risksOf(input: PlanInput, revision: PlannedRevision): string[] {
  const { placement, current, wish, pools } = input;
  const risks = acceleratorRisk(input);
  if (isSpot(placement, pools)) risks.push('Spot capacity may be interrupted.');
  if (current?.rollout && current.rollout.endedAt === null)
    risks.push(`The rollout to revision ${current.rollout.toRevision} is superseded.`);
  if (wish.replicas === 0) risks.push(HIBERNATION_RISK);
  if (current && revision.needsRollout) risks.push('While traffic shifts, both revisions run and cost.');
  return risks;
}

function noCapacity(placement: Placement, plan: Plan): Failure {
  const counts = Object.entries(placement.rejectedCounts).map(([code, count]) => `${code} ${count}`);
  const nearest = placement.rejected[0];
  const example = nearest ? ` Nearest: ${offeringKeyText(nearest.offering)}: ${nearest.message}` : '';
  return failure(
    'NO_CAPACITY',
    `No offering fits (${counts.join(', ') || 'the price book has none in these regions'}).${example}`,
    {
      details: { plan: planToJson(plan) },
    },
  );
}

const contradicts = ({ fields, message }: Contradiction, plan: Plan): Failure => {
  const [first = 'placement'] = fields;
  const isBudget = first === 'maxSpendPerHour';
  const isPolicy = !['regions', 'capacityTypes', 'replicas', 'maxSpendPerHour'].includes(first);
  const code = isBudget ? 'LIMIT_EXCEEDED' : 'INVALID_INPUT';
  const text = isBudget ? message : `These cannot be had together: ${fields.join(' and ')}. ${message}`;
  const path = isPolicy ? ['input', 'policy', first] : ['input', first];
  return failure(code, text, { path, details: { contradiction: { fields, message }, plan: planToJson(plan) } });
};

const HINTS: Readonly<Record<BrokenGuard['guard'], string>> = {
  maxReplicas: 'Raise maxReplicas or scale down first.',
  maxSpendPerHour: 'Raise maxSpendPerHour or ask for less.',
};

const beyondGuard = ({ guard, message }: BrokenGuard, plan: Plan): Failure =>
  failure('LIMIT_EXCEEDED', message, { path: ['input', guard], hint: HINTS[guard], details: { plan: planToJson(plan) } });
