import type { ClusterStore } from '../fleet/cluster-store.port.ts';
import type { Cluster } from '../fleet/cluster.ts';
import type { Project } from '../identity/team.ts';
import type { Clock } from '../kernel/clock.ts';
import { failure, type Failure } from '../kernel/failure.ts';
import { canonicalJson } from '../kernel/digest.ts';
import type { Json } from '../kernel/event.ts';
import { err, ok, type Result } from '../kernel/result.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { PricesService } from '../pricing/prices.service.ts';
import { regionOf } from '../clouds/offering-key.ts';
import type { Demand, PlacementPolicy } from '../scheduler/demand.ts';
import type { PlaceFacts } from '../scheduler/place-facts.ts';
import type { OfferingIndex } from '../scheduler/offering-index.ts';
import { planPlacement, type Placement } from '../scheduler/plan-placement.ts';
import type { DeploymentSpec } from './deployment.ts';
import type { DeploymentStore } from './deployment-store.port.ts';
import type { Market } from './market.service.ts';
import { choosePools, spreadAsNow, type PlacedPool } from './placement.ts';
import { planDeployment, type PlanInput } from './plan-deployment.ts';
import { goalOf } from './placement-goal.ts';
import type { PlacesQuestion, RentedPlaces } from './rented-places.service.ts';

export interface PlaceChooserDeps {
  readonly clusters: Pick<ClusterStore, 'present' | 'pools' | 'lockPools'>;
  readonly store: Pick<DeploymentStore, 'deployment' | 'startMs' | 'workloads'>;
  readonly prices: Pick<PricesService, 'priced'>;
  readonly market: Market;
  readonly rented: Pick<RentedPlaces, 'choose'>;
  readonly clock: Clock;
  readonly settings: { readonly artifactRegion?: string | null };
}

export interface ChosenPools {
  readonly placement: Placement;
  readonly pools: readonly PlacedPool[];
  readonly index: OfferingIndex;
  /** True: chosen among what clusters may rent. */
  readonly isRented: boolean;
}

export type Asked = Omit<PlanInput, 'placement' | 'prices' | 'pools'> & {
  /** Only to be shown: nothing is locked for it. */
  readonly isShown: boolean;
  /** It goes where it is cheapest now, though nothing else is asked for. */
  readonly isAnew: boolean;
};

/** Where a wish goes: among machines that clusters may rent, or into pools that there are. */
export class PlaceChooser {
  readonly #deps: PlaceChooserDeps;

  constructor(deps: PlaceChooserDeps) {
    this.#deps = deps;
  }

  /** Failures: NO_CAPACITY, NO_CONTAINER_RUNTIME, UNSUPPORTED, INVALID_INPUT, CONFLICT; where nothing can run it the table of prices is in `details`. */
  async choose(tx: Transaction, asked: Asked, project: Project): Promise<Result<ChosenPools, Failure>> {
    const { wish, version } = asked;
    const { regions } = wish.placement;
    const clusters = await this.#deps.clusters.present(tx);
    const market = await this.#deps.market.view(tx, regions);
    const policy = await this.#policy(tx, wish, project);
    const demand = this.#demand(wish, version);
    const rented = namesPlace(wish)
      ? null
      : await this.#deps.rented.choose(tx, await this.#question(tx, asked, { clusters, market, policy, demand }));
    if (rented) return this.#locked(tx, { ...rented, index: market.index, isRented: true }, asked);
    const pools = await this.#existing(tx, asked, clusters);
    const facts = pools.ok ? market.places : { ...market.places, rentable: [] };
    const placement = this.#table({ demand, policy, facts, index: market.index });
    if (pools.ok) return this.#locked(tx, { placement, pools: pools.value, index: market.index, isRented: false }, asked);
    return err(withTable(pools.error, { ...asked, placement, index: market.index }));
  }

  #demand({ resources, placement }: DeploymentSpec, version: Asked['version']): Demand {
    const { capacityTypes, policy: { callers, latencyMs } = {} } = placement;
    return {
      ...{ resources: resources ?? version.resources, capacityTypes },
      ...(callers ? { callers } : {}),
      ...(latencyMs === undefined ? {} : { latencyMs }),
      artifact: { region: this.#deps.settings.artifactRegion ?? null, bytes: version.artifact?.sizeBytes ?? 0 },
    };
  }

