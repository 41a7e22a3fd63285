import { record } from '../events/event-log.ts';
import { clusterRebuilding } from '../fleet/cluster.events.ts';
import type { ClusterStore } from '../fleet/cluster-store.port.ts';
import type { Cluster } from '../fleet/cluster.ts';
import { mayDo, PLATFORM } from '../identity/authorize.ts';
import type { Caller } from '../identity/identity.service.ts';
import type { QuotasService } from '../identity/quotas.service.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Json } from '../kernel/event.ts';
import { failure, notFound, type Failure } from '../kernel/failure.ts';
import type { Id } from '../kernel/id.ts';
import { err, ok, type Result } from '../kernel/result.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { Commands } from '../persistence/commands.ts';
import { ClusterUnreachable, type ClusterObservation, type ClusterPort } from './cluster.port.ts';
import type { DeploymentStore } from './deployment-store.port.ts';
import { planRebuild, type RebuildAction } from './plan-rebuild.ts';

export interface RebuildDeps {
  readonly commands: Commands;
  readonly store: Pick<DeploymentStore, 'workloadsOn' | 'deploymentsByIds' | 'revisionsByIds'>;
  readonly clusters: Pick<ClusterStore, 'lockCluster' | 'updateStatus'>;
  readonly quotas: Pick<QuotasService, 'replicaLimits'>;
  /** Null while this instance has no way to the cluster. */
  readonly clusterOf: (clusterId: Id) => ClusterPort | null;
  readonly clock: Clock;
  /** Told after a rebuild was asked for, so that the loop runs at once. */
  readonly onChange: () => void;
}

export interface RebuildInput {
  readonly clusterId: Id;
  readonly dryRun: boolean;
  readonly expectedVersion: number | null;
}

export type RebuildOutcome = {
  readonly clusterId: Id;
  /** Null = the cluster cannot be seen; it is told everything once it can. */
  readonly actions: Json;
};

/** Brings a cluster back from the database alone. */
export class RebuildService {
  readonly #deps: RebuildDeps;

  constructor(deps: RebuildDeps) {
    this.#deps = deps;
  }

  /**
   * Says what a cluster would be told, and unless `dryRun` has its loop tell it all again, whatever it seems to know. Workloads keep
   * their ids and generations, so that nothing is made twice. Failures: NOT_FOUND, CONFLICT, PRECONDITION_FAILED (a dry run of a
   * cluster that cannot be seen).
   */
  async rebuild(caller: Caller, input: RebuildInput): Promise<Result<RebuildOutcome, Failure>> {
    const mayAsk = mayDo(caller.principal, 'cluster.write', PLATFORM);
    const observation = mayAsk ? await this.#observe(input.clusterId) : null;
    const idempotencyKey = input.dryRun ? null : caller.idempotencyKey;
    const outcome = await this.#deps.commands.run(
      { ...caller, idempotencyKey, mutation: 'rebuildCluster', body: { ...input } },
      async (tx) => {
        const before = mayAsk ? await this.#deps.clusters.lockCluster(tx, input.clusterId) : null;
        if (!before) return err(notFound('cluster', ['input', 'cluster']));
        const refused = refuse(before, input, observation);
        if (refused) return err(refused);
        const actions = observation && (await this.#plan(tx, before, observation));
        if (!input.dryRun) await this.#ask(tx, before, caller.principal.id);
        return ok({ clusterId: before.id, actions: actions as Json });
      },
    );
    if (outcome.ok && !input.dryRun) this.#deps.onChange();
    return outcome;
  }

  async #observe(clusterId: Id): Promise<ClusterObservation | null> {
    try {
      return (await this.#deps.clusterOf(clusterId)?.observe()) ?? null;
    } catch (error) {
      if (error instanceof ClusterUnreachable) return null;
      throw error;
    }
  }

  async #plan(tx: Transaction, cluster: Cluster, observation: ClusterObservation): Promise<RebuildAction[]> {
    const { store, quotas, clock } = this.#deps;
    const workloads = await store.workloadsOn(tx, cluster.id);
    const deployments = await store.deploymentsByIds(tx, [...new Set(workloads.map(({ deploymentId }) => deploymentId))]);
    const revisions = await store.revisionsByIds(tx, [...new Set(workloads.map(({ revisionId }) => revisionId))]);
    const teamReplicaLimits = await quotas.replicaLimits(tx, [...new Set(deployments.map(({ teamId }) => teamId))]);
    return planRebuild({ cluster, workloads, deployments, revisions, teamReplicaLimits, observation }, clock.now());
  }

  async #ask(tx: Transaction, before: Cluster, principal: string): Promise<void> {
    const after = { ...before, rebuilds: before.rebuilds + 1, rowVersion: before.rowVersion + 1 };
    await this.#deps.clusters.updateStatus(tx, after);
    record(tx, clusterRebuilding({ before, after, at: this.#deps.clock.now(), principal }));
  }
}

function refuse(
  { version, name }: Cluster,
  { expectedVersion, dryRun }: RebuildInput,
  observation: ClusterObservation | null,
): Failure | null {
  if (expectedVersion !== null && expectedVersion !== version)
    return failure('CONFLICT', `The cluster is at version ${version} now: read it again.`, { path: ['expectedVersion'] });
  return dryRun && !observation
    ? failure(
        'PRECONDITION_FAILED',
        `Cluster ${name} cannot be seen by this control plane, so that nobody knows what is missing there.`,
      )
    : null;
}
