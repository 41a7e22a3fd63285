import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { appendHistory } from '../persistence/history.ts';
import { sqlOf } from '../persistence/sql.ts';
import type { AliasChange, Model, ModelAlias } from './model.ts';
import type { ModelPath, ModelsQuestion, ModelStore, VersionsQuestion } from './model-store.port.ts';
import type { ModelVersion, VersionTarget } from './model-version.ts';

const MODEL = `select m.id, m.team_id as "teamId", m.project_id as "projectId", t.name as "teamName", p.name as "projectName", m.name,
    m.description, m.version, m.created_at as "createdAt", m.created_by as "createdBy"
  from model m join project p on p.id = m.project_id join team t on t.id = m.team_id`;
const PATH = `(t.name || '/' || p.name || '/' || m.name) collate "C"`;

const VERSION_COLUMNS = `v.id, v.team_id as "teamId", v.project_id as "projectId", v.model_id as "modelId", v.number, v.format,
  v.artifact_digest, v.artifact_size_bytes, v.signature, v.runtime, v.resources, v.carries, v.lineage, v.created_at as "createdAt",
  v.created_by as "createdBy", v.archived_at as "archivedAt"`;

const ALIAS = `model_id as "modelId", team_id as "teamId", name, version_id as "versionId"`;

type VersionRow = Omit<ModelVersion, 'artifact'> & {
  readonly artifact_digest: string | null;
  readonly artifact_size_bytes: number | null;
};

/** Models, versions and aliases in PostgreSQL; row-level security narrows every statement to the transaction's scope. */
export class ModelRepository implements ModelStore {
  async model(tx: Transaction, by: { id: Id } | ModelPath | { projectId: Id; name: string }): Promise<Model | null> {
    const [row] = await sqlOf(tx).query<Model>(...modelBy(by));
    return row ?? null;
  }

  async lockModel(tx: Transaction, id: Id): Promise<Model | null> {
    const [row] = await sqlOf(tx).query<Model>(`${MODEL} where m.id = $1 for update of m`, [id]);
    return row ?? null;
  }

  modelsByIds(tx: Transaction, ids: readonly Id[]): Promise<Model[]> {
    return sqlOf(tx).query<Model>(`${MODEL} where m.id = any ($1::uuid[])`, [ids]);
  }

  models(tx: Transaction, question: ModelsQuestion): Promise<Model[]> {
    const { projectId, nameContains, visible, after, limit } = question;
    return sqlOf(tx).query<Model>(
      `${MODEL} where ($1::uuid is null or m.project_id = $1) and ($2::text is null or position($2 in m.name) > 0)
         and ($3::uuid[] is null or m.team_id = any ($3) or m.project_id = any ($4::uuid[])) and ($5::text is null or ${PATH} > $5)
       order by ${PATH} limit $6`,
      [projectId, nameContains, visible?.teamIds ?? null, visible?.projectIds ?? null, after, limit + 1],
    );
  }

  async insertModel(tx: Transaction, model: Model): Promise<void> {
    await sqlOf(tx).execute(
      `insert into model (id, team_id, project_id, name, description, version, created_at, created_by) values ($1, $2, $3, $4, $5, $6, $7, $8)`,
      [model.id, model.teamId, model.projectId, model.name, model.description, model.version, model.createdAt, model.createdBy],
    );
  }

  async raiseVersion(tx: Transaction, modelId: Id): Promise<void> {
    await sqlOf(tx).execute(`update model set version = version + 1 where id = $1`, [modelId]);
  }

  async versionsByIds(tx: Transaction, ids: readonly Id[]): Promise<ModelVersion[]> {
    const rows = await sqlOf(tx).query<VersionRow>(
      `select ${VERSION_COLUMNS} from model_version v where v.id = any ($1::uuid[])`,
      [ids],
    );
    return rows.map(toVersion);
  }

  async version(tx: Transaction, modelId: Id, which: VersionTarget): Promise<ModelVersion | null> {
    const from = `select ${VERSION_COLUMNS} from model_version v`;
    const values: unknown[] = [modelId];
    let rest = `where v.model_id = $1 and v.archived_at is null order by v.number desc limit 1`;
    if ('number' in which) {
      values.push(which.number);
      rest = `where v.model_id = $1 and v.number = $2`;
    } else if ('alias' in which) {
      values.push(which.alias);
      rest = `join model_alias a on a.version_id = v.id where a.model_id = $1 and a.name = $2`;
    }
    const [row] = await sqlOf(tx).query<VersionRow>(`${from} ${rest}`, values);
    return row ? toVersion(row) : null;
  }

