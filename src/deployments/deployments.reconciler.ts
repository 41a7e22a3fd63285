import { record } from '../events/event-log.ts';
import type { DecisionsService } from '../decisions/decisions.service.ts';
import type { QuotasService } from '../identity/quotas.service.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Cause, EventDraft } from '../kernel/event.ts';
import type { ClusterStore } from '../fleet/cluster-store.port.ts';
import type { Id } from '../kernel/id.ts';
import { HOUR_MS, type Instant } from '../kernel/instant.ts';
import { invariant } from '../kernel/invariant.ts';
import type { Scope, Transaction } from '../kernel/transaction.ts';
import type { Database } from '../persistence/database.ts';
import { fencedWrite } from '../persistence/fenced-write.ts';
import { LeaseLost, type Lease } from '../persistence/lease.ts';
import type { PricesService } from '../pricing/prices.service.ts';
import type { Reconciliation } from '../reconcile/loop.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { ArtifactGrants } from './artifact-grants.port.ts';
import { ClusterStatusWriter } from './cluster-status.service.ts';
import { ClusterUnreachable, type ApplyResult, type ClusterObservation, type ClusterPort } from './cluster.port.ts';
import { deploymentChanged, deploymentGone, phaseChanged, replicaChanged, rolloutChanged } from './deployment.events.ts';
import type { Deployment } from './deployment.ts';
import type { DeploymentStore } from './deployment-store.port.ts';
import type { DeploymentMetrics } from './deployments.metrics.ts';
import { makeWorkloadSpec, NO_ARTIFACT } from './make-workload-spec.ts';
import { planCluster, type ClusterInput, type ClusterPlan, type DeploymentStep } from './plan-cluster.ts';
import type { ClusterFacts } from './plan-cluster-status.ts';
import type { LoopPace, WorkloadsPlan } from './plan-workloads.ts';
import type { ReplicaEvidence } from './replica-evidence.port.ts';
import { isHeld, type Replica, type SeenProblem, type Workload } from './replica.ts';
import type { Revision } from './revision.ts';
import type { RevisionErrorSource } from './revision-errors.port.ts';

export interface DeploymentsReconcilerDeps {
  readonly database: Database;
  readonly store: DeploymentStore;
  readonly clusterStore: Pick<ClusterStore, 'clustersByIds' | 'lockCluster' | 'updateStatus'>;
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
type Loaded = Omit<ClusterInput, 'observation' | 'seenAt' | 'blind' | 'otherEpoch'>;
export type PassPlan = {
  readonly lease: Lease;
  readonly cluster: ClusterPlan;
  readonly teamReplicaLimits: ReadonlyMap<Id, number>;
  readonly revisions: ReadonlyMap<Id, Revision>;
} | null;

const SCOPE: Scope = { kind: 'reconciler', loop: 'deployments' };
const PRINCIPAL = 'reconciler:deployments';
/** Given-up replicas are compared for this long: longer than clusters show them. */
const RECENT_MS = 2 * HOUR_MS;

/** Makes the wishes of one cluster true, one step per pass. */
export class DeploymentsReconciler implements Reconciliation<PassInput, PassPlan> {
  readonly #deps: DeploymentsReconcilerDeps;
  readonly #status: ClusterStatusWriter;
  /** What the cluster refused, by workload and generation: asked again each pass, so that a lifted refusal is noticed. */
  readonly #refusals = new Map<Id, SeenProblem & { readonly generation: number }>();
  /** Of the cluster, as it was last read. */
  #name = '';
  #seenAt: Instant | null = null;
  #blind: ClusterFacts['blind'] = null;
  /** What the cluster last refused as older than another leader's; null = it obeys this one. */
  #otherEpoch: number | null = null;

  constructor(deps: DeploymentsReconcilerDeps) {
    this.#deps = deps;
    this.#status = new ClusterStatusWriter(deps);
  }

