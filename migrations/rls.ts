/**
 * Row-level security for a table of tenants' rows (it must have `team_id`). The three named policies are the whole second wall:
 * a transaction says what it is by `purser.scope`, and a tenant's transaction names its teams in `purser.teams`.
 */
export const tenantTable = (table: string): string => `
  alter table ${table} enable row level security;
  alter table ${table} force row level security;
  create policy tenant on ${table} using (current_setting('purser.scope', true) = 'tenant' and team_id = any (purser_teams()));
  create policy platform on ${table} using (current_setting('purser.scope', true) = 'platform');
  create policy reconciler on ${table} using (current_setting('purser.scope', true) = 'reconciler');
`;

/** Row-level security for rows of no tenant that no tenant may read: what runs beside their replicas, and what it uses. */
export const platformTable = (table: string): string => `
  alter table ${table} enable row level security;
  alter table ${table} force row level security;
  create policy platform on ${table} using (current_setting('purser.scope', true) = 'platform');
  create policy reconciler on ${table} using (current_setting('purser.scope', true) = 'reconciler');
`;

/** Refuses UPDATE, DELETE and TRUNCATE: rows of an append-only table are facts. */
export const appendOnly = (table: string): string => `
  create trigger append_only before update or delete on ${table} for each row execute function purser_refuse_change();
  create trigger append_only_truncate before truncate on ${table} for each statement execute function purser_refuse_change();
`;