  async versions(tx: Transaction, question: VersionsQuestion): Promise<ModelVersion[]> {
    const rows = await sqlOf(tx).query<VersionRow>(
      `select ${VERSION_COLUMNS} from unnest($1::uuid[]) as wanted (id) cross join lateral (
         select * from model_version x where x.model_id = wanted.id and ($2::int is null or x.number < $2) order by x.number desc limit $3
       ) v order by v.model_id, v.number desc`,
      [question.modelIds, question.below, question.limit],
    );
    return rows.map(toVersion);
  }

  async lastNumber(tx: Transaction, modelId: Id): Promise<number> {
    const [row] = await sqlOf(tx).query<{ last: number }>(
      `select coalesce(max(number), 0) as last from model_version where model_id = $1`,
      [modelId],
    );
    return row?.last ?? 0;
  }

  async insertVersion(tx: Transaction, version: ModelVersion): Promise<void> {
    const json = [version.signature, version.runtime, version.resources, version.lineage, version.carries].map(
      (value) => value && JSON.stringify(value),
    );
    await sqlOf(tx).execute(
      `insert into model_version (id, team_id, project_id, model_id, number, format, artifact_digest, artifact_size_bytes, signature, runtime,
         resources, lineage, carries, created_at, created_by) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
      [
        version.id,
        version.teamId,
        version.projectId,
        version.modelId,
        version.number,
        version.format,
        version.artifact?.digest ?? null,
        version.artifact?.sizeBytes ?? null,
        ...json,
        version.createdAt,
        version.createdBy,
      ],
    );
  }

  async archiveVersion(tx: Transaction, id: Id, at: Instant): Promise<void> {
    await sqlOf(tx).execute(`update model_version set archived_at = $2 where id = $1 and archived_at is null`, [id, at]);
  }

  aliases(tx: Transaction, modelIds: readonly Id[]): Promise<ModelAlias[]> {
    return sqlOf(tx).query<ModelAlias>(
      `select ${ALIAS}, version from model_alias where model_id = any ($1::uuid[]) order by model_id, name`,
      [modelIds],
    );
  }

  async setAlias(tx: Transaction, change: AliasChange & { readonly versionId: Id }): Promise<void> {
    await sqlOf(tx).execute(
      `insert into model_alias (model_id, name, team_id, version_id, version) values ($1, $2, $3, $4, $5)
       on conflict (model_id, name) do update set version_id = excluded.version_id, version = excluded.version`,
      [change.modelId, change.name, change.teamId, change.versionId, change.generation],
    );
    await appendHistory(tx, 'model_alias_history', {
      model_id: change.modelId,
      name: change.name,
      generation: change.generation,
      team_id: change.teamId,
      version_id: change.versionId,
      valid_from: change.validFrom,
      principal: change.principal,
    });
  }

  aliasHistory(tx: Transaction, modelIds: readonly Id[]): Promise<AliasChange[]> {
    return sqlOf(tx).query<AliasChange>(
      `select ${ALIAS}, generation, valid_from as "validFrom", principal from model_alias_history where model_id = any ($1::uuid[])
       order by model_id, name, generation desc`,
      [modelIds],
    );
  }
}

function modelBy(by: { id: Id } | ModelPath | { projectId: Id; name: string }): [string, unknown[]] {
  if ('id' in by) return [`${MODEL} where m.id = $1`, [by.id]];
  if ('projectId' in by) return [`${MODEL} where m.project_id = $1 and m.name = $2`, [by.projectId, by.name]];
  return [`${MODEL} where t.name = $1 and p.name = $2 and m.name = $3`, [by.teamName, by.projectName, by.name]];
}

function toVersion({ artifact_digest: digest, artifact_size_bytes: sizeBytes, ...row }: VersionRow): ModelVersion {
  return { ...row, artifact: digest === null ? null : { digest, sizeBytes: sizeBytes ?? 0 } };
}
