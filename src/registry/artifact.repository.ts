import type { Digest } from '../kernel/digest.ts';
import type { Id } from '../kernel/id.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';
import type { Artifact, ArtifactStore } from './artifact-store.port.ts';

/** An arbitrary constant that only this lock uses. */
const USE_LOCK = 7_203_912;

export class ArtifactRepository implements ArtifactStore {
  async artifact(tx: Transaction, projectId: Id, digest: Digest): Promise<Artifact | null> {
    const [row] = await sqlOf(tx).query<Artifact>(
      `select project_id as "projectId", team_id as "teamId", digest, size_bytes as "sizeBytes", state, created_at as "createdAt"
       from artifact where project_id = $1 and digest = $2`,
      [projectId, digest],
    );
    return row ?? null;
  }

  async lockUse(tx: Transaction, teamId: Id): Promise<void> {
    await sqlOf(tx).query(`select pg_advisory_xact_lock($1, hashtext($2))`, [USE_LOCK, teamId]);
  }

  async use(tx: Transaction, teamId: Id, projectId: Id): Promise<{ team: bigint; project: bigint }> {
    const [row] = await sqlOf(tx).query<{ team: string; project: string }>(
      `select coalesce(sum(size_bytes), 0)::text as team, coalesce(sum(size_bytes) filter (where project_id = $2), 0)::text as project
       from artifact where team_id = $1`,
      [teamId, projectId],
    );
    return { team: BigInt(row?.team ?? 0), project: BigInt(row?.project ?? 0) };
  }

  async save(tx: Transaction, artifact: Artifact): Promise<void> {
    await sqlOf(tx).execute(
      `insert into artifact (project_id, digest, team_id, size_bytes, state, created_at) values ($1, $2, $3, $4, $5, $6)
       on conflict (project_id, digest) do update set size_bytes = excluded.size_bytes, state = excluded.state`,
      [artifact.projectId, artifact.digest, artifact.teamId, artifact.sizeBytes, artifact.state, artifact.createdAt],
    );
  }

  async remove(tx: Transaction, projectId: Id, digest: Digest): Promise<void> {
    await sqlOf(tx).execute(`delete from artifact where project_id = $1 and digest = $2`, [projectId, digest]);
  }
}
