// GetCostAndUsage over charges that are known: grouping, filter, days and refusals as the reference of Cost Explorer says.
import { failure, type AwsAnswer, type AwsCall } from './aws-account.ts';

export interface Charge {
  /** `2026-11-01` */
  readonly day: string;
  readonly recordType: string;
  readonly service: string;
  readonly region: string;
  readonly unblended: string;
  readonly amortized: string;
  readonly unit?: string;
}

interface Question {
  readonly TimePeriod: { readonly Start: string; readonly End: string };
  readonly Granularity: string;
  readonly Metrics: readonly string[];
  readonly GroupBy?: readonly { readonly Type: string; readonly Key: string }[];
  readonly Filter?: { readonly Dimensions: { readonly Key: string; readonly Values: readonly string[] } };
  readonly NextPageToken?: string;
}

const FIELDS = ['TimePeriod', 'Granularity', 'Metrics', 'GroupBy', 'Filter', 'NextPageToken'];
const KEYS: Readonly<Record<string, (charge: Charge) => string>> = {
  RECORD_TYPE: ({ recordType }) => recordType,
  SERVICE: ({ service }) => service,
  REGION: ({ region }) => region,
};
const METRICS: Readonly<Record<string, (charge: Charge) => string>> = {
  UnblendedCost: ({ unblended }) => unblended,
  NetAmortizedCost: ({ amortized }) => amortized,
};
/** Days per page. */
const PAGE = 2;

export function answerCosts(call: AwsCall, charges: readonly Charge[]): AwsAnswer {
  const question = JSON.parse(call.body) as Question;
  const wrong = problemOf(question);
  if (wrong !== null) return failure(call, 400, 'ValidationException', wrong);
  const days = daysOf(question.TimePeriod);
  const from = Number(question.NextPageToken?.slice('page-'.length) ?? 0);
  const results = days.slice(from, from + PAGE).map((day) => ({
    TimePeriod: { Start: day, End: nextDay(day) },
    Total: {},
    Groups: groupsOf(
      question,
      charges.filter((charge) => charge.day === day),
    ),
    Estimated: day >= '2026-11-20',
  }));
  const next = from + PAGE < days.length ? { NextPageToken: `page-${from + PAGE}` } : {};
  return {
    ...{ status: 200, type: 'application/x-amz-json-1.1' },
    body: JSON.stringify({ ResultsByTime: results, DimensionValueAttributes: [], GroupDefinitions: question.GroupBy, ...next }),
  };
}

function problemOf(question: Question): string | null {
  const unknown = Object.keys(question).find((name) => !FIELDS.includes(name));
  if (unknown !== undefined) return `There is no ${unknown}`;
  const { TimePeriod, GroupBy = [], Metrics, Granularity, Filter } = question;
  if (TimePeriod.Start >= TimePeriod.End) return 'Start date (and hour) should be before end date (and hour)';
  if (GroupBy.length > 2) return 'Group by has more than 2 keys';
  const isKnown = GroupBy.every(({ Type, Key }) => Type === 'DIMENSION' && Object.hasOwn(KEYS, Key));
  if (!isKnown || Granularity !== 'DAILY' || !Metrics.every((name) => Object.hasOwn(METRICS, name))) return 'Invalid value';
  return Filter && Filter.Dimensions.Key !== 'RECORD_TYPE' ? 'Invalid filter' : null;
}

interface Group {
  readonly Keys: readonly string[];
  readonly Metrics: Record<string, { readonly Amount: string; readonly Unit: string }>;
}

function groupsOf({ GroupBy = [], Metrics, Filter }: Question, charges: readonly Charge[]): Group[] {
  const meant = charges.filter(({ recordType }) => Filter?.Dimensions.Values.includes(recordType) ?? true);
  const groups = new Map<string, Charge[]>();
  for (const charge of meant) {
    const key = JSON.stringify([...GroupBy.map(({ Key }) => KEYS[Key]?.(charge)), charge.unit ?? 'USD']);
    groups.set(key, [...(groups.get(key) ?? []), charge]);
  }
  return [...groups].map(([key, some]) => {
    const [unit = 'USD', ...keys] = (JSON.parse(key) as string[]).reverse();
    const sums = Metrics.map((name) => [
      name,
      { Amount: sumOf(some.map((charge) => METRICS[name]?.(charge) ?? '')), Unit: unit },
    ]);
    return { Keys: keys.reverse(), Metrics: Object.fromEntries(sums) as Group['Metrics'] };
  });
}

/** To ten decimals, as Cost Explorer writes. */
function sumOf(amounts: readonly string[]): string {
  const total = amounts.reduce((sum, amount) => sum + BigInt(Math.round(Number(amount) * 1e10)), 0n);
  const digits = (total < 0n ? -total : total).toString().padStart(11, '0');
  return `${total < 0n ? '-' : ''}${digits.slice(0, -10)}.${digits.slice(-10)}`;
}

const nextDay = (day: string): string => new Date(Date.parse(`${day}T00:00:00Z`) + 86_400_000).toISOString().slice(0, 10);

function daysOf({ Start, End }: Question['TimePeriod']): string[] {
  const days: string[] = [];
  for (let day = Start; day < End; day = nextDay(day)) days.push(day);
  return days;
}
