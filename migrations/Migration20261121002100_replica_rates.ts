import { Migration } from '@mikro-orm/migrations';

/** How much one replica of a version carries, by accelerator; nobody said so of versions of before. */
export class Migration20261121002100_replica_rates extends Migration {
  override up(): void {
    this.addSql(`alter table model_version add column carries jsonb not null default '[]';`);
  }
}
