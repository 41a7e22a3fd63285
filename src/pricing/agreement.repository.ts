import type { OfferingKey } from '../clouds/offering-key.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { appendHistory } from '../persistence/history.ts';
import { sqlOf } from '../persistence/sql.ts';
import type { AgreementStore, ObservedOffering } from './agreement-store.port.ts';
import type { Agreement, AgreementSpec } from './agreements.ts';
import { readSpec, writeSpec, type StoredSpec } from './agreement-json.ts';
import type { PriceDraft } from './price-feed-store.port.ts';
import { OBSERVED } from './price-claim.repository.ts';
import { AGREEMENTS_PRINCIPAL, appendPriceRows } from './price-feed.repository.ts';
import { OFFERING_COLUMNS, PRICE_COLUMNS, toOffering, toPrice, type OfferingRow, type PriceColumns } from './price.repository.ts';

interface AgreementRow {
  readonly id: Id;
  readonly kind: AgreementSpec['kind'];
  readonly name: string;
  readonly spec: StoredSpec;
  readonly valid_from: Instant;
  readonly valid_until: Instant | null;
  readonly version: number;
}

type By = Parameters<AgreementStore['save']>[2];

/** Agreements in PostgreSQL: the platform's own rows. */
export class AgreementRepository implements AgreementStore {
  async inForce(tx: Transaction, now: Instant): Promise<Agreement[]> {
    const text = `select * from price_agreement where removed_at is null and (valid_until is null or valid_until > $1) order by name collate "C"`;
    return (await sqlOf(tx).query<AgreementRow>(text, [now])).map(toAgreement);
  }

  paid(tx: Transaction, now: Instant): Promise<{ standsFor: OfferingKey; machines: number }[]> {
    const text = `select stands_for as "standsFor", machines from purser_paid_capacity($1)`;
    return sqlOf(tx).query<{ standsFor: OfferingKey; machines: number }>(text, [now]);
  }

  async lockByName(tx: Transaction, name: string): Promise<Agreement | null> {
    const text = `select * from price_agreement where name = $1 and removed_at is null for update`;
    const [row] = await sqlOf(tx).query<AgreementRow>(text, [name]);
    return row ? toAgreement(row) : null;
  }

  async ended(tx: Transaction, name: string): Promise<Pick<Agreement, 'id' | 'version'> | null> {
    const text = `select id, version from price_agreement where name = $1 and removed_at is not null for update`;
    const [row] = await sqlOf(tx).query<Pick<AgreementRow, 'id' | 'version'>>(text, [name]);
    return row ?? null;
  }

  async byIds(tx: Transaction, ids: readonly Id[]): Promise<Agreement[]> {
    const text = `select * from price_agreement where id = any ($1::uuid[])`;
    return (await sqlOf(tx).query<AgreementRow>(text, [ids])).map(toAgreement);
  }

  async save(tx: Transaction, agreement: Agreement, by: By): Promise<void> {
    const { id, name, spec, validFrom, validUntil, version } = agreement;
    await sqlOf(tx).execute(
      `insert into price_agreement (id, kind, name, spec, valid_from, valid_until, version) values ($1, $2, $3, $4::jsonb, $5, $6, $7)
       on conflict (id) do update set kind = excluded.kind, spec = excluded.spec, valid_from = excluded.valid_from,
         valid_until = excluded.valid_until, version = excluded.version, removed_at = null`,
      [id, spec.kind, name, JSON.stringify(writeSpec(spec)), validFrom, validUntil, version],
    );
    await this.#remember(tx, agreement, by);
  }

  async remove(tx: Transaction, agreement: Agreement, by: By): Promise<void> {
    await sqlOf(tx).execute(`update price_agreement set removed_at = $2, version = $3 where id = $1`, [
      agreement.id,
      by.at,
      agreement.version,
    ]);
    await this.#remember(tx, { ...agreement, validUntil: by.at }, by);
  }

  #remember(tx: Transaction, { id, name, spec, validFrom, validUntil, version }: Agreement, by: By): Promise<void> {
    return appendHistory(tx, 'price_agreement_history', {
      id,
      generation: version,
      spec: { name, ...writeSpec(spec), validFrom, validUntil },
      valid_from: by.at,
      principal: by.principal,
    });
  }

  async observed(tx: Transaction, now: Instant): Promise<ObservedOffering[]> {
    const rows = await sqlOf(tx).query<OfferingRow & PriceColumns>(
      `select ${OFFERING_COLUMNS}, ${PRICE_COLUMNS} from offering o join lateral (
           (select p.* from price p where p.offering_id = o.id and ${OBSERVED} and p.effective_from <= $1
              order by p.effective_from desc, p.observed_at desc, p.id desc limit 1)
           union all (select p.* from price p where p.offering_id = o.id and ${OBSERVED} and p.effective_from > $1)
         ) b on true order by o.id, b.effective_from, b.observed_at, b.id`,
      [now],
    );
    return [...Map.groupBy(rows, (row) => row.id).values()].flatMap((of) => {
      const [first] = of;
      return first ? [{ offering: toOffering(first), prices: of.map((row) => toPrice(row, row.id)) }] : [];
    });
  }

  appendPrices(tx: Transaction, prices: readonly PriceDraft[], at: Instant): Promise<number> {
    return appendPriceRows(tx, prices, { at, principal: AGREEMENTS_PRINCIPAL });
  }
}

const toAgreement = (row: AgreementRow): Agreement => ({
  id: row.id,
  name: row.name,
  spec: readSpec(row.kind, row.spec),
  validFrom: row.valid_from,
  validUntil: row.valid_until,
  version: row.version,
});
