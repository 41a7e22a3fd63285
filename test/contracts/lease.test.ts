// Two holders on a real database; time passes by moving the lease's end, since the database's own clock judges.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Scope } from '../../src/kernel/transaction.ts';
import { LeaseLost, acquireLease, assertHeld, releaseLease, renewLease, type Lease } from '../../src/persistence/lease.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { LeaseKeeper } from '../../src/reconcile/lease-keeper.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { quietLogger } from '../support/quiet-logger.ts';

const SCOPE: Scope = { kind: 'reconciler', loop: 'test' };

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());

const acquire = (name: string, holder: string) => db.database.write(SCOPE, (tx) => acquireLease(tx, name, holder));
const renew = (lease: Lease) => db.database.write(SCOPE, (tx) => renewLease(tx, lease));
const expire = (name: string) =>
  db.database.write(SCOPE, (tx) => sqlOf(tx).execute(`update lease set expires_at = 0 where name = $1`, [name]));
const mark = (lease: Lease, text: string) =>
  db.database.write(SCOPE, async (tx) => {
    await assertHeld(tx, lease);
    await sqlOf(tx).execute(`insert into price_book_load (digest, rows, loaded_at) values ($1, 0, 0)`, [text]);
  });
const marks = () => db.database.read(SCOPE, (tx) => sqlOf(tx).query<{ digest: string }>(`select digest from price_book_load`));

async function held(name: string, holder: string): Promise<Lease> {
  const lease = await acquire(name, holder);
  if (!lease) throw new Error('the lease is not free');
  return lease;
}

describe('Lease: one holder, judged by the database’s clock', () => {
  it('goes to one of many at once', async () => {
    const got = await Promise.all(Array.from({ length: 10 }, (_, n) => acquire('race', `h${n}`)));
    expect(got.filter((lease) => lease !== null)).toHaveLength(1);
  });

  it('is renewed by its holder, not taken by another before its end, and free after being given back', async () => {
    const lease = await held('one', 'a');
    expect(await renew(lease)).toBe(true);
    expect(await acquire('one', 'b')).toBeNull();
    await db.database.write(SCOPE, (tx) => releaseLease(tx, lease));
    expect((await held('one', 'b')).epoch).toBeGreaterThan(lease.epoch);
    expect(await renew(lease)).toBe(false);
  });

  it('outranks in a restored or new database what its effects were fenced by before', async () => {
    const before = await held('lost', 'a');
    await db.database.write(SCOPE, (tx) => sqlOf(tx).execute(`delete from lease where name = 'lost'`));
    expect((await held('lost', 'a')).epoch).toBeGreaterThan(before.epoch);
  });

  it('a leader frozen past its lease and thawed writes nothing, whether it was replaced or not', async () => {
    const frozen = await held('frozen', 'a');
    await mark(frozen, 'before');
    await expire('frozen');
    await expect(mark(frozen, 'after its end')).rejects.toThrow(LeaseLost);
    const next = await held('frozen', 'b');
    await expect(mark(frozen, 'after being replaced')).rejects.toThrow(LeaseLost);
    expect(await renew(frozen)).toBe(false);
    await mark(next, 'by the next');
    expect((await marks()).map(({ digest }) => digest)).toEqual(['before', 'by the next']);
  });

  it('is not taken over while a write under it is open, and renewing does not wait for that write', async () => {
    const lease = await held('open', 'a');
    const gate = Promise.withResolvers<undefined>();
    const inside = Promise.withResolvers<undefined>();
    const write = db.database.write(SCOPE, async (tx) => {
      await assertHeld(tx, lease);
      inside.resolve(undefined);
      await gate.promise;
    });
    await inside.promise;
    expect(await renew(lease)).toBe(true);
    await expire('open');
    expect(await acquire('open', 'b')).toBeNull();
    gate.resolve(undefined);
    await write;
    expect(await acquire('open', 'b')).not.toBeNull();
  });
});

describe('Lease keeper: takes, keeps and hands over', () => {
  const keeper = (name: string, holder: string, now: () => number) =>
    new LeaseKeeper({
      database: db.database,
      name,
      holder,
      clock: { now },
      random: { fraction: () => 0, bytes: (n) => new Uint8Array(n) },
      logger: quietLogger,
    });

  it('holds it, stops believing in it when its time is up, and gives it back at the end', async () => {
    let now = 0;
    const first = keeper('kept', 'a', () => now);
    first.start();
    const lease = await eventually(() => first.current() ?? false);
    now = 15_000;
    expect(first.current()).toBeNull();
    await first.stop();
    const second = keeper('kept', 'b', () => 0);
    second.start();
    expect((await eventually(() => second.current() ?? false)).epoch).toBeGreaterThan(lease.epoch);
    await second.stop();
  });
});
