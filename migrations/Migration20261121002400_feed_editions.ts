import { Migration } from '@mikro-orm/migrations';

/** Which edition of a feed was read last: a file that is read twice has said it once. */
export class Migration20261121002400_feed_editions extends Migration {
  override up(): void {
    this.addSql(`alter table price_feed add column edition text`);
  }
}
