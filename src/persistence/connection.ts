import pg from 'pg';

/** How long one statement may run on the server. Higher hides a runaway query, lower cuts honest reports. */
const STATEMENT_TIMEOUT_MS = 30_000;
/** How long the client waits for an answer: a little more than the server's own limit, so that the server speaks first. */
const QUERY_TIMEOUT_MS = 35_000;
/** A client that holds a transaction and does nothing is cut off. Higher keeps locks of a frozen process, lower hurts long bodies. */
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 60_000;
/** How long a request waits for a free connection. Higher queues without end under overload, lower fails in short bursts. */
const ACQUIRE_TIMEOUT_MS = 15_000;

const INT8: number = pg.types.builtins.INT8;
const TEXTUAL = new Set<number>([1082, 1114, 1184, 1186]);

/** int8 as number (our integers stay below 2⁵³; money is numeric), dates as text so that the ORM decides. */
const TYPES: pg.CustomTypesConfig = {
  getTypeParser(oid: Parameters<typeof pg.types.getTypeParser>[0], format?: 'text' | 'binary') {
    if (oid === INT8) return Number;
    if (TEXTUAL.has(oid)) return (text: string) => text;
    return pg.types.getTypeParser(oid, format);
  },
} as pg.CustomTypesConfig;

/** A client that timed out is cut off: its answer may still arrive and would be taken for that of the next query. */
class HonestClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    this.on('error', () => undefined);
  }

  // The driver's many overloads all end in a promise when no callback is given, which is how Kysely and we call it.
  override query(...args: unknown[]): never {
    const answer = (super.query as (...all: unknown[]) => unknown).apply(this, args);
    if (answer instanceof Promise) answer.catch((error: unknown) => this.#cutOff(error));
    return answer as never;
  }

  #cutOff(error: unknown): void {
    if (error instanceof Error && error.message === 'Query read timeout') void this.end().catch(() => undefined);
  }
}

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

/** A pool whose clients never hang for ever. */
export function makePool(options: PoolOptions): pg.Pool {
  const pool = new pg.Pool({
    ...connectionConfig(options.url, options.applicationName),
    Client: HonestClient,
    max: options.max,
    statement_timeout: options.statementTimeoutMs ?? STATEMENT_TIMEOUT_MS,
    query_timeout: options.queryTimeoutMs ?? QUERY_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
    connectionTimeoutMillis: ACQUIRE_TIMEOUT_MS,
    idleTimeoutMillis: 30_000,
  });
  pool.on('error', () => undefined);
  return pool;
}

/** One connection of its own, outside the pool: for LISTEN and for migrations. The caller ends it. */
export function makeClient(url: string, applicationName: string): pg.Client {
  const client = new pg.Client(connectionConfig(url, applicationName));
  client.on('error', () => undefined);
  return client;
}

const connectionConfig = (url: string, applicationName: string): pg.ClientConfig => ({
  connectionString: url,
  application_name: applicationName,
  keepAlive: true,
  types: TYPES,
});
