import type { GetCostAndUsageCommandInput, Group, ResultByTime } from '@aws-sdk/client-cost-explorer';
import { DAY_MS, type Instant } from '../../kernel/instant.ts';
import type { PicoUsd } from '../../kernel/money.ts';
import type { Bill, BillLine } from '../bill.port.ts';
import { CloudUnknown } from '../cloud-provider.port.ts';
import type { UnreadableRow } from '../price-feed.port.ts';
import type { AwsApi } from './aws-api.adapter.ts';
import { costOf, METRICS, readCosts } from './read-costs.ts';

/** Cost Explorer is served from here. */
const REGION = 'us-east-1';
/** Each line is rounded by Cost Explorer: its sum may differ from the total by so much per line. Higher: a lost page passes; lower: rounding looks like one. */
const ROUNDING: PicoUsd = 1_000n;

interface Days {
  readonly Start: string;
  readonly End: string;
}

/** What was charged on a day, by one key. */
interface DayGroup {
  readonly day: Instant;
  readonly group: Group;
}

/**
 * Bills by Cost Explorer: whole UTC days, by service and region. It groups by two things only, so that each kind of charge is asked for apart;
 * the lines of a kind must sum to its total, or a part of the answer is missing.
 */
export class CostExplorerBill {
  readonly #api: AwsApi;

  constructor(api: AwsApi) {
    this.#api = api;
  }

  async fetchBill(from: Instant, to: Instant): Promise<Bill> {
    const days = { Start: dayFrom(from), End: dayFrom(to) };
    if (days.Start >= days.End) return { lines: [], unreadable: [], isFinal: true };
    const totals = await this.#groups(days, { GroupBy: [{ Type: 'DIMENSION', Key: 'RECORD_TYPE' }] });
    const lines: BillLine[] = [];
    const unreadable: UnreadableRow[] = [];
    for (const [recordType, total] of totalsOf(totals.groups)) {
      const part = await this.#part(days, recordType);
      if (part.unreadable.length === 0) checkSum(recordType, total, part.lines);
      lines.push(...part.lines);
      unreadable.push(...part.unreadable);
    }
    return { lines, unreadable, isFinal: !totals.isEstimated };
  }

  async #part(days: Days, recordType: string): Promise<Pick<Bill, 'lines' | 'unreadable'>> {
    const { groups } = await this.#groups(days, {
      GroupBy: ['SERVICE', 'REGION'].map((Key) => ({ Type: 'DIMENSION', Key })),
      Filter: { Dimensions: { Key: 'RECORD_TYPE', Values: [recordType] } },
    });
    const lines: BillLine[] = [];
    const unreadable: UnreadableRow[] = [];
    for (const { day, group } of groups) {
      const line = readCosts(group, recordType, day);
      if (typeof line !== 'string') lines.push(line);
      else unreadable.push({ ref: `${recordType}, ${(group.Keys ?? []).join(', ')}`, reason: line });
    }
    return { lines, unreadable };
  }

  async #groups(
    days: Days,
    question: Pick<GetCostAndUsageCommandInput, 'GroupBy' | 'Filter'>,
  ): Promise<{ readonly groups: DayGroup[]; readonly isEstimated: boolean }> {
    const { sdk, client } = await this.#api.open('costExplorer', REGION);
    const results = await this.#api.pages('GetCostAndUsage', async (next, abortSignal) => {
      const command = new sdk.GetCostAndUsageCommand({
        ...{ TimePeriod: days, Granularity: 'DAILY', Metrics: Object.values(METRICS), NextPageToken: next },
        ...question,
      });
      const { ResultsByTime = [], NextPageToken } = await client.send(command, { abortSignal });
      return { items: ResultsByTime, next: NextPageToken };
    });
    return { groups: results.flatMap(groupsOf), isEstimated: results.some(({ Estimated }) => Estimated !== false) };
  }
}

function groupsOf({ TimePeriod, Groups = [] }: ResultByTime): DayGroup[] {
  const day = Date.parse(`${TimePeriod?.Start ?? ''}T00:00:00Z`);
  if (!Number.isSafeInteger(day)) throw new CloudUnknown('AWS: Cost Explorer names no day');
  return Groups.map((group) => ({ day, group }));
}

/** By kind of charge. One whose total cannot be read has none to compare with. */
function totalsOf(groups: readonly DayGroup[]): Map<string, PicoUsd | null> {
  const totals = new Map<string, PicoUsd | null>();
  for (const { group } of groups) {
    const recordType = group.Keys?.[0];
    if (recordType === undefined) throw new CloudUnknown('AWS: Cost Explorer names no kind of charge');
    const cost = costOf(group.Metrics?.[METRICS.billed]);
    const sum = totals.get(recordType);
    totals.set(recordType, typeof cost === 'string' || sum === null ? null : (sum ?? 0n) + cost);
  }
  return totals;
}

function checkSum(recordType: string, total: PicoUsd | null, lines: readonly BillLine[]): void {
  if (total === null) return;
  const sum = lines.reduce((all, { billedCost }) => all + billedCost, 0n);
  const difference = sum > total ? sum - total : total - sum;
  if (difference > ROUNDING * BigInt(lines.length + 1))
    throw new CloudUnknown(`AWS: the charges of kind ${recordType} do not sum to their total: a part of them is missing`);
}

/** The first UTC day that begins at or after `at`. */
const dayFrom = (at: Instant): string => new Date(Math.ceil(at / DAY_MS) * DAY_MS).toISOString().slice(0, 10);
