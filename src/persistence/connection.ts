import type { PostgresCursor, PostgresPool, PostgresPoolClient, PostgresQueryResult } from 'kysely';
import pg from 'pg';
import { invariant } from '../kernel/invariant.ts';
import { sqlStateOf } from './sql-failure.ts';

/** How long one statement may run on the server. Higher hides a runaway query, lower cuts honest reports. */
const STATEMENT_TIMEOUT_MS = 30_000;
/** How long the client waits for an answer: a little more than the server's own limit, so that the server speaks first. */
const QUERY_TIMEOUT_MS = 35_000;
/** A client that holds a transaction and does nothing is cut off. Higher keeps locks of a frozen process, lower hurts long bodies. */
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 60_000;
/** How long a request waits for a free connection, and any connection for its server. Higher queues without end under overload, lower fails in short bursts. */
const ACQUIRE_TIMEOUT_MS = 15_000;

const { INT8, DATE, TIMESTAMP, TIMESTAMPTZ, INTERVAL } = pg.types.builtins;

/** int8 as number (our integers stay below 2⁵³; money is numeric), dates as text so that the ORM decides. */
const TYPES = new pg.TypeOverrides();
TYPES.setTypeParser(INT8, Number);
for (const type of [DATE, TIMESTAMP, TIMESTAMPTZ, INTERVAL]) TYPES.setTypeParser(type, (text: string) => text);

export interface PoolOptions {
  readonly url: string;
  /** Connections at most. Higher starves the server's other users, lower makes requests queue. */
  readonly max: number;
  readonly applicationName: string;
  /** How long a client waits for an answer before it is destroyed; 0 = for ever. */
  readonly queryTimeoutMs?: number;
  /** How long the server works on one statement; 0 = for ever. */
  readonly statementTimeoutMs?: number;
}

/** A pool whose clients never wait for ever for an answer; `pool.query` destroys a client whose query failed. */
export function makePool(options: PoolOptions): pg.Pool {
  const pool = new pg.Pool({
    ...connectionConfig(options.url, options.applicationName),
    max: options.max,
    statement_timeout: options.statementTimeoutMs ?? STATEMENT_TIMEOUT_MS,
    query_timeout: options.queryTimeoutMs ?? QUERY_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
    connectionTimeoutMillis: ACQUIRE_TIMEOUT_MS,
    idleTimeoutMillis: 30_000,
  });
  pool.on('error', () => undefined);
  // A client in use reports the end of its connection as an event too; without a listener that would end the process. The query
  // under way fails by itself, and the next one finds the client dead.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

/**
 * The pool as the query builder sees it. A client that is dead, or did not answer in time, leaves the pool at once: its late answer would
 * be taken for that of the next query, and the builder forgets to release a connection whose BEGIN or ROLLBACK fails.
 */
export const honestPool = (pool: pg.Pool): PostgresPool => ({
  options: pool.options,
  connect: async () => new HonestClient(await pool.connect()),
  end: () => pool.end(),
});

class HonestClient implements PostgresPoolClient {
  readonly #client: pg.PoolClient;
  #released = false;

  constructor(client: pg.PoolClient) {
    this.#client = client;
  }

  query<R>(text: string, values: readonly unknown[]): Promise<PostgresQueryResult<R>>;
  query<R>(cursor: PostgresCursor<R>): PostgresCursor<R>;
  query(text: unknown, values: readonly unknown[] = []): unknown {
    invariant(typeof text === 'string', 'results are not streamed');
    return this.#client.query(text, [...values]).catch((error: unknown) => {
      if (isFatal(error)) this.#release(true);
      throw error;
    });
  }

  release(): void {
    this.#release(false);
  }

  #release(destroy: boolean): void {
    if (!this.#released) this.#client.release(destroy);
    this.#released = true;
  }
}

/** The server said nothing (no SQLSTATE), or that the connection (class 08) or the session (57P, 25P03) is over. */
function isFatal(error: unknown): boolean {
  const state = sqlStateOf(error);
  return state === null || /^(08|57P|25P03)/.test(state);
}

/** One connection of its own, outside the pool: for LISTEN and for migrations. The caller ends it. */
export function makeClient(url: string, applicationName: string): pg.Client {
  const client = new pg.Client({ ...connectionConfig(url, applicationName), connectionTimeoutMillis: ACQUIRE_TIMEOUT_MS });
  client.on('error', () => undefined);
  return client;
}

const connectionConfig = (url: string, applicationName: string): pg.ClientConfig => ({
  connectionString: url,
  application_name: applicationName,
  keepAlive: true,
  types: TYPES,
});
