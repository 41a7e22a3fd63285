// What Azure says of a subscription, as its public references describe it: sizes, usages, permissions, costs.
import { z } from 'zod';
import { SUBSCRIPTION } from './azure-double-groups.ts';
import { DoubleRefusal, strictly, type DoubleAnswer, type DoubleRequest, type DoubleRoute } from './http-double.ts';

const BASE = `^/subscriptions/${SUBSCRIPTION}`;
const PAGE = 2;

const CostBody = z.strictObject({
  type: z.enum(['ActualCost', 'AmortizedCost', 'Usage']),
  timeframe: z.literal('Custom'),
  timePeriod: z.strictObject({ from: z.iso.datetime(), to: z.iso.datetime() }),
  dataset: z.strictObject({
    granularity: z.enum(['Daily', 'None']),
    aggregation: z.strictObject({ totalCost: z.strictObject({ name: z.literal('Cost'), function: z.literal('Sum') }) }),
    grouping: z.array(z.strictObject({ type: z.literal('Dimension'), name: z.string() })).max(2),
    filter: z
      .strictObject({
        dimensions: z.strictObject({ name: z.string(), operator: z.literal('In'), values: z.array(z.string()).min(1) }),
      })
      .optional(),
  }),
});

export interface ChargedRow {
  readonly day: string;
  readonly ChargeType: string;
  readonly ServiceName: string;
  readonly ResourceLocation: string;
  readonly actual: number;
  readonly amortized: number;
  readonly currency?: string;
}

/** A size as the reference shows one. */
export const vmSize = (
  name: string,
  capabilities: Readonly<Record<string, string>>,
  more: Readonly<Record<string, unknown>> = {},
) => ({
  ...{ resourceType: 'virtualMachines', name, tier: 'Standard', locations: ['eastus'], locationInfo: [], restrictions: [] },
  capabilities: Object.entries({ LowPriorityCapable: 'True', CpuArchitectureType: 'x64', ...capabilities }).map(
    ([key, value]) => ({ name: key, value }),
  ),
  ...more,
});

export class AzureFacts {
  sizes: unknown[] = [];
  charges: ChargedRow[] = [];
  actions: string[] = ['*'];
  notActions: string[] = [];
  cores: readonly [used: number, limit: number] = [4, 100];
  /** Pages after the first of a question of costs by service are lost. */
  losesPages = false;

  routes(urlOf: () => string): DoubleRoute[] {
    const get = (path: string, versions: string, answer: (request: DoubleRequest) => unknown[], filter = false): DoubleRoute => ({
      ...{
        method: 'GET',
        path: new RegExp(`${BASE}${path}$`),
        query: ['api-version', ...(filter ? ['$filter', '$skiptoken'] : [])],
      },
      answer: (request) => {
        checkVersion(request, versions);
        return pageOf(request, answer(request), urlOf());
      },
    });
    return [
      {
        ...{ method: 'GET', path: new RegExp(`${BASE}$`), query: ['api-version'] },
        answer: (request) => {
          checkVersion(request, '2022-12-01');
          return { body: { subscriptionId: SUBSCRIPTION, displayName: 'Team', state: 'Enabled' } };
        },
      },
      get(
        '/providers/Microsoft.Compute/skus',
        '2021-07-01',
        ({ query }) => {
          const [, location] = /^location eq '([a-z0-9]+)'$/.exec(query.get('$filter') ?? '') ?? [];
          if (location === undefined) throw new DoubleRefusal(400, 'InvalidFilter', 'only location can be filtered by');
          return this.sizes;
        },
        true,
      ),
      get('/providers/Microsoft.Compute/locations/eastus/usages', '2024-07-01', () =>
        ['cores', 'lowPriorityCores'].map((value) => ({
          ...{ unit: 'Count', currentValue: this.cores[0], limit: this.cores[1], name: { value, localizedValue: value } },
        })),
      ),
      get('/resourceGroups/[^/]+/providers/Microsoft.Authorization/permissions', '2022-04-01', () => [
        { actions: this.actions, notActions: this.notActions, dataActions: [], notDataActions: [] },
      ]),
      {
        ...{ method: 'POST', path: new RegExp(`${BASE}/providers/Microsoft.CostManagement/query$`), isRead: true },
        ...{ query: ['api-version', '$skiptoken'], answer: (request) => this.#costs(request, urlOf()) },
      },
    ];
  }

  #costs(request: DoubleRequest, url: string): DoubleAnswer {
    checkVersion(request, '2023-11-01');
    const { type, timePeriod, dataset } = strictly(CostBody, request.body);
    const [from, to] = [timePeriod.from.slice(0, 10), timePeriod.to.slice(0, 10)];
    const wanted = dataset.filter?.dimensions;
    const names = dataset.grouping.map(({ name }) => name as keyof ChargedRow);
    const costOf = (row: ChargedRow): number => (type === 'ActualCost' ? row.actual : row.amortized);
    // What is paid in advance is in one of the two only, and so is what was not used of it.
    const mine = this.charges.filter(
      (row) =>
        costOf(row) !== 0 &&
        row.day >= from &&
        row.day <= to &&
        (!wanted || wanted.values.includes(String(row[wanted.name as keyof ChargedRow]))),
    );
    const groups = Map.groupBy(mine, (row) => JSON.stringify([row.day, row.currency, ...names.map((name) => row[name])]));
    const rows = [...groups.values()].map((group) => {
      const [first] = group;
      // Azure adds floats.
      const cost = group.reduce((sum, row) => sum + costOf(row), 0);
      return [cost, Number(first?.day.replaceAll('-', '')), ...names.map((name) => first?.[name]), first?.currency ?? 'USD'];
    });
    const from0 = Number(request.query.get('$skiptoken') ?? 0);
    const goesOn = from0 + PAGE < rows.length && !(this.losesPages && names.length > 1);
    const nextLink = goesOn ? `${url}${request.path}?api-version=2023-11-01&$skiptoken=${from0 + PAGE}` : null;
    const columns = [
      ...[
        { name: 'Cost', type: 'Number' },
        { name: 'UsageDate', type: 'Number' },
      ],
      ...[...names, 'Currency'].map((name) => ({ name, type: 'String' })),
    ];
    return {
      body: {
        id: 'q',
        name: 'q',
        type: 'Microsoft.CostManagement/query',
        properties: { nextLink, columns, rows: rows.slice(from0, from0 + PAGE) },
      },
    };
  }
}

function checkVersion({ query }: DoubleRequest, version: string): void {
  if (query.get('api-version') !== version) throw new DoubleRefusal(400, 'InvalidApiVersionParameter', `not ${version}`);
}

function pageOf({ path, query }: DoubleRequest, items: readonly unknown[], url: string): DoubleAnswer {
  const from = Number(query.get('$skiptoken') ?? 0);
  const next = new URLSearchParams(query);
  next.set('$skiptoken', String(from + PAGE));
  const goesOn = from + PAGE < items.length ? { nextLink: `${url}${path}?${next.toString()}` } : {};
  return { body: { value: items.slice(from, from + PAGE), ...goesOn } };
}
