import { offeringIdOf } from '../../src/clouds/offering-key.ts';
import { CostQueryRepository } from '../../src/costs/cost-query.repository.ts';
import { CostRepository } from '../../src/costs/cost.repository.ts';
import { CostsService } from '../../src/costs/costs.service.ts';
import { NodeCostRepository } from '../../src/costs/node-cost.repository.ts';
import { newId, type Id } from '../../src/kernel/id.ts';
import type { Instant } from '../../src/kernel/instant.ts';
import type { Transaction } from '../../src/kernel/transaction.ts';
import type { Database } from '../../src/persistence/database.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import type { ReplicaState } from '../../src/deployments/cluster.port.ts';
import { seededRandom } from './actors.ts';

export const makeCostsService = (database: Database): CostsService =>
  new CostsService({ database, store: new CostRepository(), query: new CostQueryRepository(), nodes: new NodeCostRepository() });

export interface CostedWorld {
  readonly teamId: Id;
  readonly projectId: Id;
  readonly modelId: Id;
  readonly versionId: Id;
  readonly deploymentId: Id;
  readonly revisionId: Id;
  readonly offeringId: Id;
  readonly clusterId: Id;
  readonly workloadId: Id;
}

/** The rows that a replica hangs on, with the same ids for the same seed; `name` names the team, the project and all below it. */
export async function makeCostedWorld(tx: Transaction, seed: number, name: string): Promise<CostedWorld> {
  const random = seededRandom(seed);
  const [teamId, projectId, modelId, versionId, deploymentId, revisionId, clusterId, poolId, workloadId] = Array.from(
    { length: 9 },
    () => newId(1, random),
  ) as [Id, Id, Id, Id, Id, Id, Id, Id, Id];
  const offeringId = offeringIdOf({
    provider: 'aws',
    region: name,
    zone: '',
    instanceType: 'm5.large',
    capacityType: 'on_demand',
  });
  const run = (text: string, values: readonly unknown[]) => sqlOf(tx).execute(text, values);
  await run(`insert into team (id, name, version, created_at) values ($1, $2, 1, 1)`, [teamId, name]);
  await run(
    `insert into project (id, team_id, name, max_replicas, max_spend_per_hour, version, created_at) values ($1, $2, $3, 10, 1, 1, 1)`,
    [projectId, teamId, name],
  );
  await run(
    `insert into model (id, team_id, project_id, name, version, created_at, created_by) values ($1, $2, $3, $4, 1, 1, 'x')`,
    [modelId, teamId, projectId, name],
  );
  await run(
    `insert into model_version (id, team_id, project_id, model_id, number, format, runtime, resources, created_at, created_by)
      values ($1, $2, $3, $4, 1, 'onnx', '{}', '{}', 1, 'x')`,
    [versionId, teamId, projectId, modelId],
  );
  await run(
    `insert into offering (id, provider, region, instance_type, capacity_type, architecture, cpu_milli) values ($1, 'aws', $2, 'm5.large', 'on_demand', 'amd64', 2000)`,
    [offeringId, name],
  );
  await run(`insert into cluster (id, name, kind, version, created_at) values ($1, $2, 'local', 1, 1)`, [clusterId, name]);
  await run(
    `insert into pool (id, cluster_id, name, capacity_type, version, created_at) values ($1, $2, 'p', 'on_demand', 1, 1)`,
    [poolId, clusterId],
  );
  await run(
    `insert into deployment (id, team_id, project_id, name, spec, generation, version, phase, created_at, created_by, updated_at)
      values ($1, $2, $3, $4, '{}', 1, 1, 'Ready', 1, 'x', 1)`,
    [deploymentId, teamId, projectId, name],
  );
  await run(
    `insert into revision (id, team_id, project_id, deployment_id, number, model_id, model_version_id, spec, concurrency, created_at, created_by)
      values ($1, $2, $3, $4, 1, $5, $6, '{}', 2, 1, 'x')`,
    [revisionId, teamId, projectId, deploymentId, modelId, versionId],
  );
  await run(
    `insert into workload (id, team_id, project_id, deployment_id, revision_id, cluster_id, pool_id, offering_id, replicas, generation, created_at)
      values ($1, $2, $3, $4, $5, $6, $7, $8, 1, 1, 1)`,
    [workloadId, teamId, projectId, deploymentId, revisionId, clusterId, poolId, offeringId],
  );
  return { teamId, projectId, modelId, versionId, deploymentId, revisionId, offeringId, clusterId, workloadId };
}

export async function addReplica(
  tx: Transaction,
  world: CostedWorld,
  replica: {
    readonly id: Id;
    readonly from: Instant;
    readonly until?: Instant;
    readonly transitions: readonly (readonly [Instant, ReplicaState])[];
  },
): Promise<void> {
  const seen = replica.until ?? replica.transitions.at(-1)?.[0] ?? replica.from;
  await sqlOf(tx).execute(
    `insert into replica (id, team_id, project_id, deployment_id, revision_id, workload_id, cluster_id, offering_id, state, capacity_from,
        capacity_until, observed_at, last_evidence_at) values ($1, $2, $3, $4, $5, $6, $7, $8, 'serving', $9, $10, $11, $11)`,
    [
      replica.id,
      world.teamId,
      world.projectId,
      world.deploymentId,
      world.revisionId,
      world.workloadId,
      world.clusterId,
      world.offeringId,
      replica.from,
      replica.until ?? null,
      seen,
    ],
  );
  for (const [n, [at, state]] of replica.transitions.entries()) {
    await sqlOf(tx).execute(`insert into replica_transition (replica_id, n, team_id, at, state) values ($1, $2, $3, $4, $5)`, [
      replica.id,
      n,
      world.teamId,
      at,
      state,
    ]);
  }
}

export async function addPrice(
  tx: Transaction,
  world: CostedWorld,
  price: { readonly id: Id; readonly rate: bigint; readonly from: Instant; readonly observedAt: Instant },
): Promise<void> {
  await sqlOf(tx).execute(
    `insert into price (id, offering_id, list, contracted, effective, effective_from, observed_at, source, state, principal)
      values ($1, $2, $3, $4, $5, $6, $7, 'test', 'believed', 'x')`,
    [
      price.id,
      world.offeringId,
      (price.rate * 2n).toString(),
      price.rate.toString(),
      price.rate.toString(),
      price.from,
      price.observedAt,
    ],
  );
}
