import { Migration } from '@mikro-orm/migrations';

/** How many replicas of a workload share one machine: what it costs is counted in whole machines. */
export class Migration20261121002000_replicas_per_machine extends Migration {
  override up(): void {
    this.addSql(`alter table workload add column per_machine integer not null default 1 check (per_machine > 0);`);
  }
}
