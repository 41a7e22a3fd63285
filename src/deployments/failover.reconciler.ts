import type { DecisionsService } from '../decisions/decisions.service.ts';
import { record } from '../events/event-log.ts';
import type { ClusterStore } from '../fleet/cluster-store.port.ts';
import { isLost, isUnreachable, type Cluster } from '../fleet/cluster.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Failure } from '../kernel/failure.ts';
import { newId, type Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import { invariant } from '../kernel/invariant.ts';
import type { Principal } from '../kernel/principal.ts';
import type { Random } from '../kernel/random.ts';
import type { Scope, Transaction } from '../kernel/transaction.ts';
import type { Database } from '../persistence/database.ts';
import { fencedWrite } from '../persistence/fenced-write.ts';
import type { Lease } from '../persistence/lease.ts';
import type { PricesService } from '../pricing/prices.service.ts';
import type { Reconciliation } from '../reconcile/loop.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { DeployService } from './deploy.service.ts';
import type { Peak } from './broken-guard.ts';
import { replicasSpread } from './deployment.events.ts';
import type { Deployment } from './deployment.ts';
import type { DeploymentStore } from './deployment-store.port.ts';
import { isServing } from './observe-replicas.ts';
import { PlaceAnew } from './place-anew.service.ts';
import { planFailover, type FailoverPlan, type FailoverWorld } from './plan-failover.ts';
import type { Workload } from './replica.ts';
import type { Revision } from './revision.ts';
import type { SpotStore } from './spot-store.port.ts';
import type { MachineClaim } from './pool-promises.service.ts';
import type { QuotaOwner, WishWriter } from './wish-writer.service.ts';
import { hourlyOfWorkloads } from './workload-cost.ts';

export interface FailoverDeps {
  readonly database: Database;
  readonly store: DeploymentStore;
  readonly spot: Pick<SpotStore, 'standingBy'>;
  readonly clusters: Pick<ClusterStore, 'present' | 'lockPools'>;
  readonly prices: Pick<PricesService, 'ratesAt'>;
  readonly writer: Pick<WishWriter, 'checkQuotas' | 'claim' | 'pools'>;
  readonly decisions: Pick<DecisionsService, 'record'>;
  readonly deploy: Pick<DeployService, 'deployWithin'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Null while another instance leads. */
  readonly lease: () => Lease | null;
}

interface Affected {
  readonly deployment: Deployment;
  readonly world: FailoverWorld;
  /** Its version, where a place that was chosen for it is lost: it is placed anew. */
  readonly modelVersion: number | null;
}

interface Bare {
  readonly deployment: Deployment;
  /** Workloads of the one revision. */
  readonly own: readonly Workload[];
  readonly revision: Revision;
  readonly clusters: readonly Cluster[];
}

/** Null = this instance does not lead. */
export type FailoverInput = { readonly lease: Lease; readonly affected: readonly Affected[] } | null;
export type FailoverPass = {
  readonly lease: Lease;
  readonly steps: readonly (Affected & { readonly plan: FailoverPlan })[];
} | null;

const SCOPE: Scope = { kind: 'reconciler', loop: 'failover' };
const PRINCIPAL: Principal = {
  ...{ id: 'reconciler:failover', kind: 'service_account', name: 'failover', tokenId: null },
  grants: [{ role: 'platform_admin', teamId: null, projectId: null }],
  platformActions: ['runtime.process', 'runtime.adopt'],
};

/** Moves what is wished on lost clusters within each deployment's policy, and lets standbys grow while others are out of sight. */
export class FailoverReconciler implements Reconciliation<FailoverInput, FailoverPass> {
  readonly #deps: FailoverDeps;
  readonly #places: PlaceAnew;

  constructor(deps: FailoverDeps) {
    this.#deps = deps;
    this.#places = new PlaceAnew({ ...deps, scope: SCOPE, principal: PRINCIPAL });
  }

  async prepare(): Promise<FailoverInput> {
    const lease = this.#deps.lease();
    if (!lease) return null;
    return { lease, affected: await this.#deps.database.read(SCOPE, (tx) => this.#load(tx)) };
  }

  plan(input: FailoverInput, now: Instant): FailoverPass {
    if (!input) return null;
    const steps = input.affected.map((one) => ({ ...one, plan: planFailover(one.world, now) }));
    return {
      lease: input.lease,
      steps: steps.filter(({ plan, modelVersion }) => plan.changes.length > 0 || modelVersion !== null),
    };
  }

  async execute(pass: FailoverPass, signal: AbortSignal): Promise<void> {
    if (!pass) return;
    for (const step of pass.steps) {
      signal.throwIfAborted();
      const { deployment, modelVersion } = step;
      if (modelVersion !== null) await this.#places.place(pass.lease, { deployment, modelVersion });
      else await fencedWrite(this.#deps.database, { scope: SCOPE, lease: pass.lease }, (tx) => this.#write(tx, step));
    }
  }

  /** Deployments on clusters that are lost or out of sight, and those that stand by for others: all that can be concerned. */
  async #load(tx: Transaction): Promise<Affected[]> {
    const { store, clusters: table, prices, clock } = this.#deps;
    const clusters = await table.present(tx);
    const isQuiet = !clusters.some((one) => isLost(one) || isUnreachable(one));
    const live = isQuiet ? await this.#standingBy(tx) : await store.liveDeployments(tx);
    if (live.length === 0) return [];
    const stranded = await this.#stranded(tx, live, clusters);
    const deployments = live.filter(({ id, spec }) => stranded.has(id) || isConcerned(spec.placement, clusters));
    const ids = deployments.map(({ id }) => id);
    const rollouts = new Map((await store.rollouts(tx, ids)).map((one) => [one.deploymentId, one]));
    const revisions = await store.revisions(tx, ids);
    const workloads = (await store.workloads(tx, ids)).filter(({ removedAt }) => removedAt === null);
    const serving = Map.groupBy((await store.replicas(tx, ids)).filter(isServing), ({ workloadId }) => workloadId);
    const counts = new Map([...serving].map(([id, some]) => [id, some.length]));
    const affected: Affected[] = [];
    for (const deployment of deployments) {
      const [only, ...others] = deployment.spec.traffic.filter(({ weight }) => weight > 0);
      const isMoving = rollouts.get(deployment.id)?.endedAt === null;
      const revision = revisions.find((one) => one.deploymentId === deployment.id && one.number === only?.revision);
      if (!revision || others.length > 0 || isMoving) continue;
      const own = workloads.filter(({ revisionId }) => revisionId === revision.id);
      const all = [...own, ...(await this.#empty(tx, { deployment, own, revision, clusters }))];
      const offerings = all.map(({ offeringId }) => offeringId);
      const world = { spec: deployment.spec, workloads: all, serving: counts, clusters };
      const rates = await prices.ratesAt(tx, offerings, clock.now());
      const modelVersion = isPlaceLost(deployment, clusters) ? revision.spec.modelVersionNumber : null;
      affected.push({ deployment, world: { ...world, rates }, modelVersion });
    }
    return affected;
  }

  /** Those of which something is wished on a lost cluster, also where the wish does not name it any more. */
  async #stranded(tx: Transaction, live: readonly Deployment[], clusters: readonly Cluster[]): Promise<ReadonlySet<Id>> {
    const lost = clusters.filter(isLost).map(({ id }) => id);
    if (lost.length === 0) return new Set();
    const ids = live.map(({ id }) => id);
    const left = (await this.#deps.store.workloads(tx, ids)).filter(({ removedAt }) => removedAt === null);
    return new Set(left.filter(({ clusterId }) => lost.includes(clusterId)).map(({ deploymentId }) => deploymentId));
  }

  async #standingBy(tx: Transaction): Promise<Deployment[]> {
    const { store, spot } = this.#deps;
    const ids = await spot.standingBy(tx);
    return ids.length === 0 ? [] : store.deploymentsByIds(tx, ids);
  }

  /** Where the wish has a cluster and nothing is wished on it any more: one that is found again after it was lost. */
  async #empty(tx: Transaction, { deployment, own, revision, clusters }: Bare): Promise<Workload[]> {
    const { writer, clock, random } = this.#deps;
    const { id: deploymentId, teamId, projectId, spec } = deployment;
    const bare = (spec.placement.clusters ?? []).filter(
      ({ cluster }) =>
        clusters.some((one) => one.name === cluster && !isLost(one)) && !own.some(({ clusterName }) => clusterName === cluster),
    );
    if (bare.length === 0) return [];
    const pools = (await writer.pools(tx, deployment)).filter(({ clusterName }) =>
      bare.some(({ cluster }) => cluster === clusterName),
    );
    const now = clock.now();
    return pools.map(({ pool, clusterName, offeringId, perMachine = 1 }) => ({
      ...{
        id: newId(now, random),
        teamId,
        projectId,
        deploymentId,
        revisionId: revision.id,
        clusterId: pool.clusterId,
        clusterName,
      },
      ...{ poolId: pool.id, poolName: pool.name, capacityType: pool.capacityType, nodeSelector: pool.nodeSelector, offeringId },
      ...{ perMachine, replicas: 0, generation: 0, createdAt: now, removedAt: null, goneAt: null },
      ...{ seenGeneration: null, seenProblem: null },
    }));
  }

  /** Locked, and its workloads as they are now; null = something that the plan follows from has changed: the next pass makes another one. */
  async #unchanged(
    tx: Transaction,
    { deployment, world, plan }: Pick<Affected, 'deployment' | 'world'> & { readonly plan: FailoverPlan },
  ): Promise<readonly Workload[] | null> {
    const { store, clusters } = this.#deps;
    await store.lockTeam(tx, deployment.teamId);
    const locked = await store.lockDeployment(tx, deployment.id);
    const live = (await store.workloads(tx, [deployment.id])).filter(({ removedAt }) => removedAt === null);
    if (locked?.version !== deployment.version || !isAsPlanned(world.workloads, live)) return null;
    // Pools could be taken out meanwhile: whoever places something there has them first.
    const added = plan.changes.filter(({ workload }) => workload.generation === 0).map(({ workload }) => workload.poolId);
    const present = added.length === 0 ? [] : await clusters.lockPools(tx, added, 'use');
    return present.length === added.length ? live : null;
  }

  /** What keeps it from growing: a quota, or the source of its machines. */
  async #refusal(
    tx: Transaction,
    { owner, wanted, claim }: { readonly owner: QuotaOwner; readonly wanted: Peak; readonly claim: MachineClaim },
    at: Instant,
  ): Promise<Failure | null> {
    const { writer } = this.#deps;
    const refused = await writer.checkQuotas(tx, owner, wanted);
    return refused ?? writer.claim(tx, claim, { at, principal: PRINCIPAL.id });
  }

  async #write(tx: Transaction, { deployment, world, plan }: Affected & { readonly plan: FailoverPlan }): Promise<void> {
    const { store, clock, decisions, logger } = this.#deps;
    const live = await this.#unchanged(tx, { deployment, world, plan });
    if (!live) return;
    const after = countsAfter(world, plan);
    const workloads = after.map(({ workload, replicas }) => ({ ...workload, replicas }));
    const hourly = hourlyOfWorkloads(workloads, world.rates);
    const wanted = { replicas: after.reduce((all, { replicas }) => all + replicas, 0), hourly };
    const { teamId, projectId, id: deploymentId } = deployment;
    const at = clock.now();
    const claim = { before: world.workloads, after: workloads };
    const refused = await this.#refusal(tx, { owner: { teamId, projectId, deploymentId }, wanted, claim }, at);
    const changes = refused
      ? plan.changes.filter(({ gone, replicas, workload }) => gone || replicas < workload.replicas)
      : plan.changes;
    if (refused) logger.warn({ deployment: deploymentId, why: refused.message }, 'a limit keeps a standby from growing');
    if (changes.length === 0) return;
    for (const { workload, replicas, gone } of changes)
      await store.saveWorkload(tx, {
        ...(live.find(({ id }) => id === workload.id) ?? workload),
        ...{ replicas, generation: workload.generation + 1, removedAt: gone ? at : null },
      });
    const next = { ...deployment, version: deployment.version + 1, updatedAt: at };
    invariant(await store.updateDeployment(tx, next, deployment.version), 'a locked deployment keeps its version');
    const from = world.workloads.map(nameOf);
    const pools = after.map(({ workload, replicas }) => ({ ...nameOf(workload), replicas }));
    record(tx, replicasSpread({ deployment: next, from, to: pools, reasons: plan.reasons, at, principal: PRINCIPAL.id }));
    await decisions.record(tx, {
      ...{ teamId, projectId, deploymentId, kind: 'failover', subjectKind: 'Deployment', subjectId: deploymentId, at },
      ...{ principal: PRINCIPAL.id, inputs: { replicas: deployment.spec.replicas, from }, candidates: [], rejected: {} },
      ...{ chosen: { pools }, reasons: plan.reasons, expectedHourly: hourly },
    });
  }
}

