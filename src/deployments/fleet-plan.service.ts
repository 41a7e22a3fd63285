import { offeringKeyText, regionOf } from '../clouds/offering-key.ts';
import type { ClusterStore } from '../fleet/cluster-store.port.ts';
import type { Cluster } from '../fleet/cluster.ts';
import { visibleTo, type Visible } from '../identity/authorize.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { Principal } from '../kernel/principal.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { PricesService } from '../pricing/prices.service.ts';
import type { FleetDemand, FleetInput, FleetLimit, FleetOffering } from '../scheduler/fleet.ts';
import type { FleetPlanner } from '../scheduler/fleet-planner.port.ts';
import { planFleet, type FleetPlan } from '../scheduler/plan-fleet.ts';
import { planPlacement } from '../scheduler/plan-placement.ts';
import type { ScoredOffering } from '../scheduler/score-offerings.ts';
import { deploymentPath, type Deployment } from './deployment.ts';
import type { DeploymentStore } from './deployment-store.port.ts';
import type { Market } from './market.service.ts';
import type { Revision } from './revision.ts';
import { sourcesOf, type Source } from './rented-pool.ts';
import { knownHourlyOf } from './workload-cost.ts';

export interface FleetPlanDeps {
  readonly store: DeploymentStore;
  readonly clusters: Pick<ClusterStore, 'present'>;
  readonly prices: Pick<PricesService, 'ratesAt'>;
  readonly market: Market;
  readonly clock: Clock;
  readonly planner: FleetPlanner;
}

/** A joint plan, with what the same deployments cost now. */
export interface JointPlan {
  readonly plan: FleetPlan;
  readonly hourlyNow: PicoUsdPerHour;
  readonly deployments: number;
  /** What kept the plan from being better, in one sentence; null = it is what was asked for. */
  readonly shortOf: string | null;
}

/** Deployments of one joint plan. Higher: a plan takes longer than somebody waits; lower: large projects are planned in parts. */
const MAX_DEPLOYMENTS = 100;

/** An answer is the same for so long. Higher: changes are shown late; lower: repeats keep everybody else waiting. */
const KEPT_MS = 10_000;
/** The solver is not asked more often. Higher: more plans are greedy; lower: a core is kept busy by whoever asks. */
const SOLVER_PAUSE_MS = 5_000;
/** Answers that are held. Higher: memory; lower: many callers at a time are planned for anew. */
const MAX_HELD = 16;

/** What all deployments together would come to if each were placed anew, machines shared: shows what is to be gained, and changes nothing. */
export class FleetPlanService {
  readonly #deps: FleetPlanDeps;
  readonly #held = new Map<string, { readonly until: Instant; readonly answer: Promise<JointPlan> }>();
  #solverFrom: Instant = 0;

  constructor(deps: FleetPlanDeps) {
    this.#deps = deps;
  }

  /**
   * Over what the caller may read, of one project or (null) of all; the first 100 by path. Asked for an exact plan while the solver rests it answers
   * the greedy one.
   */
  plan(
    tx: Transaction,
    principal: Principal,
    { projectId, exact }: { readonly projectId: Id | null; readonly exact: boolean },
  ): Promise<JointPlan> {
    const visible = visibleTo(principal, 'deployment.read');
    const now = this.#deps.clock.now();
    const keyOf = (solved: boolean): string => JSON.stringify([visible, projectId, solved]);
    const held = this.#heldAt(keyOf(exact), now);
    if (held) return held;
    const rests = exact && now < this.#solverFrom;
    if (exact && !rests) this.#solverFrom = now + SOLVER_PAUSE_MS;
    const solve = exact && !rests;
    const greedy = solve ? null : this.#heldAt(keyOf(false), now);
    const answer = greedy ?? this.#plan(tx, { projectId, visible }, solve);
    if (!greedy) this.#hold(keyOf(solve), answer, now + KEPT_MS);
    return rests ? answer.then((plan) => ({ ...plan, shortOf: plan.shortOf ?? RESTS })) : answer;
  }