  async #question(
    tx: Transaction,
    { wish, version, current, isShown, isAnew }: Asked,
    seen: Pick<PlacesQuestion, 'clusters' | 'market' | 'policy' | 'demand'>,
  ): Promise<PlacesQuestion> {
    const start = {
      startMs: await this.#deps.store.startMs(tx, version.id),
      artifactBytes: version.artifact?.sizeBytes ?? 0,
    };
    const demand = {
      ...seen.demand,
      ...goalOf(wish.placement.policy ?? {}, start),
      replicas: Math.max(1, wish.replicas),
    };
    return {
      ...seen,
      ...{ format: version.format, replicas: wish.replicas, demand, current, isShown },
      policy: { ...seen.policy, maxSpendPerHour: wish.maxSpendPerHour },
      isAskedAnew: current !== null && (isAnew || !isSamePlace(current.deployment.spec, wish)),
    };
  }

  /** One replica, on whatever is offered: what a pool stands for that does not say what its nodes are. */
  #table(seen: {
    readonly demand: Demand;
    readonly policy: PlacementPolicy;
    readonly facts: PlaceFacts;
    readonly index: OfferingIndex;
  }): Placement {
    const { minOnDemandPercent: _share, zones: _zones, ...policy } = seen.policy;
    return planPlacement({ ...seen, policy, candidates: seen.index }, this.#deps.clock.now());
  }

  async #existing(tx: Transaction, { wish, version, current }: Asked, clusters: readonly Cluster[]) {
    const ids = clusters.map(({ id }) => id);
    const pools = await this.#deps.clusters.pools(tx, ids);
    const workloads = current?.workloads ?? [];
    const chosen = choosePools({ clusters, pools, spec: wish, format: version.format, workloads });
    // What follows the spot market is not gathered in one pool to be spread anew.
    return chosen.ok ? ok([...spreadAsNow(chosen.value, { workloads, pools, spec: wish })]) : chosen;
  }

  async #locked(tx: Transaction, chosen: ChosenPools, { isShown }: Asked): Promise<Result<ChosenPools, Failure>> {
    if (isShown) return ok(chosen);
    const ids = chosen.pools.filter(({ rented }) => rented?.isNew !== true).map(({ pool }) => pool.id);
    const locked = await this.#deps.clusters.lockPools(tx, ids, 'use');
    return locked.length === new Set(ids).size
      ? ok(chosen)
      : err(failure('CONFLICT', 'A pool was taken out meanwhile: plan again.'));
  }

  async #policy(tx: Transaction, { placement }: DeploymentSpec, project: Project): Promise<PlacementPolicy> {
    const { regions, policy = {} } = placement;
    const { residency, minOnDemandPercent, zones, near, apart } = policy;
    return {
      regions,
      ...(residency ? { residency } : {}),
      ...(minOnDemandPercent === undefined ? {} : { minOnDemandPercent }),
      ...(zones === undefined ? {} : { zones }),
      ...(near ? { near: await this.#regionsOf(tx, near, project) } : {}),
      ...(apart ? { apart: await this.#regionsOf(tx, apart, project) } : {}),
    };
  }

  /** Where deployments of the project are, by what their workloads are priced as. */
  async #regionsOf(tx: Transaction, names: readonly string[], project: Project): Promise<string[]> {
    const { store, prices, clock } = this.#deps;
    const regions = new Set<string>();
    for (const name of names) {
      const found = await store.deployment(tx, { teamName: project.teamName, projectName: project.name, name });
      const workloads = found ? await store.workloads(tx, [found.id]) : [];
      const ids = workloads.filter(({ removedAt }) => removedAt === null).map(({ offeringId }) => offeringId);
      for (const { offering } of await prices.priced(tx, ids, clock.now())) regions.add(regionOf(offering));
    }
    return [...regions].sort();
  }
}

const namesPlace = ({ placement: { clusters = [], pool } }: DeploymentSpec): boolean => clusters.length > 0 || pool !== undefined;

/** True if the same is asked for as before (whether it may be moved for money plays no part), so that it stays where it is. */
function isSamePlace(before: DeploymentSpec, wish: DeploymentSpec): boolean {
  const asked = ({
    placement: { places: _, policy: { moves: _moves, ...policy } = {}, ...placement },
    resources,
  }: DeploymentSpec): string => canonicalJson(JSON.parse(JSON.stringify({ placement, policy, resources })) as Json);
  return asked(before) === asked(wish);
}

/** What could not be placed shows what it would cost if it could. */
function withTable(
  error: Failure,
  { index, ...asked }: Asked & { readonly placement: Placement; readonly index: OfferingIndex },
): Failure {
  const prices = new Map(
    index.candidates.flatMap(({ offering, price }) => (price ? [[offering.id, price.effective] as const] : [])),
  );
  const shown = planDeployment({ ...asked, pools: [], prices });
  const plan = shown.ok ? undefined : shown.error.details?.['plan'];
  return plan === undefined ? error : { ...error, details: { ...error.details, plan } };
}

/** The wish with the pools that were chosen for it, so that it stays there. */
export function withPlaces(
  { places: before = [], ...rest }: DeploymentSpec['placement'],
  { pools, isRented }: Pick<ChosenPools, 'pools' | 'isRented'>,
): DeploymentSpec['placement'] {
  if (!isRented || pools.length === 0) return rest;
  const isThere = ({ pool, clusterName }: PlacedPool): boolean =>
    before.some((one) => one.cluster === clusterName && one.pool === pool.name);
  if (before.length === pools.length && pools.every(isThere)) return { ...rest, places: before };
  const places = pools.map(({ pool, clusterName, replicas }) => ({
    cluster: clusterName,
    pool: pool.name,
    weight: Math.max(1, replicas),
  }));
  return { ...rest, places };
}
