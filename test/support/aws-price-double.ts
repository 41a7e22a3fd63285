// A strict double of what AWS says of prices and costs, written from the public references: Price List query API and Cost Explorer (JSON 1.1,
// `x-amz-target`), three verbs of EC2's query API (form in, XML out), the file of the Spot Advisor. What the references do not know is refused.
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { failure, readCall, type AwsAnswer, type AwsCall } from './aws-account.ts';
import { answerCosts, type Charge } from './aws-cost-double.ts';
import type { CloudTrouble } from './cloud-provider-suite.ts';
import type { PageFault } from './price-feed-suite.ts';

export interface RentedType {
  readonly type: string;
  /** `x86_64`, `arm64`, `x86_64_mac`. */
  readonly architecture: string;
  readonly vcpus: number;
  readonly memoryMib: number;
  /** XML of its accelerators, as EC2 writes it. */
  readonly devices?: string;
  /** By region; absent = it cannot be rented there. */
  readonly onDemand: Readonly<Record<string, string>>;
  /** By zone. */
  readonly spot: Readonly<Record<string, string>>;
}

export interface AwsPriceDouble {
  readonly url: string;
  readonly calls: readonly AwsCall[];
  trouble: CloudTrouble | null;
  pages: PageFault | null;
  /** Texts of `PriceList` of the first region, after the good ones. */
  readonly moreProducts: string[];
  /** Further rows of spot history, as XML. */
  readonly moreHistory: string[];
  readonly charges: Charge[];
  /** Changes an answer. */
  edit: ((call: AwsCall, answer: AwsAnswer) => AwsAnswer) | null;
  close(): Promise<void>;
}

const PUBLISHED = '2026-11-20T18:15:42Z';
const CHANGED = '2026-11-21T09:00:00.000Z';
/** Rows per page: fewer than anybody asks for, as it may be. */
const PAGE = 5;

