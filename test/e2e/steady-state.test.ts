// An installation with a deployment that nobody calls; the database's own counters say which tables are written to.
import { afterAll, beforeAll, expect, test, describe } from 'vitest';
import { ensureBuilt } from '../support/build.ts';
import { eventually } from '../support/eventually.ts';
import { startInstallation, type Installation } from '../support/installation.ts';
import { rowsOf, untilReady } from '../support/live-system.ts';

/** Closing idle minutes is what the ledger is for, and routers say each minute that they have nothing to report. */
const LEDGER = /^(ledger_line_\d{4}_\d{2}|ledger_hour|metered_replica|usage_source)$/;

let purser: Installation;

beforeAll(async () => {
  await ensureBuilt();
  purser = await startInstallation();
  await untilReady(purser);
});
afterAll(() => purser.remove());

interface Table {
  readonly name: string;
  readonly rows: number;
  /** Rows that a transaction since then has written. */
  readonly written: number;
}

const transaction = async (): Promise<number> => {
  const [row] = await rowsOf<{ xmax: string }>(purser, `select pg_snapshot_xmax(pg_current_snapshot())::text as xmax`);
  return Number(row!.xmax);
};

/** Every table of the product: its rows, and those that are newer than a transaction. */
async function tables(since: number): Promise<Table[]> {
  const names = await rowsOf<{ name: string }>(
    purser,
    `select relname as name from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace`,
  );
  const counts = names.map(
    ({ name }) =>
      `select '${name}' as name, count(*)::integer as rows, count(*) filter (where xmin::text::bigint >= ${since})::integer as written from "${name}"`,
  );
  return rowsOf<Table>(purser, counts.join(' union all '));
}

const isExpected = ({ name }: Table): boolean => name === 'lease' || LEDGER.test(name);

describe('Deployments: a steady state', () => {
  test('writes nothing but the leases, in all loops of the control plane, beside the ledger of its idle minutes', async () => {
    // Usage of the start's own requests is told within seconds; then nothing is left to do.
    const since = await eventually(async () => {
      const start = await transaction();
      await renewals(2);
      return (await tables(start)).every((table) => table.written === 0 || isExpected(table)) && start;
    }, 60_000);
    const before = await tables(since);
    // Leases are renewed every five seconds, loops run every ten: four passes of each.
    await renewals(8);
    const changed = (await tables(since)).filter(
      ({ name, rows, written }) => written > 0 || before.find((one) => one.name === name)?.rows !== rows,
    );
    expect(changed.filter((table) => !isExpected(table))).toEqual([]);
    expect(changed.map(({ name }) => name)).toContain('lease');
  }, 180_000);
});

/** Waits until a lease has been renewed so many times. */
async function renewals(times: number): Promise<void> {
  const version = async () =>
    (await rowsOf<{ xmin: string }>(purser, `select xmin::text from lease where name = 'costs'`))[0]?.xmin;
  for (let n = 0; n < times; n += 1) {
    const last = await version();
    await eventually(async () => (await version()) !== last, 20_000);
  }
}
