import { record } from '../events/event-log.ts';
import type { DecisionsService } from '../decisions/decisions.service.ts';
import type { QuotasService } from '../identity/quotas.service.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Cause, EventDraft } from '../kernel/event.ts';
import type { Id } from '../kernel/id.ts';
import { HOUR_MS, type Instant } from '../kernel/instant.ts';
import type { Scope, Transaction } from '../kernel/transaction.ts';
import type { Database } from '../persistence/database.ts';
import { assertHeld, LeaseLost, type Lease } from '../persistence/lease.ts';
import type { PricesService } from '../pricing/prices.service.ts';
import type { Reconciliation } from '../reconcile/loop.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { ArtifactGrants } from './artifact-grants.port.ts';
import { ClusterUnreachable, type ApplyResult, type ClusterObservation, type ClusterPort } from './cluster.port.ts';
import { deploymentChanged, deploymentGone, phaseChanged, replicaChanged, rolloutChanged } from './deployment.events.ts';
import type { Deployment } from './deployment.ts';
import type { DeploymentStore } from './deployment-store.port.ts';
import type { DeploymentMetrics } from './deployments.metrics.ts';
import { makeWorkloadSpec, NO_ARTIFACT } from './make-workload-spec.ts';
import { planCluster, type ClusterInput, type ClusterPlan, type DeploymentStep } from './plan-cluster.ts';
import type { LoopPace } from './plan-workloads.ts';
import type { ReplicaEvidence } from './replica-evidence.port.ts';
import { isHeld, type Replica, type Workload } from './replica.ts';
import type { RevisionErrorSource } from './revision-errors.port.ts';

export interface DeploymentsReconcilerDeps {
  readonly database: Database;
  readonly store: DeploymentStore;
  readonly prices: Pick<PricesService, 'believedAt'>;
  readonly decisions: Pick<DecisionsService, 'record'>;
  readonly quotas: Pick<QuotasService, 'replicaLimits'>;
  /** Null = nobody counts errors. */
  readonly errors: RevisionErrorSource | null;
  /** Null = nobody meters requests. */
  readonly evidence: ReplicaEvidence | null;
  readonly artifacts: ArtifactGrants;
  readonly metrics: DeploymentMetrics;
  readonly clusterId: Id;
  readonly cluster: ClusterPort;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly pace: LoopPace;
  /** The lease of this cluster's loop; null while another instance leads. */
  readonly lease: () => Lease | null;
}

/** What a pass knows; null = this instance does not lead, and does nothing. */
export type PassInput = { readonly lease: Lease; readonly cluster: ClusterInput } | null;
export type PassPlan = {
  readonly lease: Lease;
  readonly cluster: ClusterPlan;
  readonly teamReplicaLimits: ReadonlyMap<Id, number>;
} | null;

const SCOPE: Scope = { kind: 'reconciler', loop: 'deployments' };
const PRINCIPAL = 'reconciler:deployments';
/** Given-up replicas are compared for this long: longer than clusters show them. */
const RECENT_MS = 2 * HOUR_MS;

/** Makes the wishes of one cluster true, one step per pass. */
export class DeploymentsReconciler implements Reconciliation<PassInput, PassPlan> {
  readonly #deps: DeploymentsReconcilerDeps;
  /** What the cluster refused, by workload and generation: asked again each pass, so that a lifted refusal is noticed. */
  readonly #refusals = new Map<Id, { readonly generation: number; readonly message: string }>();
  #seenAt: Instant | null = null;

  constructor(deps: DeploymentsReconcilerDeps) {
    this.#deps = deps;
  }

  async prepare(): Promise<PassInput> {
    const lease = this.#deps.lease();
    if (!lease) return null;
    const observation = await this.#observe();
    const seenAt = this.#seenAt;
    if (observation) this.#seenAt = observation.observedAt;
    const rows = await this.#deps.database.read(SCOPE, (tx) => this.#load(tx, observation));
    return { lease, cluster: { ...rows, observation, seenAt } };
  }

