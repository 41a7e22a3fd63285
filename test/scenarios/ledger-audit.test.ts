// A real ledger with real requests in it, meddled with as the owner of its tables, who may switch off what forbids it.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CostRepository } from '../../src/costs/cost.repository.ts';
import { makeCostMetrics } from '../../src/costs/costs.metrics.ts';
import { CostsReconciler } from '../../src/costs/costs.reconciler.ts';
import { LedgerAudit } from '../../src/costs/ledger-audit.reconciler.ts';
import { LedgerAuditRepository } from '../../src/costs/ledger-audit.repository.ts';
import { MeteringService } from '../../src/costs/metering.service.ts';
import { NodeCostRepository } from '../../src/costs/node-cost.repository.ts';
import { newId } from '../../src/kernel/id.ts';
import { acquireLease, type Lease } from '../../src/persistence/lease.ts';
import { makeClient } from '../../src/persistence/connection.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { makeMetricRegistry } from '../../src/telemetry/metrics.ts';
import { seededRandom } from '../support/actors.ts';
import { addPrice, addReplica, makeCostedWorld } from '../support/costed-world.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { quietLogger } from '../support/quiet-logger.ts';

const SYSTEM = { kind: 'reconciler', loop: 'test' } as const;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const T0 = Date.parse('2026-11-02T10:00:00Z');
const id = (seed: number) => newId(T0, seededRandom(seed));
const [REPLICA, CALLER] = [id(1), id(2)];

let db: TestDatabase;
let lease: Lease | null;
const clock = { at: T0 + 3 * HOUR, now: () => clock.at };
const registry = makeMetricRegistry();
const metrics = makeCostMetrics(registry);

function deps() {
  return { database: db.database, store: new CostRepository(), clock, logger: quietLogger, metrics, lease: () => lease };
}

/** An auditor that was just started: it has told of nothing yet. */
const auditor = () =>
  new LedgerAudit({ ...deps(), audit: new LedgerAuditRepository(new CostRepository(), new NodeCostRepository()) });

const events = () =>
  db.database.read(SYSTEM, (tx) =>
    sqlOf(tx).query<{ message: string; severity: string; subject: string }>(
      `select message, severity, subject_id as subject from outbox where type = 'ledger.invariant_violated' order by message`,
    ),
  );

async function asOwner(...statements: string[]): Promise<void> {
  const owner = makeClient(db.ownerUrl, 'purser test');
  await owner.connect();
  // The owner is behind the wall too, and passes it as a loop does.
  await owner.query(`select set_config('purser.scope', 'reconciler', false)`);
  for (const statement of statements) await owner.query(statement);
  await owner.end();
}

/** Lines may not be changed: whoever owns the table has to switch that off first. */
const meddle = (statement: string) =>
  asOwner('alter table ledger_line disable trigger user', `alter table ledger_line_2026_11 disable trigger user`, statement);

beforeAll(async () => {
  db = await openTestDatabase();
  await db.database.write(SYSTEM, async (tx) => {
    const world = await makeCostedWorld(tx, 9, 'acme');
    await addPrice(tx, world, { id: id(3), rate: 96_000_000_007n, from: 0, observedAt: 1 });
    await addReplica(tx, world, {
      id: REPLICA,
      from: T0 + 1_500,
      until: T0 + 2 * HOUR + 7,
      transitions: [[T0 + MINUTE, 'serving']],
    });
    lease = await acquireLease(tx, 'costs', 'test');
  });
  const usage = { replicaId: REPLICA, callerTeamId: CALLER, caller: CALLER, kind: 'inference' as const, experiment: '' };
  const counts = {
    attempts: 1,
    requests: 1,
    errors: 0,
    bytesIn: 0,
    bytesOut: 0,
    inputTokens: 0,
    outputTokens: 0,
    stampedPicoUsd: '0',
  };
  const rows = [1, 70].map((minute) => ({ ...usage, ...counts, minute: T0 + minute * MINUTE, busyUs: 7_000_000 }));
  const report = { source: `edge/${id(4)}`, sequence: 1, through: T0, tableVersion: { epoch: 'e', n: 1 }, rows };
  await new MeteringService(deps()).accept(report, { name: 'edge' });
  const reconciler = new CostsReconciler(deps());
  await reconciler.execute(reconciler.plan(await reconciler.prepare(), clock.at), new AbortController().signal);
});
afterAll(() => db.close());

describe('Ledger: its promises are checked while running', () => {
  const pass = async (one: LedgerAudit) => {
    lease = await db.database.write(SYSTEM, (tx) => acquireLease(tx, 'costs', 'test'));
    await one.pass(new AbortController().signal);
  };

  test('a sound ledger is read and nothing is written', async () => {
    const one = auditor();
    for (let n = 0; n < 5; n += 1) await pass(one);
    expect(await events()).toEqual([]);
  });

  test('what is about to be restated is no violation', async () => {
    const { database } = db;
    const queue = `insert into restatement (replica_id, minute, team_id) select id, ${T0}, team_id from replica`;
    await database.write(SYSTEM, (tx) => sqlOf(tx).execute(queue));
    await meddle(`update ledger_line set list = list + 1, effective = effective + 1 where minute = ${T0}`);
    await pass(auditor());
    expect(await events()).toEqual([]);
    await meddle(`update ledger_line set list = list - 1, effective = effective - 1 where minute = ${T0}`);
    await database.write(SYSTEM, (tx) => sqlOf(tx).execute(`delete from restatement`));
  });

  test.each([
    [
      'a line that was changed',
      `update ledger_line set effective = effective + 1 where minute = ${T0 + 70 * MINUTE} and group_key = ''`,
      /^The lines of the minute 2026-11-02T11:10:00.000Z sum to .* and should be /,
    ],
    [
      'lines that were deleted',
      `delete from ledger_line where minute = ${T0 + 71 * MINUTE}`,
      /^The lines of the minute 2026-11-02T11:11:00.000Z sum to 0.* and should be /,
    ],
    [
      'a cost that was moved from one caller to another, who owes it now',
      `update ledger_line set effective = case when group_key = '' then -5 else (select sum(effective) from ledger_line where minute = ${T0 + MINUTE}) + 5 end
        where minute = ${T0 + MINUTE}`,
      /^The lines of one caller in the minute 2026-11-02T10:01:00.000Z sum to -.*should not be negative/,
    ],
    [
      'a sum of an hour that was changed',
      `update ledger_hour set effective = effective + 1 where hour = ${T0 + HOUR} and group_key = ''`,
      /^The sums of the hour from 2026-11-02T11:00:00.000Z/,
    ],
  ])('%s is an event and is counted, once', async (_, statement, message) => {
    const known = (await events()).length;
    await meddle(statement);
    const one = auditor();
    for (let n = 0; n < 3; n += 1) await pass(one);
    const told = await events();
    expect(told.map((event) => event.message)).toContainEqual(expect.stringMatching(message));
    expect(told.every(({ severity, subject }) => severity === 'error' && subject === REPLICA)).toBe(true);
    expect(told.length).toBeGreaterThan(known);
    const again = told.length;
    await pass(one);
    expect(await events()).toHaveLength(again);
    expect(await registry.metrics()).toMatch(/^purser_ledger_violations_total [1-9]/m);
  });
});