  async prepare(): Promise<PassInput> {
    const lease = this.#deps.lease();
    if (!lease) return null;
    const observation = await this.#observe();
    const seenAt = this.#seenAt;
    if (observation) this.#seenAt = observation.observedAt;
    const rows = await this.#deps.database.read(SCOPE, (tx) => this.#load(tx, observation));
    const seen = { observation, seenAt, blind: this.#blind, otherEpoch: this.#otherEpoch };
    return rows && { lease, cluster: { ...rows, ...seen } };
  }

  plan(input: PassInput, now: Instant): PassPlan {
    if (!input) return null;
    const { teamReplicaLimits } = input.cluster;
    const revisions = new Map(input.cluster.revisions.map((revision) => [revision.id, revision]));
    return { lease: input.lease, cluster: planCluster(input.cluster, this.#deps.pace, now), teamReplicaLimits, revisions };
  }

  /** Rows first, then effects: a crash between the two is mended by the next pass. */
  async execute(plan: PassPlan, signal: AbortSignal): Promise<void> {
    this.#name = plan?.cluster.before.name ?? this.#name;
    this.#deps.metrics.saw(this.#name, plan?.cluster.held ?? null);
    if (!plan) return;
    const { orphans, steps, before, status, retell } = plan.cluster;
    await this.#fencedIf(status.after !== null, plan, (tx) => this.#status.write(tx, before, status.after));
    await this.#fencedIf(status.raised.length > 0, plan, (tx) => this.#saveWorkloads(tx, status.raised));
    await this.#fencedIf(orphans.length > 0, plan, (tx) => this.#deps.store.saveReplicas(tx, orphans));
    let current = true;
    for (const step of steps) current = (await this.#take(step, plan, signal)) && current;
    await this.#removeStrangers(plan);
    await this.#tidy(plan);
    await this.#fencedIf(retell && current, plan, (tx) => this.#status.writeRebuilt(tx, before));
  }

  /** False if the wish changed meanwhile. */
  async #take(step: DeploymentStep, plan: NonNullable<PassPlan>, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    const isCurrent = !writesAnything(step) || (await this.#fenced(plan.lease, (tx) => this.#write(tx, step)));
    if (!isCurrent) return false;
    if (step.plan.rollout?.endedAt) this.#deps.metrics.rolledOut(step.plan.rollout.state);
    await this.#effect(step, plan);
    return true;
  }

  async #fencedIf(needed: boolean, { lease }: NonNullable<PassPlan>, body: (tx: Transaction) => Promise<void>): Promise<void> {
    if (needed) await this.#fenced(lease, body);
  }

  async #saveWorkloads(tx: Transaction, workloads: readonly Workload[]): Promise<void> {
    for (const workload of workloads) await this.#deps.store.saveWorkload(tx, workload);
  }

  /** The lease is asked for once more: what the database does not know may be known to the database of a newer leader. */
  async #removeStrangers({ lease, cluster: { status } }: NonNullable<PassPlan>): Promise<void> {
    if (status.removals.length === 0) return;
    await this.#fenced(lease, () => Promise.resolve());
    for (const id of status.removals) {
      this.#deps.logger.warn({ cluster: this.#deps.clusterId, workload: id }, 'the database does not know it: it is removed');
      this.#heed(null, await this.#deps.cluster.remove(id, { epoch: lease.epoch }));
    }
  }

  async #tidy({ lease, cluster: { steps, held } }: NonNullable<PassPlan>): Promise<void> {
    if (!held) return;
    const projects = steps.map(({ deployment: { teamName, projectName } }) => `${teamName}/${projectName}`);
    this.#heed(null, await this.#deps.cluster.tidy(new Set(projects), { epoch: lease.epoch }));
  }

