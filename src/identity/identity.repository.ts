import type { Cause } from '../kernel/event.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import { invariant } from '../kernel/invariant.ts';
import type { Grant, PrincipalKind } from '../kernel/principal.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { appendHistory } from '../persistence/history.ts';
import { sqlOf } from '../persistence/sql.ts';
import type { Places } from './authorize.ts';
import type { IdentityStore, ListWindow, PrincipalRecord, TokenRecord } from './identity-store.port.ts';
import type { Quota, QuotaResource } from './quotas.ts';
import type { Project, Team } from './team.ts';

const TEAM = `select id, name, version, created_at as "createdAt" from team`;
const PROJECT = `select p.id, p.team_id as "teamId", t.name as "teamName", p.name, p.max_replicas as "maxReplicas",
  p.max_spend_per_hour as "maxSpendPerHour", p.version, p.created_at as "createdAt" from project p join team t on t.id = p.team_id`;
const PRINCIPAL = `select p.id, p.kind, p.name, p.team_id as "teamId", p.issuer, p.subject, p.platform_actions as "platformActions",
  p.created_at as "createdAt", p.disabled_at as "disabledAt",
  coalesce((select jsonb_agg(jsonb_build_object('role', g.role, 'teamId', g.team_id, 'projectId', g.project_id) order by g.created_at, g.id)
    from role_grant g where g.principal_id = p.id), '[]'::jsonb) as grants from principal p`;
const TOKEN = `select id, principal_id as "principalId", team_id as "teamId", type, name, encode(hash, 'hex') as hash, hint, scope,
  created_at as "createdAt", expires_at as "expiresAt", revoked_at as "revokedAt" from token`;
const QUOTA = `select id, team_id as "teamId", project_id as "projectId", resource, maximum, version from quota`;

type ProjectRow = Omit<Project, 'maxSpendPerHour'> & { readonly maxSpendPerHour: string };
type QuotaRow = Omit<Quota, 'maximum'> & { readonly maximum: string };

const toProject = (row: ProjectRow): Project => ({ ...row, maxSpendPerHour: BigInt(row.maxSpendPerHour) });
const toQuota = (row: QuotaRow): Quota => ({ ...row, maximum: BigInt(row.maximum) });

const appendProject = (tx: Transaction, project: Project, { at, principal }: Cause): Promise<void> =>
  appendHistory(tx, 'project_history', {
    ...{ project_id: project.id, generation: project.version, team_id: project.teamId, max_replicas: project.maxReplicas },
    ...{ max_spend_per_hour: String(project.maxSpendPerHour), valid_from: at, principal },
  });

/** Identity in PostgreSQL; row-level security narrows every statement to the transaction's scope. */
export class IdentityRepository implements IdentityStore {
  async findTeam(tx: Transaction, by: { id: Id } | { name: string }): Promise<Team | null> {
    const [column, value] = 'id' in by ? ['id', by.id] : ['name', by.name];
    const [row] = await sqlOf(tx).query<Team>(`${TEAM} where ${column} = $1`, [value]);
    return row ?? null;
  }

  async findProject(tx: Transaction, by: { id: Id } | { teamName: string; name: string }): Promise<Project | null> {
    const sql = sqlOf(tx);
    const [row] =
      'id' in by
        ? await sql.query<ProjectRow>(`${PROJECT} where p.id = $1`, [by.id])
        : await sql.query<ProjectRow>(`${PROJECT} where t.name = $1 and p.name = $2`, [by.teamName, by.name]);
    return row ? toProject(row) : null;
  }

  async projectsById(tx: Transaction, ids: readonly Id[]): Promise<readonly Project[]> {
    return (await sqlOf(tx).query<ProjectRow>(`${PROJECT} where p.id = any ($1::uuid[])`, [ids])).map(toProject);
  }

  listTeams(tx: Transaction, { after, limit }: ListWindow): Promise<readonly Team[]> {
    return sqlOf(tx).query<Team>(`${TEAM} where ($1::text is null or name > $1) order by name limit $2`, [after, limit + 1]);
  }

  async listProjects(tx: Transaction, teamId: Id, places: Places, { after, limit }: ListWindow): Promise<readonly Project[]> {
    const rows = await sqlOf(tx).query<ProjectRow>(
      `${PROJECT} where p.team_id = $1 and ($2 or p.team_id = any ($3::uuid[]) or p.id = any ($4::uuid[])) and ($5::text is null or p.name > $5)
       order by p.name limit $6`,
      [teamId, places.all, places.teamIds, places.projectIds, after, limit + 1],
    );
    return rows.map(toProject);
  }

