import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from './sql.ts';

/** How long a lease lasts, by the database's clock. Higher delays a take-over, lower loses it in a pause of the garbage collector. */
export const LEASE_MS = 15_000;
/** How often the holder renews. Higher leaves fewer than two tries before the end, lower writes more in a steady state. */
export const RENEW_EVERY_MS = 5_000;

/** The right to run one loop on one thing. The epoch rises with every new holder and fences all effects. */
export interface Lease {
  readonly name: string;
  /** The instance that holds it. */
  readonly holder: string;
  readonly epoch: number;
}

/** The holder was replaced, or did not renew in time: nothing of this transaction may happen. */
export class LeaseLost extends Error {
  override readonly name = 'LeaseLost';
}

/** True if `acquireLease` may succeed; reads only, so that instances that wait write nothing. */
export async function isFree(tx: Transaction, name: string): Promise<boolean> {
  const held = await sqlOf(tx).query(`select 1 from lease where name = $1 and expires_at > purser_now_ms()`, [name]);
  return held.length === 0;
}

/** The lease if it is free, has ended, or was this holder's own (then with a new epoch); null while somebody else holds it. */
export async function acquireLease(tx: Transaction, name: string, holder: string): Promise<Lease | null> {
  const sql = sqlOf(tx);
  await sql.execute(`insert into lease (name, holder, epoch, expires_at) values ($1, $2, 0, 0) on conflict do nothing`, [
    name,
    holder,
  ]);
  // FOR UPDATE, which waits for every write that is fenced by the old epoch; renewing does not.
  const free = await sql.query(
    `select 1 from lease where name = $1 and (expires_at <= purser_now_ms() or holder = $2) for update skip locked`,
    [name, holder],
  );
  if (free.length === 0) return null;
  // At least the milliseconds since 1970: a database that was restored or made anew still outranks what its clusters saw before.
  const [row] = await sql.query<{ epoch: number }>(
    `update lease set holder = $2, epoch = greatest(epoch + 1, purser_now_ms()), expires_at = purser_now_ms() + $3
      where name = $1 returning epoch`,
    [name, holder, LEASE_MS],
  );
  return row ? { name, holder, epoch: row.epoch } : null;
}

/** Prolongs it; false if it has ended or somebody else holds it. */
export async function renewLease(tx: Transaction, lease: Lease): Promise<boolean> {
  const renewed = await sqlOf(tx).execute(
    `update lease set expires_at = purser_now_ms() + $4 where name = $1 and holder = $2 and epoch = $3 and expires_at > purser_now_ms()`,
    [lease.name, lease.holder, lease.epoch, LEASE_MS],
  );
  return renewed === 1;
}

/** Throws `LeaseLost` unless the lease is held; until this transaction ends nobody can take it over. First in every fenced write. */
export async function assertHeld(tx: Transaction, lease: Lease): Promise<void> {
  const held = await sqlOf(tx).query(
    `select 1 from lease where name = $1 and holder = $2 and epoch = $3 and expires_at > purser_now_ms() for key share`,
    [lease.name, lease.holder, lease.epoch],
  );
  if (held.length === 0) throw new LeaseLost(`lease ${lease.name} epoch ${lease.epoch} is no longer held by ${lease.holder}`);
}

/** Gives it back, so that another instance need not wait for its end. */
export async function releaseLease(tx: Transaction, lease: Lease): Promise<void> {
  await sqlOf(tx).execute(`update lease set expires_at = 0 where name = $1 and holder = $2 and epoch = $3`, [
    lease.name,
    lease.holder,
    lease.epoch,
  ]);
}