/** Everything that the plan follows from is as it was; what a cluster has seen of a workload does not matter to it. */
function isAsPlanned(planned: readonly Workload[], live: readonly Workload[]): boolean {
  const now = new Map(live.map((workload) => [workload.id, workload]));
  return planned.every(({ id, generation }) => generation === 0 || now.get(id)?.generation === generation);
}

const isPlaceLost = ({ spec }: Deployment, clusters: readonly Cluster[]): boolean =>
  (spec.placement.places ?? []).some(({ cluster }) => clusters.some((one) => one.name === cluster && isLost(one)));

const nameOf = ({ clusterName, poolName, replicas }: FailoverWorld['workloads'][number]) => ({
  ...{ cluster: clusterName, pool: poolName, replicas },
});

/** True if the wish has clusters of several orders. */
const standsBy = ({ clusters = [] }: Deployment['spec']['placement']): boolean =>
  new Set(clusters.map(({ order }) => order)).size > 1;

const isConcerned = (placement: Deployment['spec']['placement'], clusters: readonly Cluster[]): boolean => {
  const names = [...(placement.clusters ?? []), ...(placement.places ?? [])].map(({ cluster }) => cluster);
  return standsBy(placement) || clusters.some((one) => names.includes(one.name) && (isLost(one) || isUnreachable(one)));
};

/** Workloads that are left, with their replicas then. */
const countsAfter = ({ workloads }: FailoverWorld, { changes }: FailoverPlan) =>
  workloads.flatMap((workload) => {
    const change = changes.find((one) => one.workload.id === workload.id);
    return change?.gone ? [] : [{ workload, replicas: change?.replicas ?? workload.replicas }];
  });
