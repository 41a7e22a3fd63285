import type { Clock } from '../kernel/clock.ts';
import { digestOfJson } from '../kernel/digest.ts';
import type { Json } from '../kernel/event.ts';
import { failure, type Failure } from '../kernel/failure.ts';
import { DAY_MS, type Instant } from '../kernel/instant.ts';
import { scopeOf, type Principal } from '../kernel/principal.ts';
import { err, type Result } from '../kernel/result.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { Database } from './database.ts';
import { withSavepoint } from './savepoint.ts';
import { failureOfSql, sqlStateOf } from './sql-failure.ts';
import { sqlOf } from './sql.ts';

/** How long a repeat waits for the first to end. Higher holds connections, lower answers IN_PROGRESS to patient clients. */
const WAIT_FOR_FIRST_MS = 5_000;
/** How long an outcome is remembered. Higher grows the table, lower surprises a client that retries after a long weekend. */
export const KEEP_OUTCOMES_MS = 7 * DAY_MS;
/** Longest idempotency key. Higher exceeds what an index holds, lower refuses reasonable ones (a UUID has 36). */
const MAX_KEY_LENGTH = 255;
const LOCK_NOT_AVAILABLE = '55P03';

/** One mutation by one caller. */
export interface Command {
  readonly principal: Principal;
  /** The GraphQL name of the mutation. */
  readonly mutation: string;
  /** Null = the caller does not mind doing it twice. */
  readonly idempotencyKey: string | null;
  /** The input, for the digest: the same key with another body is a CONFLICT. */
  readonly body: Json;
}

type Outcome = Result<Json, Failure>;

/** Runs mutations: one is one transaction, with its idempotency row, its change, its history and its events, or nothing of it. */
export class Commands {
  readonly #database: Database;
  readonly #clock: Clock;

  constructor(deps: { readonly database: Database; readonly clock: Clock }) {
    this.#database = deps.database;
    this.#clock = deps.clock;
  }

  /**
   * The outcome of `body`, or the stored one of an earlier run under the same key. An `err` undoes what the body wrote and is stored
   * too. Failures: those of the body, CONFLICT (same key, other body; or a lost race), IN_PROGRESS (the first run takes longer than
   * 5 s), ALREADY_EXISTS (unique key taken), INVALID_INPUT (a key that is too long).
   */
  async run<O extends Json>(
    command: Command,
    body: (tx: Transaction) => Promise<Result<O, Failure>>,
  ): Promise<Result<O, Failure>> {
    const key = command.idempotencyKey;
    if (key !== null && (key.length === 0 || key.length > MAX_KEY_LENGTH)) {
      return err(
        failure('INVALID_INPUT', `The idempotency key must have 1 to ${MAX_KEY_LENGTH} characters.`, {
          path: ['idempotencyKey'],
        }),
      );
    }
    try {
      return await this.#database.write(scopeOf(command.principal), (tx) => this.#inTransaction(tx, command, body));
    } catch (error) {
      const told = failureOfSql(error);
      if (told) return err(told);
      throw error;
    }
  }

  async #inTransaction<O extends Json>(
    tx: Transaction,
    command: Command,
    body: (tx: Transaction) => Promise<Result<O, Failure>>,
  ) {
    const earlier = await this.#claim(tx, command);
    if (earlier) return earlier as Result<O, Failure>;
    const outcome = await attempt(tx, body);
    if (command.idempotencyKey !== null) await remember(tx, command, outcome);
    return outcome;
  }

  /** Takes the key for this run; an outcome if there was one before. Waits here while the first run has not ended. */
  async #claim(tx: Transaction, command: Command): Promise<Outcome | null> {
    if (command.idempotencyKey === null) return null;
    const sql = sqlOf(tx);
    const digest = digestOfJson(command.body);
    await sql.query(`select set_config('lock_timeout', $1, true)`, [String(WAIT_FOR_FIRST_MS)]);
    try {
      const claimed = await sql.execute(
        `insert into idempotency (principal_id, mutation, key, body_digest, created_at) values ($1, $2, $3, $4, $5) on conflict do nothing`,
        [...keyOf(command), digest, this.#clock.now()],
      );
      if (claimed === 1) return null;
    } catch (error) {
      if (sqlStateOf(error) !== LOCK_NOT_AVAILABLE) throw error;
      throw Object.assign(new Error('the first run of this idempotency key has not ended'), {
        code: LOCK_NOT_AVAILABLE,
        cause: error,
      });
    } finally {
      await sql.query(`select set_config('lock_timeout', '0', true)`).catch(() => undefined);
    }
    return earlierOutcome(tx, command, digest);
  }
}

const keyOf = (command: Command): unknown[] => [command.principal.id, command.mutation, command.idempotencyKey];

async function earlierOutcome(tx: Transaction, command: Command, digest: string): Promise<Outcome> {
  const [row] = await sqlOf(tx).query<{ body_digest: string; outcome: Outcome | null }>(
    `select body_digest, outcome from idempotency where principal_id = $1 and mutation = $2 and key = $3`,
    keyOf(command),
  );
  if (!row?.outcome)
    return err(failure('IN_PROGRESS', 'The first run under this key has not ended: repeat in a moment.', { retryAfterMs: 1000 }));
  if (row.body_digest !== digest) {
    return err(
      failure('CONFLICT', 'This idempotency key was used with another input: take a new key.', { path: ['idempotencyKey'] }),
    );
  }
  return row.outcome;
}

/** Runs the body behind a savepoint; what the database refuses becomes a failure where a caller can act on it. */
async function attempt<O extends Json>(
  tx: Transaction,
  body: (tx: Transaction) => Promise<Result<O, Failure>>,
): Promise<Result<O, Failure>> {
  try {
    return await withSavepoint(
      tx,
      () => body(tx),
      (outcome) => outcome.ok,
    );
  } catch (error) {
    const told = failureOfSql(error);
    if (told) return err(told);
    throw error;
  }
}

const remember = (tx: Transaction, command: Command, outcome: Outcome): Promise<number> =>
  sqlOf(tx).execute(`update idempotency set outcome = $4 where principal_id = $1 and mutation = $2 and key = $3`, [
    ...keyOf(command),
    JSON.stringify(outcome, (_key, value: unknown) => (typeof value === 'bigint' ? value.toString() : value)),
  ]);

/** Forgets outcomes older than seven days, at most `limit` per call; returns how many. */
export const pruneOutcomes = (tx: Transaction, now: Instant, limit: number): Promise<number> =>
  sqlOf(tx).execute(
    `delete from idempotency where (principal_id, mutation, key) in
       (select principal_id, mutation, key from idempotency where created_at < $1 order by created_at limit $2)`,
    [now - KEEP_OUTCOMES_MS, limit],
  );
