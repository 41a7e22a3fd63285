import { Migration } from '@mikro-orm/migrations';

/** What the loop that follows the spot market asks at every change is found without reading every deployment and every decision; what it remembers is kept by cluster. */
export class Migration20261121002300_spot_reads extends Migration {
  override up(): void {
    this.addSql(`
      create index deployment_on_spot on deployment (id) where deleted_at is null and spec #> '{placement,capacityTypes}' @> '"spot"';
      create index deployment_standing_by on deployment (id)
        where deleted_at is null and jsonb_path_exists(spec, '$.placement.clusters[*].order ? (@ > 0)');
      create index decision_preempt on decision (deployment_id, id desc) where kind = 'preempt';
      alter table spot_record add column cluster text not null default '';
      alter table spot_record drop constraint spot_record_pkey, add primary key (deployment_id, cluster);
    `);
  }
}
