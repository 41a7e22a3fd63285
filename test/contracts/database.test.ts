// Uses the database through its door: snapshots, roll back, ended handles, and a server behind a proxy that drops packets silently.
import { createServer, connect, type Server, type Socket } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { Scope, Transaction } from '../../src/kernel/transaction.ts';
import { Database } from '../../src/persistence/database.ts';
import { appendHistory } from '../../src/persistence/history.ts';
import { withSavepoint } from '../../src/persistence/savepoint.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

const LOOP: Scope = { kind: 'reconciler', loop: 'test' };

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());

const insert = (tx: Transaction, name: string) =>
  sqlOf(tx).execute(`insert into price_book_load (digest, rows, loaded_at) values ($1, 0, 0)`, [name]);
const count = (tx: Transaction) => sqlOf(tx).query<{ n: number }>(`select count(*) as n from price_book_load`);

describe('Database: transactions', () => {
  it('reads one snapshot, whatever is committed meanwhile', async () => {
    const open = await db.database.beginRead(LOOP);
    const before = await count(open.tx);
    await db.database.write(LOOP, (tx) => insert(tx, 'meanwhile'));
    expect(await count(open.tx)).toEqual(before);
    await open.end();
    await open.end();
    expect(await db.database.read(LOOP, count)).not.toEqual(before);
  });

  it('rolls back what throws, refuses to write in a read, and refuses a handle that has ended', async () => {
    const before = await db.database.read(LOOP, count);
    const thrown = db.database.write(LOOP, async (tx) => {
      await insert(tx, 'thrown');
      throw new Error('no');
    });
    await expect(thrown).rejects.toThrow('no');
    await expect(db.database.read(LOOP, (tx) => insert(tx, 'in a read'))).rejects.toThrow(/read-only/);
    expect(await db.database.read(LOOP, count)).toEqual(before);
    const ended = await db.database.write(LOOP, (tx) => Promise.resolve(tx));
    expect(() => sqlOf(ended)).toThrow(/ended/);
  });

  it('writes nothing of a body that was undone behind a savepoint, and all of what came before and after it', async () => {
    const keep = (tx: Transaction, name: string, kept: boolean) =>
      withSavepoint(
        tx,
        () => insert(tx, name),
        () => kept,
      );
    await db.database.write(LOOP, async (tx) => {
      await insert(tx, 'before');
      await keep(tx, 'undone', false);
      await keep(tx, 'kept', true);
      await insert(tx, 'after');
    });
    const digests = `select digest from price_book_load where digest in ('before', 'undone', 'kept', 'after') order by digest`;
    const rows = await db.database.read(LOOP, (tx) => sqlOf(tx).query(digests));
    expect(rows).toEqual([{ digest: 'after' }, { digest: 'before' }, { digest: 'kept' }]);
  });

  it('gives int8 as number, numeric as text, jsonb parsed, several queries at once', async () => {
    const [[row], other] = await db.database.read(LOOP, (tx) =>
      Promise.all([
        sqlOf(tx).query(
          `select 9007199254740991::int8 as big, 12345678901234567890::numeric as money, '{"a":[1]}'::jsonb as json`,
        ),
        count(tx),
      ]),
    );
    expect(row).toEqual({ big: Number.MAX_SAFE_INTEGER, money: '12345678901234567890', json: { a: [1] } });
    expect(other).toHaveLength(1);
  });

  it('keeps history: what was valid at an instant', async () => {
    const thing = { model_id: '00000000-0000-7000-8000-000000000001', name: 'live' };
    const table = 'history_probe_history';
    await sqlSetup(
      `create table ${table} (model_id uuid, name text, generation int, spec jsonb, valid_from bigint, principal text); grant select, insert on ${table} to purser_app`,
    );
    await db.database.write(LOOP, async (tx) => {
      for (const generation of [1, 2])
        await appendHistory(tx, table, {
          ...thing,
          generation,
          spec: { generation },
          valid_from: generation * 100,
          principal: 'p',
        });
    });
    const at = async (instant: number) => {
      const valid = `select spec from ${table} where valid_from <= $1 order by valid_from desc limit 1`;
      const [row] = await db.database.read(LOOP, (tx) => sqlOf(tx).query<{ spec: unknown }>(valid, [instant]));
      return row?.spec;
    };
    expect([await at(99), await at(100), await at(199), await at(1_000)]).toEqual([
      undefined,
      { generation: 1 },
      { generation: 1 },
      { generation: 2 },
    ]);
  });
});

async function sqlSetup(statement: string): Promise<void> {
  const owner = await Database.connect({ url: db.ownerUrl });
  await owner.autocommit(statement, 5_000);
  await owner.close();
}

describe('Database: a connection whose packets are dropped', () => {
  let folder: string;
  let proxy: Server;
  const sockets = new Set<Socket>();
  let dropping = false;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'purser-proxy-'));
    proxy = createServer((client) => {
      const server = connect(join(inject('databaseSocket'), '.s.PGSQL.5432'));
      for (const socket of [client, server]) sockets.add(socket.on('error', () => undefined));
      client.on('data', (bytes) => {
        if (!dropping) server.write(bytes);
      });
      server.on('data', (bytes) => {
        if (!dropping) client.write(bytes);
      });
      client.on('close', () => server.destroy());
    });
    await new Promise<void>((resolve) => proxy.listen(join(folder, '.s.PGSQL.5432'), resolve));
  });
  afterAll(async () => {
    for (const socket of sockets) socket.destroy();
    proxy.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('is given up after the limit and never handed out again', async () => {
    const url = db.appUrl.replace(/host=.*$/, `host=${encodeURIComponent(folder)}`);
    const database = await Database.connect({ url, maxConnections: 1, queryTimeoutMs: 300 });
    await database.read(LOOP, count);
    dropping = true;
    await expect(database.read(LOOP, count)).rejects.toThrow();
    dropping = false;
    expect(await database.read(LOOP, count)).toHaveLength(1);
    await database.close();
  });
});
