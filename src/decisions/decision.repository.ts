import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';
import type { Decision } from './decision.ts';
import type { DecisionsQuestion, DecisionStore, ShownPlan } from './decision-store.port.ts';

const COLUMNS = `id, team_id as "teamId", project_id as "projectId", deployment_id as "deploymentId", kind, subject_kind as "subjectKind",
  subject_id as "subjectId", at, principal, inputs, candidates, rejected, chosen, reasons, expected_hourly as "expectedHourly",
  expected_saving as "expectedSaving", realised_saving as "realisedSaving"`;

type Row = Omit<Decision, 'expectedHourly' | 'expectedSaving' | 'realisedSaving'> & {
  readonly expectedHourly: string | null;
  readonly expectedSaving: string | null;
  readonly realisedSaving: string | null;
};

const money = (digits: string | null): bigint | null => (digits === null ? null : BigInt(digits));

const toDecision = (row: Row): Decision => ({
  ...row,
  expectedHourly: money(row.expectedHourly),
  expectedSaving: money(row.expectedSaving),
  realisedSaving: money(row.realisedSaving),
});

/** Decisions in PostgreSQL. */
export class DecisionRepository implements DecisionStore {
  async insert(tx: Transaction, decision: Decision): Promise<void> {
    await sqlOf(tx).execute(
      `insert into decision (id, team_id, project_id, deployment_id, kind, subject_kind, subject_id, at, principal, inputs, candidates, rejected,
         chosen, reasons, expected_hourly, expected_saving) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
      [
        decision.id,
        decision.teamId,
        decision.projectId,
        decision.deploymentId,
        decision.kind,
        decision.subjectKind,
        decision.subjectId,
        decision.at,
        decision.principal,
        ...[decision.inputs, decision.candidates, decision.rejected, decision.chosen, decision.reasons].map((value) =>
          JSON.stringify(value),
        ),
        decision.expectedHourly?.toString() ?? null,
        decision.expectedSaving?.toString() ?? null,
      ],
    );
  }

  async list(tx: Transaction, { subjectId, kind, visible, before, limit }: DecisionsQuestion): Promise<Decision[]> {
    const rows = await sqlOf(tx).query<Row>(
      `select ${COLUMNS} from decision
       where ($1::uuid is null or subject_id = $1) and ($2::text is null or kind = $2) and ($3::uuid is null or id < $3)
         and ($4::uuid[] is null or team_id = any ($4) or project_id = any ($5::uuid[]))
       order by id desc limit $6`,
      [subjectId, kind, before, visible?.teamIds ?? null, visible?.projectIds ?? [], limit + 1],
    );
    return rows.map(toDecision);
  }

  async byIds(tx: Transaction, ids: readonly Id[]): Promise<Decision[]> {
    return (await sqlOf(tx).query<Row>(`select ${COLUMNS} from decision where id = any ($1::uuid[])`, [ids])).map(toDecision);
  }

  async newestOf(tx: Transaction, subjectIds: readonly Id[], limit: number): Promise<Decision[]> {
    const rows = await sqlOf(tx).query<Row>(
      `select d.* from unnest($1::uuid[]) as wanted (id)
       cross join lateral (select ${COLUMNS} from decision where subject_id = wanted.id order by id desc limit $2) d`,
      [subjectIds, limit],
    );
    return rows.map(toDecision);
  }

  async keepPlan(tx: Transaction, shown: ShownPlan): Promise<void> {
    await sqlOf(tx).execute(
      `insert into stored_plan (hash, principal_id, team_id, project_id, mutation, plan, created_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7, $8)
       on conflict (hash, principal_id) do update set plan = excluded.plan, created_at = excluded.created_at, expires_at = excluded.expires_at`,
      [
        shown.hash,
        shown.principalId,
        shown.teamId,
        shown.projectId,
        shown.mutation,
        JSON.stringify(shown.plan),
        shown.createdAt,
        shown.expiresAt,
      ],
    );
  }

  async shownPlan(
    tx: Transaction,
    key: { hash: string; principalId: Id; mutation: string },
    now: Instant,
  ): Promise<ShownPlan | null> {
    const [row] = await sqlOf(tx).query<ShownPlan>(
      `select hash, principal_id as "principalId", team_id as "teamId", project_id as "projectId", mutation, plan, created_at as "createdAt",
         expires_at as "expiresAt" from stored_plan where hash = $1 and principal_id = $2 and mutation = $3 and expires_at > $4`,
      [key.hash, key.principalId, key.mutation, now],
    );
    return row ?? null;
  }

  prunePlans(tx: Transaction, now: Instant): Promise<number> {
    return sqlOf(tx).execute(`delete from stored_plan where expires_at <= $1`, [now]);
  }
}