  async insertTeam(tx: Transaction, team: Team): Promise<void> {
    await sqlOf(tx).execute(`insert into team (id, name, version, created_at) values ($1, $2, $3, $4)`, [
      team.id,
      team.name,
      team.version,
      team.createdAt,
    ]);
  }

  async insertProject(tx: Transaction, project: Project, cause: Cause): Promise<void> {
    await sqlOf(tx).execute(
      `insert into project (id, team_id, name, max_replicas, max_spend_per_hour, version, created_at) values ($1, $2, $3, $4, $5, $6, $7)`,
      [
        project.id,
        project.teamId,
        project.name,
        project.maxReplicas,
        String(project.maxSpendPerHour),
        project.version,
        project.createdAt,
      ],
    );
    await appendProject(tx, project, cause);
  }

  async updateProject(tx: Transaction, project: Project, { expected, ...cause }: Cause & { expected: number }): Promise<boolean> {
    const changed = await sqlOf(tx).execute(
      `update project set max_replicas = $2, max_spend_per_hour = $3, version = $4 where id = $1 and version = $5`,
      [project.id, project.maxReplicas, String(project.maxSpendPerHour), project.version, expected],
    );
    if (changed === 1) await appendProject(tx, project, cause);
    return changed === 1;
  }

  async findPrincipal(tx: Transaction, id: Id): Promise<PrincipalRecord | null> {
    const [row] = await sqlOf(tx).query<PrincipalRecord>(`${PRINCIPAL} where p.id = $1`, [id]);
    return row ?? null;
  }

  async findPerson(tx: Transaction, issuer: string, subject: string): Promise<PrincipalRecord | null> {
    const [row] = await sqlOf(tx).query<PrincipalRecord>(`${PRINCIPAL} where p.issuer = $1 and p.subject = $2`, [
      issuer,
      subject,
    ]);
    return row ?? null;
  }

  async findPlatformPrincipal(tx: Transaction, kind: PrincipalKind, name: string): Promise<PrincipalRecord | null> {
    const [row] = await sqlOf(tx).query<PrincipalRecord>(
      `${PRINCIPAL} where p.team_id is null and p.kind = $1 and p.name = $2 order by p.created_at, p.id limit 1`,
      [kind, name],
    );
    return row ?? null;
  }

  listPrincipals(
    tx: Transaction,
    teamIds: readonly Id[] | null,
    { after, limit }: ListWindow,
  ): Promise<readonly PrincipalRecord[]> {
    return sqlOf(tx).query<PrincipalRecord>(
      `${PRINCIPAL} where ($1::uuid[] is null or p.team_id = any ($1)) and ($2::uuid is null or p.id > $2) order by p.id limit $3`,
      [teamIds, after, limit + 1],
    );
  }

  async insertPrincipal(tx: Transaction, principal: Omit<PrincipalRecord, 'grants'>): Promise<void> {
    await sqlOf(tx).execute(
      `insert into principal (id, kind, name, team_id, issuer, subject, platform_actions, created_at) values ($1, $2, $3, $4, $5, $6, $7, $8)`,
      [
        principal.id,
        principal.kind,
        principal.name,
        principal.teamId,
        principal.issuer,
        principal.subject,
        principal.platformActions,
        principal.createdAt,
      ],
    );
  }

  async insertGrant(tx: Transaction, grant: Grant & { id: Id; principalId: Id; createdAt: Instant }): Promise<boolean> {
    const inserted = await sqlOf(tx).execute(
      `insert into role_grant (id, principal_id, role, team_id, project_id, created_at) values ($1, $2, $3, $4, $5, $6) on conflict do nothing`,
      [grant.id, grant.principalId, grant.role, grant.teamId, grant.projectId, grant.createdAt],
    );
    return inserted === 1;
  }

  async deleteGrant(tx: Transaction, principalId: Id, grant: Grant): Promise<Id | null> {
    const [gone] = await sqlOf(tx).query<{ id: Id }>(
      `delete from role_grant where principal_id = $1 and role = $2 and team_id is not distinct from $3 and project_id is not distinct from $4
       returning id`,
      [principalId, grant.role, grant.teamId, grant.projectId],
    );
    return gone?.id ?? null;
  }

