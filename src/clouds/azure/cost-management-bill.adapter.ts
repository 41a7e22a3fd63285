import { z } from 'zod';
import type { Clock } from '../../kernel/clock.ts';
import { DAY_MS, type Instant } from '../../kernel/instant.ts';
import type { PicoUsd } from '../../kernel/money.ts';
import type { Bill, BillLine, BillSource } from '../bill.port.ts';
import { CloudUnknown } from '../cloud-provider.port.ts';
import type { UnreadableRow } from '../price-feed.port.ts';
import type { RestCall } from '../rest-client.adapter.ts';
import type { ArmClient } from './arm-client.adapter.ts';
import { daysIn, isFinal, readCosts, type CostRow, type CostTable } from './read-costs.ts';

/** Each row is a float that Azure rounds: their sum may differ from the total by so much a row. Higher: a lost page passes; lower: rounding looks like one. */
const ROUNDING: PicoUsd = 1_000n;

/** Numbers come as text. */
const Answer = z.object({
  properties: z.object({
    columns: z.array(z.object({ name: z.string() })),
    rows: z.array(z.array(z.string().nullable())),
    nextLink: z.string().nullish(),
  }),
});

interface Question {
  readonly first: Instant;
  readonly last: Instant;
  readonly cost: 'ActualCost' | 'AmortizedCost';
  readonly by: readonly string[];
  /** Of this kind only. */
  readonly chargeType?: string;
}

interface Read {
  readonly rows: readonly CostRow[];
  readonly unreadable: readonly UnreadableRow[];
}

const NAMES = ['ServiceName', 'ResourceLocation'] as const;
const CATEGORIES: Readonly<Record<string, string>> = {
  ...{ Usage: 'Usage', UnusedReservation: 'Usage', UnusedSavingsPlan: 'Usage' },
  ...{ Purchase: 'Purchase', Tax: 'Tax', Refund: 'Credit' },
};

/**
 * Bills by Cost Management: whole UTC days, by service and location. It groups by two things only, so that each kind of charge is asked for
 * apart; the lines of a kind must sum to its total, or a part of the answer is missing.
 */
export class CostManagementBill implements BillSource {
  readonly #arm: ArmClient;
  readonly #clock: Clock;

  constructor(arm: ArmClient, clock: Clock) {
    this.#arm = arm;
    this.#clock = clock;
  }

  async fetchBill(from: Instant, to: Instant): Promise<Bill> {
    const days = daysIn(from, to);
    if (!days) return { lines: [], unreadable: [], isFinal: true };
    const billed = await this.#ask({ ...days, cost: 'ActualCost', by: ['ChargeType'] });
    const effective = await this.#ask({ ...days, cost: 'AmortizedCost', by: ['ChargeType'] });
    const lines: BillLine[] = [];
    const unreadable: UnreadableRow[] = [];
    // What was reserved and not used is charged in effect only.
    for (const chargeType of new Set([...billed.rows, ...effective.rows].map(kindOf))) {
      const paid = await this.#part({ ...days, cost: 'ActualCost', by: NAMES, chargeType }, billed);
      const spread = await this.#part({ ...days, cost: 'AmortizedCost', by: NAMES, chargeType }, effective);
      lines.push(...linesOf(chargeType, paid.rows, spread.rows));
      unreadable.push(...toldOnce(paid, spread));
    }
    // A kind of which nothing can be read was not asked for apart.
    if (unreadable.length === 0) unreadable.push(...toldOnce(billed, effective));
    return { lines, unreadable, isFinal: isFinal(to, this.#clock.now()) };
  }

  async #part(question: Question & { readonly chargeType: string }, totals: Read): Promise<Read> {
    const part = await this.#ask(question);
    const { chargeType } = question;
    const total = totals.rows.filter((row) => kindOf(row) === chargeType);
    if (part.unreadable.length === 0) checkSum(chargeType, total, part.rows);
    return part;
  }

  async #ask(question: Question): Promise<Read> {
    const call: RestCall = {
      ...{ method: 'POST', path: `${this.#arm.subscription}/providers/Microsoft.CostManagement/query`, isRead: true },
      ...{ query: { 'api-version': '2023-11-01' }, body: bodyOf(question) },
    };
    const { method = 'POST', body, isRead = true } = call;
    const pages = await this.#arm.exact.pages(call, Answer, ({ properties: { nextLink } }) =>
      nextLink ? { method, body, isRead, path: nextLink } : null,
    );
    const tables = pages.map(({ properties: { columns, rows } }): CostTable => ({
      columns: columns.map(({ name }) => name),
      rows,
    }));
    const read = tables.flatMap((table) => readCosts(table, question.by));
    return {
      rows: read.filter((row) => typeof row !== 'string'),
      unreadable: read.flatMap((row, at) => (typeof row === 'string' ? [{ ref: `row ${at + 1}`, reason: row }] : [])),
    };
  }
}

function bodyOf({ first, last, cost, by, chargeType }: Question) {
  const to = new Date(last + DAY_MS - 1_000).toISOString();
  const filter = { dimensions: { name: 'ChargeType', operator: 'In', values: [chargeType] } };
  return {
    ...{ type: cost, timeframe: 'Custom', timePeriod: { from: new Date(first).toISOString(), to } },
    dataset: {
      granularity: 'Daily',
      aggregation: { totalCost: { name: 'Cost', function: 'Sum' } },
      grouping: by.map((name) => ({ type: 'Dimension', name })),
      ...(chargeType === undefined ? {} : { filter }),
    },
  };
}

const kindOf = ({ names: [kind = ''] }: CostRow): string => kind;

/** A charge that cannot be read is in both answers. */
const toldOnce = (paid: Read, spread: Read): readonly UnreadableRow[] =>
  paid.unreadable.length > 0 ? paid.unreadable : spread.unreadable;

const sumOf = (rows: readonly CostRow[]): PicoUsd => rows.reduce((sum, { cost }) => sum + cost, 0n);

function checkSum(chargeType: string, totals: readonly CostRow[], rows: readonly CostRow[]): void {
  const difference = sumOf(totals) - sumOf(rows);
  const allowed = ROUNDING * BigInt(rows.length + totals.length);
  if (difference > allowed || difference < -allowed)
    throw new CloudUnknown(`the lines of ${chargeType} do not sum to its total: a part of the bill is missing`);
}

/** A charge that was spread over other days or services has a line wherever it is billed or takes effect. */
function linesOf(chargeType: string, billed: readonly CostRow[], effective: readonly CostRow[]): BillLine[] {
  const keyOf = ({ day, names }: CostRow): string => JSON.stringify([day, ...names]);
  const [billedBy, effectiveBy] = [billed, effective].map((rows) => Map.groupBy(rows, keyOf));
  const keys = new Map([...billed, ...effective].map((row) => [keyOf(row), row]));
  return [...keys].map(
    ([
      key,
      {
        day,
        names: [serviceName = '', location = ''],
      },
    ]) => ({
      ...{
        chargePeriodStart: day,
        chargePeriodEnd: day + DAY_MS,
        chargeCategory: CATEGORIES[chargeType] ?? 'Adjustment',
        serviceName,
      },
      regionId: location === '' || location === 'Unassigned' ? null : location.toLowerCase().replaceAll(' ', ''),
      ...{ resourceId: null, listCost: null, tags: {} },
      billedCost: sumOf(billedBy?.get(key) ?? []),
      effectiveCost: sumOf(effectiveBy?.get(key) ?? []),
    }),
  );
}
