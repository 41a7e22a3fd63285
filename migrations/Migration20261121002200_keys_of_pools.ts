import { Migration } from '@mikro-orm/migrations';

/**
 * Providers know pools by the id of the installation; those that had machines before there was one are known by the prefix of their cluster, and stay so until
 * they are given back.
 */
export class Migration20261121002200_keys_of_pools extends Migration {
  override up(): void {
    this.addSql(`
      alter table pool_scaling add column key_prefix text;
      update pool_scaling s set key_prefix = coalesce(c.config->>'namespacePrefix', 'purser')
        from pool p join cluster c on c.id = p.cluster_id
        where p.id = s.pool_id and s.scaled_at is not null and s.provider <> 'karpenter';
    `);
  }
}