  async findTokenByHash(tx: Transaction, hash: string): Promise<TokenRecord | null> {
    const [row] = await sqlOf(tx).query<TokenRecord>(`${TOKEN} where hash = decode($1, 'hex')`, [hash]);
    return row ?? null;
  }

  async findToken(tx: Transaction, id: Id): Promise<TokenRecord | null> {
    const [row] = await sqlOf(tx).query<TokenRecord>(`${TOKEN} where id = $1`, [id]);
    return row ?? null;
  }

  listTokens(tx: Transaction, teamIds: readonly Id[] | null, { after, limit }: ListWindow): Promise<readonly TokenRecord[]> {
    return sqlOf(tx).query<TokenRecord>(
      `${TOKEN} where ($1::uuid[] is null or team_id = any ($1)) and ($2::uuid is null or id > $2) order by id limit $3`,
      [teamIds, after, limit + 1],
    );
  }

  async insertToken(tx: Transaction, token: TokenRecord): Promise<void> {
    await sqlOf(tx).execute(
      `insert into token (id, principal_id, team_id, type, name, hash, hint, scope, created_at, expires_at)
       values ($1, $2, $3, $4, $5, decode($6, 'hex'), $7, $8, $9, $10)`,
      [
        token.id,
        token.principalId,
        token.teamId,
        token.type,
        token.name,
        token.hash,
        token.hint,
        token.scope === null ? null : JSON.stringify(token.scope),
        token.createdAt,
        token.expiresAt,
      ],
    );
  }

  async revokeToken(tx: Transaction, id: Id, at: Instant): Promise<boolean> {
    return (await sqlOf(tx).execute(`update token set revoked_at = $2 where id = $1 and revoked_at is null`, [id, at])) === 1;
  }

  liveTokens(tx: Transaction, now: Instant): Promise<readonly TokenRecord[]> {
    return sqlOf(tx).query<TokenRecord>(
      `${TOKEN} where revoked_at is null and (expires_at is null or expires_at > $1) order by id`,
      [now],
    );
  }

  allPrincipals(tx: Transaction): Promise<readonly PrincipalRecord[]> {
    return sqlOf(tx).query<PrincipalRecord>(`${PRINCIPAL} where p.disabled_at is null order by p.id`);
  }

  async findQuotas(tx: Transaction, teamId: Id, projectId: Id | null, resource: QuotaResource): Promise<readonly Quota[]> {
    const rows = await sqlOf(tx).query<QuotaRow>(
      `${QUOTA} where team_id = $1 and resource = $3 and (project_id is null or project_id = $2) order by project_id nulls first`,
      [teamId, projectId, resource],
    );
    return rows.map(toQuota);
  }

  async teamQuotas(tx: Transaction, teamIds: readonly Id[], resource: QuotaResource): Promise<readonly Quota[]> {
    const text = `${QUOTA} where team_id = any ($1::uuid[]) and project_id is null and resource = $2`;
    return (await sqlOf(tx).query<QuotaRow>(text, [teamIds, resource])).map(toQuota);
  }

  async listQuotas(tx: Transaction, teamId: Id): Promise<readonly Quota[]> {
    return (
      await sqlOf(tx).query<QuotaRow>(`${QUOTA} where team_id = $1 order by resource, project_id nulls first`, [teamId])
    ).map(toQuota);
  }

  async saveQuota(tx: Transaction, quota: Quota, { at, principal }: Cause): Promise<Quota> {
    const [row] = await sqlOf(tx).query<QuotaRow>(
      `insert into quota (id, team_id, project_id, resource, maximum, version) values ($1, $2, $3, $4, $5, 1)
       on conflict (team_id, project_id, resource) do update set maximum = excluded.maximum, version = quota.version + 1
       returning id, team_id as "teamId", project_id as "projectId", resource, maximum, version`,
      [quota.id, quota.teamId, quota.projectId, quota.resource, String(quota.maximum)],
    );
    invariant(row, 'an upsert returns its row');
    await appendHistory(tx, 'quota_history', {
      ...{ quota_id: row.id, generation: row.version, team_id: row.teamId, project_id: row.projectId },
      ...{ resource: row.resource, maximum: row.maximum, valid_from: at, principal },
    });
    return toQuota(row);
  }

  async lockFirstStart(tx: Transaction): Promise<void> {
    await sqlOf(tx).query(`select pg_advisory_xact_lock(hashtextextended('purser.first-start', 0))`);
  }
}
