import type { DecisionsService } from '../decisions/decisions.service.ts';
import { record } from '../events/event-log.ts';
import type { ClusterStore } from '../fleet/cluster-store.port.ts';
import { isLost, isUnreachable, type Cluster } from '../fleet/cluster.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import { invariant } from '../kernel/invariant.ts';
import type { Principal } from '../kernel/principal.ts';
import type { Scope, Transaction } from '../kernel/transaction.ts';
import type { Database } from '../persistence/database.ts';
import { fencedWrite } from '../persistence/fenced-write.ts';
import type { Lease } from '../persistence/lease.ts';
import type { PricesService } from '../pricing/prices.service.ts';
import type { Reconciliation } from '../reconcile/loop.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { DeployService } from './deploy.service.ts';
import { replicasSpread } from './deployment.events.ts';
import type { Deployment } from './deployment.ts';
import type { DeploymentStore } from './deployment-store.port.ts';
import { planFailover, type FailoverPlan, type FailoverWorld } from './plan-failover.ts';
import type { SpotStore } from './spot-store.port.ts';
import type { WishWriter } from './wish-writer.service.ts';
import { hourlyOfWorkloads } from './workload-cost.ts';

export interface FailoverDeps {
  readonly database: Database;
  readonly store: DeploymentStore;
  readonly spot: Pick<SpotStore, 'standingBy'>;
  readonly clusters: Pick<ClusterStore, 'present'>;
  readonly prices: Pick<PricesService, 'ratesAt'>;
  readonly writer: Pick<WishWriter, 'checkQuotas'>;
  readonly decisions: Pick<DecisionsService, 'record'>;
  readonly deploy: Pick<DeployService, 'deploy'>;
  readonly clock: Clock;
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

  constructor(deps: FailoverDeps) {
    this.#deps = deps;
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
      if (step.modelVersion !== null) await this.#placeAnew(step.deployment, step.modelVersion);
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
    const rates = await prices.ratesAt(
      tx,
      workloads.map(({ offeringId }) => offeringId),
      clock.now(),
    );
    return deployments.flatMap((deployment) => {
      const [only, ...others] = deployment.spec.traffic.filter(({ weight }) => weight > 0);
      const isMoving = rollouts.get(deployment.id)?.endedAt === null;
      const revision = revisions.find((one) => one.deploymentId === deployment.id && one.number === only?.revision);
      if (!revision || others.length > 0 || isMoving) return [];
      const own = workloads.filter(({ revisionId }) => revisionId === revision.id);
      const isLostPlace = (deployment.spec.placement.places ?? []).some(({ cluster }) =>
        clusters.some((one) => one.name === cluster && isLost(one)),
      );
      const world = { spec: deployment.spec, workloads: own, clusters, rates };
      return [{ deployment, world, modelVersion: isLostPlace ? revision.spec.modelVersionNumber : null }];
    });
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

  /** The same wish once more: it finds another place among what clusters may rent, under every guard and quota. */
  async #placeAnew(deployment: Deployment, number: number): Promise<void> {
    const { teamName, projectName, name, spec, generation } = deployment;
    const input = {
      project: { teamName, name: projectName },
      name,
      model: spec.model,
      version: { number },
      manager: spec.manager ?? null,
    };
    const options = { dryRun: false, planHash: null, expectedVersion: generation };
    const outcome = await this.#deps.deploy.deploy({ principal: PRINCIPAL, idempotencyKey: null }, input, options);
    if (!outcome.ok)
      this.#deps.logger.warn(
        { deployment: deployment.id, why: outcome.error.message },
        'what was on a lost cluster finds no place',
      );
  }

  async #write(tx: Transaction, { deployment, world, plan }: Affected & { readonly plan: FailoverPlan }): Promise<void> {
    const { store, clock, decisions, writer, logger } = this.#deps;
    await store.lockTeam(tx, deployment.teamId);
    const before = await store.lockDeployment(tx, deployment.id);
    if (before?.version !== deployment.version) return;
    const after = countsAfter(world, plan);
    const hourly = hourlyOfWorkloads(
      after.map(({ workload, replicas }) => ({ ...workload, replicas })),
      world.rates,
    );
    const wanted = { replicas: after.reduce((all, { replicas }) => all + replicas, 0), hourly };
    const { teamId, projectId, id: deploymentId } = before;
    const refused = await writer.checkQuotas(tx, { teamId, projectId, deploymentId }, wanted);
    const changes = refused
      ? plan.changes.filter(({ gone, replicas, workload }) => gone || replicas < workload.replicas)
      : plan.changes;
    if (refused) logger.warn({ deployment: deploymentId, why: refused.message }, 'a quota keeps a standby from growing');
    if (changes.length === 0) return;
    const at = clock.now();
    for (const { workload, replicas, gone } of changes)
      await store.saveWorkload(tx, { ...workload, replicas, generation: workload.generation + 1, removedAt: gone ? at : null });
    const next = { ...before, version: before.version + 1, updatedAt: at };
    invariant(await store.updateDeployment(tx, next, before.version), 'a locked deployment keeps its version');
    const from = world.workloads.map(nameOf);
    const pools = after.map(({ workload, replicas }) => ({ ...nameOf(workload), replicas }));
    record(tx, replicasSpread({ deployment: next, from, to: pools, reasons: plan.reasons, at, principal: PRINCIPAL.id }));
    await decisions.record(tx, {
      ...{ teamId, projectId, deploymentId, kind: 'failover', subjectKind: 'Deployment', subjectId: deploymentId, at },
      ...{ principal: PRINCIPAL.id, inputs: { replicas: before.spec.replicas, from }, candidates: [], rejected: {} },
      ...{ chosen: { pools }, reasons: plan.reasons, expectedHourly: hourly },
    });
  }
}

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
