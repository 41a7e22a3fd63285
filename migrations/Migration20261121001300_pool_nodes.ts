import { Migration } from '@mikro-orm/migrations';

/** Which nodes belong to a pool. */
export class Migration20261121001300_pool_nodes extends Migration {
  override up(): void {
    this.addSql(`alter table pool add column node_selector jsonb not null default '{}'`);
  }
}