  async #observe(): Promise<ClusterObservation | null> {
    try {
      const observation = await this.#deps.cluster.observe();
      this.#blind = null;
      return observation;
    } catch (error) {
      if (!(error instanceof ClusterUnreachable)) throw error;
      this.#deps.metrics.unseen();
      this.#blind ??= { since: this.#deps.clock.now(), why: error.message };
      this.#deps.logger.warn({ cluster: this.#deps.clusterId, err: error }, 'the cluster cannot be seen');
      return null;
    }
  }

  /** Null = the cluster was removed: there is nothing to do any more. */
  async #load(tx: Transaction, observation: ClusterObservation | null): Promise<Loaded | null> {
    const { store, prices, clusterStore, clusterId, clock } = this.#deps;
    const now = clock.now();
    const deployments = await store.deploymentsOn(tx, clusterId);
    const ids = deployments.map(({ id }) => id);
    const rollouts = await store.rollouts(tx, ids);
    const workloads = await store.workloadsOn(tx, clusterId);
    const elsewhere = await this.#elsewhere(tx, ids);
    const known = await this.#known(tx, observation, now);
    const replicas = observation ? await this.#withEvidence(tx, known, observation) : known;
    const everything = [...workloads, ...replicas, ...elsewhere.workloads, ...elsewhere.replicas];
    const offerings = [...new Set(everything.map(({ offeringId }) => offeringId))];
    const rates = new Map([...(await prices.believedAt(tx, offerings, now))].map(([id, row]) => [id, row.effective]));
    const revisions = await store.revisions(tx, ids);
    const errors = await this.#errorsOf(
      tx,
      rollouts.filter(({ state }) => state === 'shifting'),
    );
    const teams = [...new Set(deployments.map(({ teamId }) => teamId))];
    const teamReplicaLimits = await this.#deps.quotas.replicaLimits(tx, teams);
    const clusterIds = [...new Set([clusterId, ...elsewhere.workloads.map((workload) => workload.clusterId)])];
    const rows = await clusterStore.clustersByIds(tx, clusterIds);
    const cluster = rows.find(({ id, removedAt }) => id === clusterId && removedAt === null);
    if (!cluster) return null;
    return {
      ...{ cluster, others: rows.filter(({ id }) => id !== clusterId), deployments, revisions, rollouts },
      ...{ workloads, replicas, elsewhere, rates, errors },
      refusals: this.#presentRefusals(workloads),
      teamReplicaLimits,
    };
  }

  /** Of this cluster: those that may change, and whatever else it speaks of, so that no end is written twice. */
  async #known(tx: Transaction, observation: ClusterObservation | null, now: Instant): Promise<Replica[]> {
    const { store, clusterId } = this.#deps;
    const recent = await store.replicasOn(tx, clusterId, now - RECENT_MS);
    const ids = new Set(recent.map(({ id }) => id));
    const others = (observation?.replicas ?? []).flatMap(({ replicaId }) => (ids.has(replicaId) ? [] : [replicaId]));
    return others.length === 0 ? recent : [...recent, ...(await store.replicasByIds(tx, others))];
  }

  async #elsewhere(tx: Transaction, deploymentIds: readonly Id[]): Promise<ClusterInput['elsewhere']> {
    const { store, clusterId } = this.#deps;
    const workloads = await store.workloads(tx, deploymentIds, { except: clusterId });
    if (workloads.length === 0) return { workloads, replicas: [] };
    const spanning = [...new Set(workloads.map(({ deploymentId }) => deploymentId))];
    const replicas = (await store.replicas(tx, spanning)).filter((replica) => replica.clusterId !== clusterId);
    return { workloads, replicas };
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
  #presentRefusals(workloads: readonly Workload[]): Map<Id, SeenProblem> {
    const generations = new Map(workloads.map(({ id, generation }) => [id, generation]));
    for (const [id, { generation }] of this.#refusals) if (generations.get(id) !== generation) this.#refusals.delete(id);
    return new Map(this.#refusals);
  }

  #fenced<T>(lease: Lease, body: (tx: Transaction) => Promise<T>): Promise<T> {
    return fencedWrite(this.#deps.database, { scope: SCOPE, lease }, body);
  }

  /** False if the wish changed meanwhile: then nothing is written, and the next pass sees the new one. */
  async #write(tx: Transaction, step: DeploymentStep): Promise<boolean> {
    const { store } = this.#deps;
    const { deployment, replicas, plan } = step;
    const locked = await store.lockDeployment(tx, deployment.id);
    if (locked?.version !== deployment.version || !(await this.#isNewest(tx, step))) return false;
    await store.saveReplicas(tx, replicas);
    await this.#saveWorkloads(tx, plan.workloads);
    if (plan.rollout) await store.saveRollout(tx, plan.rollout, PRINCIPAL);
    if (plan.deployment) await store.updateDeployment(tx, plan.deployment, deployment.version);
    if (plan.deployment && plan.wishChanged) await this.#recordRollback(tx, plan.deployment, plan);
    record(tx, ...eventsOf(step, { at: this.#deps.clock.now(), principal: PRINCIPAL }));
    return true;
  }

  /** The loop of another cluster may have moved the rollout on. */
  async #isNewest(tx: Transaction, { deployment, rolloutBefore: before, plan }: DeploymentStep): Promise<boolean> {
    if (!plan.rollout) return true;
    const [newest] = await this.#deps.store.rollouts(tx, [deployment.id]);
    return newest?.id === before?.id && newest?.version === before?.version;
  }

  /** Going back is a wish of the loop's own: it has a history row and a decision. */
  async #recordRollback(tx: Transaction, row: Deployment, { rollout, woken }: WorkloadsPlan): Promise<void> {
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
      ...{ reasons: [rollout?.reason ?? '', ...woken.map(wokenInWords)], expectedHourly: null },
    });
  }

  async #effect({ deployment, plan }: DeploymentStep, pass: NonNullable<PassPlan>): Promise<void> {
    const { lease, teamReplicaLimits, revisions } = pass;
    const fence = { epoch: lease.epoch };
    const row = plan.deployment ?? deployment;
    const teamReplicaLimit = teamReplicaLimits.get(row.teamId) ?? null;
    for (const workload of plan.apply) {
      const revision = revisions.get(workload.revisionId);
      invariant(revision, 'a workload has a revision');
      const spec = this.#specOf(row, revision, { workload, teamReplicaLimit });
      this.#heed(workload, await this.#deps.cluster.apply(spec, fence));
    }
    for (const id of plan.remove) {
      this.#heed(null, await this.#deps.cluster.remove(id, fence));
      this.#refusals.delete(id);
    }
  }

  #specOf(
    deployment: Deployment,
    revision: Revision,
    { workload, teamReplicaLimit }: { readonly workload: Workload; readonly teamReplicaLimit: number | null },
  ) {
    const { teamName, projectName, projectId } = deployment;
    const digest = revision.spec.artifactDigest;
    const wanted = digest === null ? null : { workloadId: workload.id, projectId, teamName, projectName, digest };
    const artifact = wanted ? this.#deps.artifacts.grant(wanted) : NO_ARTIFACT;
    return makeWorkloadSpec(deployment, revision, workload, { artifact, teamReplicaLimit });
  }

  #heed(workload: Workload | null, result: ApplyResult): void {
    this.#otherEpoch = result.outcome === 'stale_epoch' ? result.seenEpoch : null;
    if (result.outcome === 'stale_epoch') throw new LeaseLost(`the cluster has seen epoch ${result.seenEpoch}`);
    if (!workload) return;
    if (result.outcome !== 'refused') return void this.#refusals.delete(workload.id);
    const { reason, message, waits = false } = result;
    this.#refusals.set(workload.id, { generation: workload.generation, message: `${reason}: ${message}`, failing: !waits });
  }
}

const wokenInWords = ({ replicas, clusterName }: Workload): string =>
  `What it goes back to had 0 replicas: it gets ${replicas} on ${clusterName}, as wished.`;

const writesAnything = ({ replicas, plan }: DeploymentStep): boolean =>
  replicas.length + plan.workloads.length > 0 || plan.deployment !== null || plan.rollout !== null;

function eventsOf({ deployment: before, rolloutBefore, replicas, plan }: DeploymentStep, cause: Cause): EventDraft[] {
  const after = plan.deployment ?? before;
  const events = replicas.flatMap((change) => replicaChanged(change.before, change.after, after, cause));
  if (plan.rollout) events.push(rolloutChanged(rolloutBefore, plan.rollout, after, cause));
  if (plan.wishChanged) events.push(deploymentChanged(before, after, cause));
  if (before.phase !== after.phase) events.push(phaseChanged(before, after, cause));
  if (before.goneAt === null && after.goneAt !== null) events.push(deploymentGone(after, cause));
  return events;
}
