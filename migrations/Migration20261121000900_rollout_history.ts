import { Migration } from '@mikro-orm/migrations';
import { appendOnly, tenantTable } from './rls.ts';

/** Every state that a rollout was ever in, so that the share of traffic at any instant of the past can be told. */
export class Migration20261121000900_rollout_history extends Migration {
  override up(): void {
    this.addSql(`
      create table rollout_history (
        rollout_id uuid not null references rollout,
        generation integer not null,
        team_id uuid not null references team,
        state text not null,
        step integer not null,
        ended boolean not null,
        valid_from bigint not null,
        principal text not null,
        primary key (rollout_id, generation)
      );
      insert into rollout_history (rollout_id, generation, team_id, state, step, ended, valid_from, principal)
        select id, version, team_id, state, step, ended_at is not null, step_started_at, 'migration' from rollout;
      create index on deployment_history (deployment_id, valid_from);
      create index on replica (deployment_id, capacity_from);
      create index on revision (model_version_id);
    `);
    this.addSql(tenantTable('rollout_history'));
    this.addSql(appendOnly('rollout_history'));
  }
}