export async function startAwsPrices(types: readonly RentedType[], regions: readonly string[]): Promise<AwsPriceDouble> {
  const hanging = new Set<ServerResponse>();
  const calls: AwsCall[] = [];
  const server = createServer((incoming, outgoing) => {
    const serve = async (): Promise<void> => {
      const call = await readCall(incoming);
      calls.push(call);
      if (double.trouble === 'hangs') return void hanging.add(outgoing);
      const answer = troubled(call, double.trouble) ?? answerOf(call, { types, regions, double });
      const { status, type, body } = double.edit?.(call, answer) ?? answer;
      outgoing.writeHead(status, { 'content-type': type }).end(body);
    };
    serve().catch(() => outgoing.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const double: AwsPriceDouble = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ...{ calls, trouble: null, pages: null, edit: null, moreProducts: [], moreHistory: [], charges: [] },
    close: async () => {
      for (const outgoing of hanging) outgoing.destroy();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return double;
}

interface World {
  readonly types: readonly RentedType[];
  readonly regions: readonly string[];
  readonly double: AwsPriceDouble;
}

function troubled(call: AwsCall, trouble: CloudTrouble | null): AwsAnswer | null {
  const isForm = call.form.has('Action');
  if (trouble === 'throttled')
    return failure(call, isForm ? 503 : 400, isForm ? 'RequestLimitExceeded' : 'ThrottlingException', 'Slow down');
  if (trouble === 'broken') return failure(call, 500, 'InternalError', 'An internal error has occurred');
  return null;
}

function answerOf(call: AwsCall, world: World): AwsAnswer {
  if (call.action === 'GET /spot-advisor-data.json') return json(advice(world));
  if (call.service === '') return failure(call, 403, 'MissingAuthenticationToken', 'Request is missing a signature');
  if (call.service === 'pricing' && call.action === 'GetProducts') return getProducts(call, world);
  if (call.service === 'ce' && call.action === 'GetCostAndUsage') return answerCosts(call, world.double.charges);
  const verb = call.service === 'ec2' && call.form.get('Version') === '2016-11-15' ? VERBS[call.action] : undefined;
  return verb ? verb(call, world) : failure(call, 400, 'InvalidAction', `There is no ${call.action} here`);
}

const json = (body: unknown): AwsAnswer => ({ status: 200, type: 'application/x-amz-json-1.1', body: JSON.stringify(body) });

interface ProductsQuestion {
  readonly ServiceCode: string;
  readonly FormatVersion?: string;
  readonly MaxResults?: number;
  readonly NextToken?: string;
  readonly Filters?: readonly { readonly Type: string; readonly Field: string; readonly Value: string }[];
}

const PRODUCT_FIELDS = ['ServiceCode', 'FormatVersion', 'MaxResults', 'NextToken', 'Filters'];

function getProducts(call: AwsCall, world: World): AwsAnswer {
  const question = JSON.parse(call.body) as ProductsQuestion;
  const unknown = Object.keys(question).find((name) => !PRODUCT_FIELDS.includes(name));
  const wrong = unknown ?? ((question.MaxResults ?? 1) > 100 ? 'MaxResults' : undefined);
  if (wrong !== undefined || question.ServiceCode !== 'AmazonEC2')
    return failure(call, 400, 'InvalidParameterException', `The value of ${wrong ?? 'ServiceCode'} is not valid`);
  const matches = allProducts(world).filter(({ attributes }) =>
    (question.Filters ?? []).every(({ Type, Field, Value }) => Type === 'TERM_MATCH' && attributes[Field] === Value),
  );
  const texts = matches.map(({ text }) => text);
  const page = pageOf(call, world, { items: texts, token: question.NextToken, most: question.MaxResults ?? 100 });
  return typeof page === 'string'
    ? failure(call, 400, 'ExpiredNextTokenException', page)
    : json({ FormatVersion: 'aws_v1', NextToken: page.next, PriceList: page.items });
}

interface Product {
  readonly attributes: Readonly<Record<string, string>>;
  readonly text: string;
}

/** Of each type the price that is meant, and beside it Windows, dedicated tenancy and reserved capacity, at other prices. */
function allProducts({ types, regions, double }: World): Product[] {
  const good = types.flatMap(({ type, onDemand }) =>
    Object.entries(onDemand).flatMap(([region, amount]) => [
      product({ type, region }, amount),
      product({ type, region, operatingSystem: 'Windows' }, '9.9900000000'),
      product({ type, region, tenancy: 'Dedicated' }, '8.8800000000'),
      product({ type, region, capacitystatus: 'UnusedCapacityReservation' }, '0.0000000000'),
    ]),
  );
  const [first = ''] = regions;
  const attributes = product({ type: '?', region: first }, '0').attributes;
  return [...good, ...double.moreProducts.map((text) => ({ attributes, text }))];
}

interface ProductKind {
  readonly type: string;
  readonly region: string;
  readonly operatingSystem?: string;
  readonly tenancy?: string;
  readonly capacitystatus?: string;
}

/** One text of `PriceList`. */
export function product(kind: ProductKind, amount: string, unit = 'Hrs'): Product {
  const { type, region, operatingSystem = 'Linux', tenancy = 'Shared', capacitystatus = 'Used' } = kind;
  const sku = Buffer.from(`${type}/${region}/${operatingSystem}/${tenancy}`).toString('hex').slice(0, 16).toUpperCase();
  const attributes = {
    ...{ instanceType: type, regionCode: region, operatingSystem, tenancy, capacitystatus, preInstalledSw: 'NA' },
    ...{ marketoption: 'OnDemand', servicecode: 'AmazonEC2', operation: 'RunInstances', locationType: 'AWS Region' },
  };
  const dimension = { unit, endRange: 'Inf', beginRange: '0', appliesTo: [], rateCode: `${sku}.J.6`, description: 'per hour' };
  const term = {
    priceDimensions: { [`${sku}.J.6`]: { ...dimension, pricePerUnit: { USD: amount } } },
    ...{ sku, effectiveDate: '2026-11-01T00:00:00Z', offerTermCode: 'JRTCKXETXF', termAttributes: {} },
  };
  const entry = {
    product: { productFamily: 'Compute Instance', attributes, sku },
    ...{ serviceCode: 'AmazonEC2', version: '20261120181542', publicationDate: PUBLISHED },
    terms: { OnDemand: { [`${sku}.J`]: term }, Reserved: { [`${sku}.R`]: { priceDimensions: {} } } },
  };
  return { attributes, text: JSON.stringify(entry) };
}

interface Paged<T> {
  readonly items: readonly T[];
  readonly token: string | undefined;
  readonly most: number;
}

/** A text = the token is not valid. */
function pageOf<T>(
  call: AwsCall,
  { double }: World,
  paged: Paged<T>,
): { items: readonly T[]; next: string | undefined } | string {
  const tokenOf = (at: number): string => Buffer.from(`${call.action}@${at}`).toString('base64');
  const starts = paged.items.map((_, at) => at);
  const from = paged.token ? starts.find((at) => tokenOf(at) === paged.token) : 0;
  if (from === undefined) return 'The token has expired';
  const size = Math.min(PAGE, paged.most);
  const hasMore = from + size < paged.items.length;
  const fine = hasMore ? tokenOf(from + size) : undefined;
  const next =
    double.pages === null || !hasMore
      ? fine
      : double.pages === 'repeats' && from > 0
        ? tokenOf(from)
        : double.pages === 'repeats'
          ? fine
          : undefined;
  return { items: paged.items.slice(from, from + size), next };
}

type Verb = (call: AwsCall, world: World) => AwsAnswer;

const VERBS: Readonly<Record<string, Verb>> = {
  DescribeInstanceTypes: (call, world) =>
    rows(call, world, { set: 'instanceTypeSet', most: 100, items: typesIn(call, world).map(typeXml), may: [] }),
  DescribeInstanceTypeOfferings: (call, world) => {
    const zones = typesIn(call, world).flatMap(({ type, spot }) => Object.keys(spot).map((zone) => ({ type, zone })));
    const here = zones.filter(({ zone }) => zone.startsWith(regionOf(call)));
    const items = here.map(
      ({ type, zone }) =>
        `<instanceType>${type}</instanceType><locationType>availability-zone</locationType><location>${zone}</location>`,
    );
    if (call.form.get('LocationType') !== 'availability-zone') return failure(call, 400, 'InvalidParameterValue', 'LocationType');
    return rows(call, world, { set: 'instanceTypeOfferingSet', most: 1_000, items, may: ['LocationType'] });
  },
  DescribeSpotPriceHistory: (call, world) => {
    const may = ['StartTime', 'ProductDescription.1', 'ProductDescription.2'];
    if (call.form.get('ProductDescription.1') !== 'Linux/UNIX')
      return failure(call, 400, 'InvalidParameterValue', 'ProductDescription');
    const items = typesIn(call, world).flatMap(({ type, spot }) =>
      Object.entries(spot)
        .filter(([zone, amount]) => zone.startsWith(regionOf(call)) && amount !== '')
        .map(([zone, amount]) => historyXml({ type, zone, amount, at: CHANGED })),
    );
    const more = regionOf(call) === world.regions[0] ? world.double.moreHistory : [];
    return rows(call, world, { set: 'spotPriceHistorySet', most: 1_000, items: [...items, ...more], may });
  },
};

const regionOf = ({ headers }: AwsCall): string =>
  /Credential=[^/]+\/\d{8}\/([^/]+)\//.exec(headers.authorization ?? '')?.[1] ?? '';

const typesIn = (call: AwsCall, { types }: World): RentedType[] =>
  types.filter(({ onDemand }) => Object.hasOwn(onDemand, regionOf(call)));

export const historyXml = (row: {
  readonly type: string;
  readonly zone: string;
  readonly amount: string;
  readonly at: string;
}): string =>
  `<instanceType>${row.type}</instanceType><productDescription>Linux/UNIX</productDescription><spotPrice>${row.amount}</spotPrice>` +
  `<timestamp>${row.at}</timestamp><availabilityZone>${row.zone}</availabilityZone>`;

const typeXml = ({ type, architecture, vcpus, memoryMib, devices = '' }: RentedType): string =>
  `<instanceType>${type}</instanceType><supportedUsageClasses><item>on-demand</item><item>spot</item></supportedUsageClasses>` +
  `<processorInfo><supportedArchitectures><item>${architecture}</item></supportedArchitectures></processorInfo>` +
  `<vCpuInfo><defaultVCpus>${vcpus}</defaultVCpus></vCpuInfo><memoryInfo><sizeInMiB>${memoryMib}</sizeInMiB></memoryInfo>${devices}`;

interface Rows {
  readonly set: string;
  readonly most: number;
  readonly items: readonly string[];
  /** Parameters beside those of every list. */
  readonly may: readonly string[];
}

function rows(call: AwsCall, world: World, { set, most, items, may }: Rows): AwsAnswer {
  const asked = Number(call.form.get('MaxResults') ?? most);
  const unknown = [...call.form.keys()].find((name) => !['Action', 'Version', 'MaxResults', 'NextToken', ...may].includes(name));
  if (unknown !== undefined) return failure(call, 400, 'UnknownParameter', `The parameter ${unknown} is not recognized`);
  if (asked > most || asked < 5) return failure(call, 400, 'InvalidParameterValue', 'MaxResults');
  const page = pageOf(call, world, { items, token: call.form.get('NextToken') ?? undefined, most: asked });
  if (typeof page === 'string') return failure(call, 400, 'InvalidNextToken', page);
  const list = page.items.map((item) => `<item>${item}</item>`).join('');
  const next = `<nextToken>${page.next ?? ''}</nextToken>`;
  const answer = `${call.action}Response`;
  const body = `<${answer} xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId><${set}>${list}</${set}>${next}</${answer}>`;
  return { status: 200, type: 'text/xml;charset=UTF-8', body };
}

/** The file that AWS publishes for everybody. */
function advice({ types, regions }: World): unknown {
  const ranges = ['<5%', '5-10%', '10-15%', '15-20%', '>20%'].map((label, index) => ({
    index,
    label,
    dots: 0,
    max: 5 * index + 5,
  }));
  const systems = Object.fromEntries(types.map(({ type }, index) => [type, { s: 60, r: index % ranges.length }]));
  const spot = Object.fromEntries(regions.map((region) => [region, { Linux: systems, Windows: {} }]));
  return { global_rate: '<10%', instance_types: {}, ranges, spot_advisor: spot };
}
