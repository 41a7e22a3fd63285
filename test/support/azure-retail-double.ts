// The public retail price list as its reference describes it: OData filters with `eq` and `and`, pages with `NextPageLink`, `Count` of a page.
import { DoubleRefusal, HttpDouble, type DoubleAnswer, type DoubleRequest } from './http-double.ts';
import type { PageFault } from './price-feed-suite.ts';

export type RetailDoubleRow = Readonly<Record<string, unknown>>;

/** A row as the reference shows one. */
export const retailRow = (row: RetailDoubleRow): RetailDoubleRow => ({
  ...{ currencyCode: 'USD', tierMinimumUnits: 0, retailPrice: 0.192, unitPrice: 0.192, armRegionName: 'eastus' },
  ...{ location: 'US East', effectiveStartDate: '2022-01-01T00:00:00Z', meterId: '1', meterName: 'D4s v5', productId: 'P' },
  ...{ skuId: 'P/1', productName: 'Virtual Machines Dsv5 Series', skuName: 'D4s v5', serviceName: 'Virtual Machines' },
  ...{ serviceId: 'S', serviceFamily: 'Compute', unitOfMeasure: '1 Hour', type: 'Consumption', isPrimaryMeterRegion: true },
  ...{ armSkuName: 'Standard_D4s_v5', reservationTerm: null, availabilityId: null },
  ...row,
});

const CLAUSE = /^(\w+) eq '([^']*)'$/;
/** The words of the filter are not always those of the rows. */
const FIELDS: Readonly<Record<string, string>> = {
  ...{ serviceName: 'serviceName', priceType: 'type', armRegionName: 'armRegionName', armSkuName: 'armSkuName' },
  ...{ productName: 'productName', skuName: 'skuName', meterName: 'meterName' },
};

export class AzureRetailDouble {
  readonly rows: RetailDoubleRow[] = [];
  readonly http: HttpDouble;
  pageRows = 2;
  fault: PageFault | null = null;
  /** The rows of a page are fewer than it says. */
  short = false;

  constructor() {
    this.http = new HttpDouble({
      routes: [
        {
          ...{ method: 'GET', path: /^\/api\/retail\/prices$/ },
          query: ['api-version', 'currencyCode', 'meterRegion', '$filter', '$skip'],
          answer: (request) => this.#list(request),
        },
      ],
      words: (_, Code, Message) => ({ Error: { Code, Message } }),
      token: null,
    });
  }

  get endpoint(): string {
    return `${this.http.url}/api/retail/prices`;
  }

  #list({ query }: DoubleRequest): DoubleAnswer {
    if (query.get('api-version') !== '2023-01-01-preview') throw new DoubleRefusal(400, 'BadRequest', 'api-version');
    if (query.get('currencyCode') !== "'USD'") throw new DoubleRefusal(400, 'BadRequest', 'currencyCode');
    const rows = this.rows.filter(matching(query.get('$filter') ?? ''));
    const skip = Number(query.get('$skip') ?? 0);
    const from = this.fault === 'repeats' && skip > 0 ? 0 : skip;
    const Items = rows.slice(from, from + this.pageRows);
    const goesOn = this.fault !== 'loses its successor' && from + this.pageRows < rows.length;
    const next = new URLSearchParams(query);
    next.set('$skip', String(from + this.pageRows));
    return {
      body: {
        ...{ BillingCurrency: 'USD', CustomerEntityId: 'Default', CustomerEntityType: 'Retail' },
        ...{ Items: this.short ? Items.slice(1) : Items, Count: Items.length },
        NextPageLink: goesOn ? `${this.endpoint}?${next.toString()}` : null,
      },
    };
  }
}

function matching(filter: string): (row: RetailDoubleRow) => boolean {
  const clauses = filter.split(' and ').map((clause) => {
    const [, name = '', value = ''] = CLAUSE.exec(clause) ?? [];
    const field = FIELDS[name];
    if (field === undefined) throw new DoubleRefusal(400, 'BadRequest', `Invalid OData parameters supplied: ${clause}`);
    return { field, value };
  });
  return (row) => clauses.every(({ field, value }) => row[field] === value);
}
