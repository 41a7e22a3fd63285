import type { Digest } from '../kernel/digest.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';
import { CLAIM_MS, type Artifact, type ArtifactKey, type ArtifactStore } from './artifact-store.port.ts';

/** An arbitrary constant that only this lock uses. */
const USE_LOCK = 7_203_912;
const COLUMNS = `project_id as "projectId", team_id as "teamId", digest, size_bytes as "sizeBytes", state, created_at as "createdAt"`;
const OF_WRITER = `project_id = $1 and digest = $2 and writer = $3 and state = 'uploading'`;

/** Claims to artifacts in PostgreSQL; row-level security narrows every statement to the transaction's scope. */
export class ArtifactRepository implements ArtifactStore {
  async artifact(tx: Transaction, projectId: Id, digest: Digest): Promise<Artifact | null> {
    const [row] = await sqlOf(tx).query<Artifact>(`select ${COLUMNS} from artifact where project_id = $1 and digest = $2`, [
      projectId,
      digest,
    ]);
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

  async claim(tx: Transaction, artifact: Artifact, writer: Id): Promise<boolean> {
    const { projectId, digest, teamId, sizeBytes, state, createdAt } = artifact;
    const claimed = await sqlOf(tx).execute(
      `insert into artifact as a (project_id, digest, team_id, size_bytes, state, created_at, touched_at, writer, writer_until)
       values ($1, $2, $3, $4, $5, $6, $6, $7, purser_now_ms() + $8)
       on conflict (project_id, digest) do update set size_bytes = excluded.size_bytes, touched_at = excluded.touched_at,
         writer = excluded.writer, writer_until = excluded.writer_until
       where a.state = 'uploading' and a.writer_until <= purser_now_ms()`,
      [projectId, digest, teamId, sizeBytes, state, createdAt, writer, CLAIM_MS],
    );
    return claimed === 1;
  }

  async renew(tx: Transaction, { projectId, digest }: Artifact, writer: Id, now: Instant): Promise<boolean> {
    const renewed = await sqlOf(tx).execute(
      `update artifact set touched_at = $4, writer_until = purser_now_ms() + $5 where ${OF_WRITER}`,
      [projectId, digest, writer, now, CLAIM_MS],
    );
    return renewed === 1;
  }

  async release(tx: Transaction, { projectId, digest }: ArtifactKey, writer: Id): Promise<void> {
    await sqlOf(tx).execute(`update artifact set writer_until = 0 where ${OF_WRITER}`, [projectId, digest, writer]);
  }

  async finish(tx: Transaction, { projectId, digest }: ArtifactKey, writer: Id): Promise<boolean> {
    const finished = await sqlOf(tx).execute(
      `update artifact set state = 'stored', writer = null, writer_until = 0 where ${OF_WRITER}`,
      [projectId, digest, writer],
    );
    return finished === 1;
  }

  async remove(tx: Transaction, { projectId, digest }: ArtifactKey, writer: Id): Promise<void> {
    await sqlOf(tx).execute(`delete from artifact where ${OF_WRITER}`, [projectId, digest, writer]);
  }

  abandoned(tx: Transaction, before: Instant, limit: number): Promise<Artifact[]> {
    return sqlOf(tx).query<Artifact>(
      `select ${COLUMNS} from artifact where state = 'uploading' and touched_at < $1 and writer_until <= purser_now_ms()
       order by touched_at limit $2`,
      [before, limit],
    );
  }
}
