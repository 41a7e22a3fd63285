import { IsolationLevel, MikroORM } from '@mikro-orm/core';
import { PostgreSqlDriver, type EntityManager } from '@mikro-orm/postgresql';
import { PostgresDialect } from 'kysely';
import type pg from 'pg';
import { invariant } from '../kernel/invariant.ts';
import type { Scope, Transaction } from '../kernel/transaction.ts';
import { honestPool, makeClient, makePool } from './connection.ts';
import { forget, handleOf, openTransactionOf } from './open-transaction.ts';
import { appendToOutbox } from './outbox.ts';
import { sqlOver, type Executor, type Sql } from './sql-executor.ts';

/** Connections of one process. Higher starves other instances (PostgreSQL's own default is 100), lower makes requests queue. */
const MAX_CONNECTIONS = 12;

export interface DatabaseOptions {
  readonly url: string;
  readonly maxConnections?: number;
  readonly applicationName?: string;
  /** How long a client waits for an answer before it is destroyed, in ms. */
  readonly queryTimeoutMs?: number;
}

/** A transaction that the caller ends, for a request whose parts are resolved one by one. */
export interface OpenRead {
  readonly tx: Transaction;
  end(): Promise<void>;
}

/** PostgreSQL as seen by everything above: transactions with a scope, nothing else. */
export class Database {
  readonly url: string;
  readonly #orm: MikroORM<PostgreSqlDriver>;
  readonly #pool: pg.Pool;
  readonly #recorded = new Set<() => void>();

  private constructor(url: string, orm: MikroORM<PostgreSqlDriver>, pool: pg.Pool) {
    this.url = url;
    this.#orm = orm;
    this.#pool = pool;
  }

  static async connect(options: DatabaseOptions): Promise<Database> {
    const pool = makePool({
      url: options.url,
      max: options.maxConnections ?? MAX_CONNECTIONS,
      applicationName: options.applicationName ?? 'purser',
      ...(options.queryTimeoutMs === undefined ? {} : { queryTimeoutMs: options.queryTimeoutMs }),
    });
    const orm = await MikroORM.init<PostgreSqlDriver>({
      driver: PostgreSqlDriver,
      driverOptions: new PostgresDialect({ pool: honestPool(pool) }),
      dbName: 'purser',
      ensureDatabase: false,
      entities: [],
      discovery: { warnWhenNoEntities: false },
      logger: () => undefined,
    });
    return new Database(options.url, orm, pool);
  }

  /** One consistent snapshot, read only; rows outside `scope` do not exist for it. */
  async read<T>(scope: Scope, body: (tx: Transaction) => Promise<T>): Promise<T> {
    const open = await this.beginRead(scope);
    try {
      return await body(open.tx);
    } finally {
      await open.end();
    }
  }

  /** A snapshot that the caller ends (always, also after an error); ending twice is harmless. */
  async beginRead(scope: Scope): Promise<OpenRead> {
    const tx = await this.#begin(scope, false);
    let ended: Promise<void> | null = null;
    return { tx, end: () => (ended ??= this.#rollback(tx)) };
  }

  /** READ COMMITTED. Recorded events are appended, then it commits; a throw rolls everything back. */
  async write<T>(scope: Scope, body: (tx: Transaction) => Promise<T>): Promise<T> {
    const tx = await this.#begin(scope, true);
    let value: T;
    try {
      value = await body(tx);
      await this.#commit(tx);
    } catch (error) {
      await this.#rollback(tx);
      throw error;
    }
    return value;
  }

  /** Called after every commit that appended events; must not throw. Returns how to stop. */
  onRecorded(listener: () => void): () => void {
    this.#recorded.add(listener);
    return () => this.#recorded.delete(listener);
  }

  /**
   * One statement in a transaction of its own, without scope, sent in one message together with its COMMIT: what it locks is free again
   * even if this process freezes here. For functions that set their own scope. `statement` is text of ours, never of a caller.
   */
  async autocommit<R extends pg.QueryResultRow>(statement: string, timeoutMs: number): Promise<R[]> {
    invariant(Number.isInteger(timeoutMs), `autocommit: timeout ${timeoutMs}`);
    const results: unknown = await this.#pool.query(`begin; set local statement_timeout = ${timeoutMs}; ${statement}; commit`);
    return (results as pg.QueryResult<R>[])[2]?.rows ?? [];
  }

  /** A connection of its own, for LISTEN; the caller connects and ends it. */
  dedicatedClient(applicationName: string): pg.Client {
    return makeClient(this.url, applicationName);
  }

  /** Waits for open transactions, then ends all connections. */
  async close(): Promise<void> {
    if (!this.#pool.ending) await this.#pool.end();
  }

  async #begin(scope: Scope, writable: boolean): Promise<Transaction> {
    const em: EntityManager = this.#orm.em.fork({ clear: true, disableContextResolution: true });
    await em.begin({
      isolationLevel: writable ? IsolationLevel.READ_COMMITTED : IsolationLevel.REPEATABLE_READ,
      readOnly: !writable,
    });
    const sql = sqlOver(transactionContextOf(em));
    const tx = handleOf({ em, sql, scope, writable, recorded: [] });
    try {
      await setScope(sql, scope);
    } catch (error) {
      await this.#rollback(tx);
      throw error;
    }
    return tx;
  }

  async #commit(tx: Transaction): Promise<void> {
    const open = openTransactionOf(tx);
    await appendToOutbox(open.sql, open.recorded);
    await open.em.commit();
    forget(tx);
    if (open.recorded.length > 0) for (const listener of this.#recorded) listener();
  }

  async #rollback(tx: Transaction): Promise<void> {
    const { em } = openTransactionOf(tx);
    forget(tx);
    // A connection that died has no transaction left to roll back: the error that killed it is the one to report.
    await em.rollback().catch(() => undefined);
  }
}

function transactionContextOf(em: EntityManager): Executor {
  const context: unknown = em.getTransactionContext();
  invariant(context, 'a transaction has begun');
  return context as Executor;
}

const setScope = (sql: Sql, scope: Scope): Promise<unknown> =>
  sql.query(`select set_config('purser.scope', $1, true), set_config('purser.teams', $2, true)`, [
    scope.kind,
    scope.kind === 'tenant' ? `{${scope.teamIds.join(',')}}` : '',
  ]);
