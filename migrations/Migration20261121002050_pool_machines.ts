import { Migration } from '@mikro-orm/migrations';

/** A function over every team's rows: it says which scope it reads in, and leaves the one that it found. */
const acrossTeams = (signature: string, columns: string, query: string): string => `
  create function ${signature} returns table (${columns}) language plpgsql as $$
  declare
    before text := coalesce(current_setting('purser.scope', true), '');
  begin
    perform set_config('purser.scope', 'reconciler', true);
    return query ${query};
    perform set_config('purser.scope', before, true);
  end $$;
`;

/**
 * What all teams together hold of what may be rented or is paid for, as numbers: whoever places must know how much is left, and nothing else of
 * others. What is placed may make a pool, which is of no team: a team's transaction may say so, and read nothing of it.
 */
export class Migration20261121002050_pool_machines extends Migration {
  override up(): void {
    this.addSql(
      acrossTeams(
        'purser_pool_machines(pools uuid[])',
        'pool uuid, machines integer',
        `select w.pool_id, sum(ceil(w.replicas::numeric / w.per_machine))::integer from workload w
         where w.pool_id = any (pools) and w.removed_at is null group by w.pool_id`,
      ),
    );
    this.addSql(`
      alter policy tenant on outbox with check (
        current_setting('purser.scope', true) = 'tenant'
          and (team_id = any (purser_teams()) or (team_id is null and subject_kind = 'Pool')));
    `);
    this.addSql(
      acrossTeams(
        'purser_paid_capacity(at bigint)',
        'stands_for jsonb, machines integer',
        `select coalesce(a.spec -> 'covers', a.spec -> 'shape'), (a.spec ->> 'count')::integer from price_agreement a
         where a.removed_at is null and a.kind <> 'discount' and a.valid_from <= at and (a.valid_until is null or a.valid_until > at)`,
      ),
    );
  }
}
