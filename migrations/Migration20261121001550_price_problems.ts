import { Migration } from '@mikro-orm/migrations';

/** A price that is written on a node and is none is told, and not passed over. */
export class Migration20261121001550_price_problems extends Migration {
  override up(): void {
    this.addSql(`alter table node add column price_problem text`);
  }
}
