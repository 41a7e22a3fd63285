import { Migration } from '@mikro-orm/migrations';

/** Replicas by what they run, which every pass of a rollout and every question for what served asks, and revisions by their model. */
export class Migration20261121001200_replicas_of_revisions extends Migration {
  override up(): void {
    this.addSql(`
      create index on replica (revision_id);
      create index on revision (model_id);
    `);
  }
}