  #heldAt(key: string, now: Instant): Promise<JointPlan> | null {
    const held = this.#held.get(key);
    return held && now < held.until ? held.answer : null;
  }

  #hold(key: string, answer: Promise<JointPlan>, until: Instant): void {
    this.#held.delete(key);
    this.#held.set(key, { until, answer });
    const [oldest] = this.#held.keys();
    if (this.#held.size > MAX_HELD && oldest !== undefined) this.#held.delete(oldest);
    answer.catch(() => this.#held.delete(key));
  }

  async #plan(
    tx: Transaction,
    whose: { readonly projectId: Id | null; readonly visible: Visible | null },
    exact: boolean,
  ): Promise<JointPlan> {
    const { store, clusters } = this.#deps;
    const question = { ...whose, phases: null, nameContains: null, after: null };
    const found = (await store.deployments(tx, { ...question, limit: MAX_DEPLOYMENTS })).slice(0, MAX_DEPLOYMENTS);
    const deployments = found.filter(({ spec, deletedAt }) => deletedAt === null && spec.replicas > 0);
    const ids = deployments.map(({ id }) => id);
    const revisions = Map.groupBy(await store.revisions(tx, ids), ({ deploymentId }) => deploymentId);
    const input = await this.#input(tx, { deployments, revisions, clusters: await clusters.present(tx) });
    const planned = await this.#deps.planner.plan({ input, exact });
    const plan = planned.ok ? planned.value : planFleet(input, 'brief');
    const shortOf = planned.ok ? null : planned.error;
    return { plan, hourlyNow: await this.#hourlyNow(tx, ids), deployments: deployments.length, shortOf };
  }

  async #input(
    tx: Transaction,
    {
      deployments,
      revisions,
      clusters,
    }: {
      readonly deployments: readonly Deployment[];
      readonly revisions: ReadonlyMap<Id, readonly Revision[]>;
      readonly clusters: readonly Cluster[];
    },
  ): Promise<FleetInput> {
    const sources = sourcesOf(clusters, 'onnx');
    const offerings = new Map<string, FleetOffering>();
    const demands: FleetDemand[] = [];
    for (const deployment of deployments) {
      const revision = servingOf(deployment, revisions.get(deployment.id) ?? []);
      const { allowed, demand } = revision ? await this.#demand(tx, deployment, { revision, sources }) : NOTHING;
      for (const one of allowed) offerings.set(one.key, one);
      if (demand) demands.push(demand);
    }
    const limits = sources.map(({ key, source }): FleetLimit => {
      const there = [...offerings.values()].filter((one) => one.key.startsWith(`${source.region}/`));
      return { key, offerings: there.map((one) => one.key), maxMachines: source.maxNodes };
    });
    return { demands, offerings: [...offerings.values()], limits, budgetPerHour: null };
  }

  /** What one deployment needs, and the best offerings that its policy allows. */
  async #demand(
    tx: Transaction,
    deployment: Deployment,
    { revision, sources }: { readonly revision: Revision; readonly sources: readonly Source[] },
  ): Promise<{ readonly allowed: readonly FleetOffering[]; readonly demand: FleetDemand }> {
    const { placement, replicas } = deployment.spec;
    const { index, places } = await this.#deps.market.view(tx, placement.regions);
    const { resources } = revision.spec;
    const { residency, zones = 1, minOnDemandPercent = 0 } = placement.policy ?? {};
    const policy = { regions: placement.regions, ...(residency ? { residency } : {}) };
    const facts = { ...places, ...(sources.length > 0 ? { rentable: sources.map(rentableAt) } : {}) };
    const asked = { demand: { resources, capacityTypes: placement.capacityTypes }, policy, candidates: index, facts };
    const { best } = planPlacement(asked, this.#deps.clock.now());
    const zonesAt = (one: ScoredOffering) => (zones > 1 ? (places.zonesOf.get(regionOf(one.offering)) ?? []) : []);
    const allowed = best.flatMap((one) => inZones(one, zonesAt(one)));
    const demand = {
      ...{ key: deploymentPath(deployment), replicas, resources, offerings: allowed.map(({ key }) => key) },
      minOnDemand: Math.ceil((replicas * minOnDemandPercent) / 100),
      maxPerZone: zones > 1 ? Math.ceil(replicas / zones) : null,
    };
    return { allowed, demand };
  }

  async #hourlyNow(tx: Transaction, ids: readonly Id[]): Promise<PicoUsdPerHour> {
    const { store, prices, clock } = this.#deps;
    const workloads = (await store.workloads(tx, ids)).filter(({ removedAt }) => removedAt === null);
    const offeringIds = workloads.map(({ offeringId }) => offeringId);
    return knownHourlyOf(workloads, await prices.ratesAt(tx, offeringIds, clock.now()));
  }
}

const RESTS = `The solver was asked less than ${SOLVER_PAUSE_MS / 1_000} s ago: ask again.`;

const NOTHING = { allowed: [], demand: null };

const rentableAt = ({ key, source }: Source) => ({
  ...{ source: key, region: source.region, zones: source.zones, machines: source.maxNodes },
});

/** The revision with most of the traffic: what its replicas need is what is planned for. */
function servingOf({ spec }: Deployment, revisions: readonly Revision[]): Revision | undefined {
  const [heaviest] = [...spec.traffic].sort((a, b) => b.weight - a.weight);
  return revisions.find(({ number }) => number === heaviest?.revision);
}

/** Where replicas are to be spread, an offering that is had in every zone is one of each. */
function inZones({ offering, price }: ScoredOffering, zones: readonly string[]): FleetOffering[] {
  const key = offeringKeyText(offering);
  const { cpuMilli, memoryMib, accelerator, capacityType } = offering;
  const machine = {
    pricePerHour: price.effective,
    resources: { cpuMilli, memoryMib: memoryMib ?? 0, accelerator },
    capacityType,
  };
  if (offering.zone !== '' || zones.length === 0)
    return [{ key, ...machine, zone: offering.zone || regionOf(offering), maxMachines: null }];
  return zones.map((zone) => ({ key: `${key}@${zone}`, ...machine, zone, maxMachines: null }));
}