  plan(input: PassInput, now: Instant): PassPlan {
    if (!input) return null;
    const { teamReplicaLimits } = input.cluster;
    return { lease: input.lease, cluster: planCluster(input.cluster, this.#deps.pace, now), teamReplicaLimits };
  }

  /** Rows first, then effects: a crash between the two is mended by the next pass. */
  async execute(plan: PassPlan, signal: AbortSignal): Promise<void> {
    this.#deps.metrics.saw(plan?.cluster.held ?? null);
    if (!plan) return;
    const { orphans, steps } = plan.cluster;
    if (orphans.length > 0) await this.#fenced(plan.lease, (tx) => this.#deps.store.saveReplicas(tx, orphans));
    for (const step of steps) {
      signal.throwIfAborted();
      const isCurrent = !writesAnything(step) || (await this.#fenced(plan.lease, (tx) => this.#write(tx, step)));
      if (!isCurrent) continue;
      if (step.plan.rollout?.endedAt) this.#deps.metrics.rolledOut(step.plan.rollout.state);
      await this.#effect(step, plan);
    }
  }

  async #observe(): Promise<ClusterObservation | null> {
    try {
      return await this.#deps.cluster.observe();
    } catch (error) {
      if (!(error instanceof ClusterUnreachable)) throw error;
      this.#deps.metrics.unseen();
      this.#deps.logger.warn({ cluster: this.#deps.clusterId, err: error }, 'the cluster cannot be seen');
      return null;
    }
  }

  async #load(tx: Transaction, observation: ClusterObservation | null): Promise<Omit<ClusterInput, 'observation' | 'seenAt'>> {
    const { store, prices, clusterId, clock } = this.#deps;
    const now = clock.now();
    const deployments = await store.deploymentsOn(tx, clusterId);
    const ids = deployments.map(({ id }) => id);
    const rollouts = await store.rollouts(tx, ids);
    const workloads = await store.workloadsOn(tx, clusterId);
    const known = await store.replicasOn(tx, clusterId, now - RECENT_MS);
    const replicas = observation ? await this.#withEvidence(tx, known, observation) : known;
    const offerings = [...new Set([...workloads, ...replicas].map(({ offeringId }) => offeringId))];
    const rates = new Map([...(await prices.believedAt(tx, offerings, now))].map(([id, row]) => [id, row.effective]));
    const revisions = await store.revisions(tx, ids);
    const shifting = rollouts.filter(({ state }) => state === 'shifting');
    const errors = await this.#errorsOf(tx, shifting);
    const teamReplicaLimits = await this.#deps.quotas.replicaLimits(tx, [...new Set(deployments.map(({ teamId }) => teamId))]);
    return {
      deployments,
      revisions,
      rollouts,
      workloads,
      replicas,
      rates,
      errors,
      refusals: this.#presentRefusals(workloads),
      teamReplicaLimits,
    };
  }

  /** Those that are gone without anybody having seen it lived at least until their last request. */
  async #withEvidence(tx: Transaction, known: Replica[], { replicas, observedAt }: ClusterObservation): Promise<Replica[]> {
    const seen = new Set(replicas.map(({ replicaId }) => replicaId));
    const lost = known.filter((replica) => isHeld(replica) && !seen.has(replica.id)).map(({ id }) => id);
    if (!this.#deps.evidence || lost.length === 0) return known;
    const served = await this.#deps.evidence.lastServed(tx, lost);
    return known.map((replica) => {
      const until = Math.min(served.get(replica.id) ?? 0, observedAt);
      return until > replica.lastEvidenceAt ? { ...replica, lastEvidenceAt: until } : replica;
    });
  }

  #errorsOf(tx: Transaction, shifting: readonly { readonly toRevisionId: Id; readonly startedAt: Instant }[]) {
    if (!this.#deps.errors || shifting.length === 0) return Promise.resolve(new Map<Id, never>());
    const since = Math.min(...shifting.map(({ startedAt }) => startedAt));
    return this.#deps.errors.errorsOf(
      tx,
      shifting.map(({ toRevisionId }) => toRevisionId),
      since,
    );
  }

