import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';
import { OVERRIDE_CLEARED_SOURCE, OVERRIDE_SOURCE } from './price-book.ts';
import type { ReadingChange } from './price-feed-store.port.ts';

/** Observed prices that are believed, and the last of some. */
export const OBSERVED = `p.source not in ('${OVERRIDE_SOURCE}', '${OVERRIDE_CLEARED_SOURCE}') and p.state = 'believed'`;
export const LATEST = `order by p.effective_from desc, p.observed_at desc, p.id desc limit 1`;

/** Writes what a feed says now. Returns rows written, like the others. */
export async function saveClaims(tx: Transaction, { feed, at, claims }: ReadingChange): Promise<number> {
  if (claims.length === 0) return 0;
  return sqlOf(tx).execute(
    `insert into price_claim as c (feed, offering_id, said, amount, effective_from, since, code, unconfirmed_since)
       select $1, x.id, x.said, x.amount, x.effective_from, $2::bigint, x.code, case when x.code is null then null else $2::bigint end
       from unnest($3::uuid[], $4::text[], $5::numeric[], $6::bigint[], $7::text[]) as x (id, said, amount, effective_from, code)
     on conflict (feed, offering_id) do update
       set said = excluded.said, amount = excluded.amount, effective_from = excluded.effective_from, since = excluded.since,
           code = excluded.code,
           unconfirmed_since = case when excluded.code is null then null else coalesce(c.unconfirmed_since, excluded.since) end`,
    [
      feed,
      at,
      claims.map(({ offeringId }) => offeringId),
      claims.map(({ said }) => said),
      claims.map(({ amount }) => amount?.toString() ?? null),
      claims.map(({ effectiveFrom }) => effectiveFrom),
      claims.map(({ code }) => code),
    ],
  );
}

export async function markUnconfirmed(tx: Transaction, { feed, at, unconfirmed }: ReadingChange): Promise<number> {
  if (unconfirmed.length === 0) return 0;
  const statement = `update price_claim set unconfirmed_since = $2 where feed = $1 and offering_id = any ($3::uuid[]) and unconfirmed_since is null`;
  return sqlOf(tx).execute(statement, [feed, at, unconfirmed]);
}

export async function markConfirmed(tx: Transaction, { feed, confirmed }: ReadingChange): Promise<number> {
  if (confirmed.length === 0) return 0;
  const statement = `update price_claim set unconfirmed_since = null where feed = $1 and offering_id = any ($2::uuid[])`;
  return sqlOf(tx).execute(statement, [feed, confirmed]);
}

/** Feeds that are not configured any more, and silent, speak no longer of what costs what somebody else said. */
export function letGoClaims(tx: Transaction, now: Instant): Promise<number> {
  return sqlOf(tx).execute(
    `delete from price_claim c using price_feed f where f.name = c.feed and not f.is_configured and f.stale_since is not null
       and c.feed is distinct from ${whoSaid('$1')}`,
    [now],
  );
}

/** Who said the price that is in force of a claim's offering. `now` is a placeholder. */
const whoSaid = (now: string): string => `(select split_part(p.source, '@', 1) from price p
  where p.offering_id = c.offering_id and ${OBSERVED} and p.effective_from <= ${now} ${LATEST})`;

/** Of regions that a feed is not asked about any more, what it said itself is unconfirmed, and what it only repeated is as if it had not. */
export async function leaveRegions(
  tx: Transaction,
  { name, regions, now }: { readonly name: string; readonly regions: readonly string[]; readonly now: Instant },
): Promise<void> {
  const sql = sqlOf(tx);
  const isElsewhere = `c.feed = $1 and o.id = c.offering_id and not (o.provider || '/' || o.region) = any ($2)`;
  await sql.execute(
    `delete from price_claim c using offering o where ${isElsewhere} and c.feed is distinct from ${whoSaid('$3')}`,
    [name, regions, now],
  );
  const statement = `update price_claim c set unconfirmed_since = $3 from offering o where ${isElsewhere} and c.unconfirmed_since is null`;
  await sql.execute(statement, [name, regions, now]);
}