  /** Those of the workloads as they are; what was said of others is forgotten. */
  #presentRefusals(workloads: readonly Workload[]): Map<Id, string> {
    const generations = new Map(workloads.map(({ id, generation }) => [id, generation]));
    for (const [id, { generation }] of this.#refusals) if (generations.get(id) !== generation) this.#refusals.delete(id);
    return new Map([...this.#refusals].map(([id, { message }]) => [id, message]));
  }

  #fenced<T>(lease: Lease, body: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.#deps.database.write(SCOPE, async (tx) => {
      await assertHeld(tx, lease);
      return body(tx);
    });
  }

  /** False if the wish changed meanwhile: then nothing is written, and the next pass sees the new one. */
  async #write(tx: Transaction, step: DeploymentStep): Promise<boolean> {
    const { store } = this.#deps;
    const { deployment, replicas, plan } = step;
    const locked = await store.lockDeployment(tx, deployment.id);
    if (locked?.version !== deployment.version) return false;
    await store.saveReplicas(tx, replicas);
    for (const workload of new Map([...plan.removed, ...plan.gone].map((one) => [one.id, one])).values())
      await store.saveWorkload(tx, workload);
    if (plan.rollout) await store.saveRollout(tx, plan.rollout, PRINCIPAL);
    if (plan.deployment) await store.updateDeployment(tx, plan.deployment, deployment.version);
    if (plan.deployment && plan.wishChanged) await this.#recordRollback(tx, plan.deployment, plan.rollout?.reason ?? '');
    record(tx, ...eventsOf(step, { at: this.#deps.clock.now(), principal: PRINCIPAL }));
    return true;
  }

  /** Going back is a wish of the loop's own: it has a history row and a decision. */
  async #recordRollback(tx: Transaction, row: Deployment, reason: string): Promise<void> {
    await this.#deps.store.appendWish(tx, row, PRINCIPAL);
    const { id, teamId, projectId, generation, spec, updatedAt: at } = row;
    await this.#deps.decisions.record(tx, {
      ...{
        teamId,
        projectId,
        deploymentId: id,
        kind: 'auto_rollback',
        subjectKind: 'Deployment',
        subjectId: id,
        at,
        principal: PRINCIPAL,
      },
      ...{
        inputs: { generation },
        candidates: [],
        rejected: {},
        chosen: { traffic: spec.traffic.map((weight) => ({ ...weight })) },
      },
      ...{ reasons: [reason], expectedHourly: null },
    });
  }

  async #effect({ deployment, plan }: DeploymentStep, { lease, teamReplicaLimits }: NonNullable<PassPlan>): Promise<void> {
    const fence = { epoch: lease.epoch };
    const row = plan.deployment ?? deployment;
    const teamReplicaLimit = teamReplicaLimits.get(row.teamId) ?? null;
    for (const workload of plan.apply) {
      const spec = await this.#specOf(row, workload, teamReplicaLimit);
      this.#heed(workload, await this.#deps.cluster.apply(spec, fence));
    }
    for (const id of plan.remove) {
      this.#heed(null, await this.#deps.cluster.remove(id, fence));
      this.#refusals.delete(id);
    }
  }

  async #specOf(deployment: Deployment, workload: Workload, teamReplicaLimit: number | null) {
    const [revision] = await this.#deps.database.read(SCOPE, (tx) => this.#deps.store.revisionsByIds(tx, [workload.revisionId]));
    if (!revision) throw new Error(`workload ${workload.id} has no revision`);
    const { teamName, projectName, projectId } = deployment;
    const digest = revision.spec.artifactDigest;
    const wanted = digest === null ? null : { workloadId: workload.id, projectId, teamName, projectName, digest };
    const artifact = wanted ? this.#deps.artifacts.grant(wanted) : NO_ARTIFACT;
    return makeWorkloadSpec(deployment, revision, workload, { artifact, teamReplicaLimit });
  }

  #heed(workload: Workload | null, result: ApplyResult): void {
    if (result.outcome === 'stale_epoch') throw new LeaseLost(`the cluster has seen epoch ${result.seenEpoch}`);
    if (!workload) return;
    if (result.outcome === 'refused')
      this.#refusals.set(workload.id, { generation: workload.generation, message: `${result.reason}: ${result.message}` });
    else this.#refusals.delete(workload.id);
  }
}

const writesAnything = ({ replicas, plan }: DeploymentStep): boolean =>
  replicas.length + plan.removed.length + plan.gone.length > 0 || plan.deployment !== null || plan.rollout !== null;

function eventsOf({ deployment: before, rolloutBefore, replicas, plan }: DeploymentStep, cause: Cause): EventDraft[] {
  const after = plan.deployment ?? before;
  const events = replicas.flatMap((change) => replicaChanged(change.before, change.after, after, cause));
  if (plan.rollout) events.push(rolloutChanged(rolloutBefore, plan.rollout, after, cause));
  if (plan.wishChanged) events.push(deploymentChanged(before, after, cause));
  if (before.phase !== after.phase) events.push(phaseChanged(before, after, cause));
  if (before.goneAt === null && after.goneAt !== null) events.push(deploymentGone(after, cause));
  return events;
}
