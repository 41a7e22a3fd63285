import { graphql } from '../typescript/generated/gql.ts';
import { money, table } from './output.ts';

/** What is shown of the plan of a change. */
export const PlanOfChange = graphql(`
  fragment PlanOfChange on Plan {
    hash
    expiresAt
    peakReplicas
    risks
    actions {
      kind
      message
    }
    costDelta {
      amount
    }
    monthlyEstimate {
      amount
    }
  }
`);

/** What a plan says of money. */
export interface CostOfPlan {
  readonly costDelta: { readonly amount: string };
  readonly monthlyEstimate: { readonly amount: string };
}

/** The price of a plan in one line. */
export const costLine = ({ costDelta, monthlyEstimate }: CostOfPlan): string =>
  `Cost: ${costDelta.amount.startsWith('-') ? '' : '+'}${money(costDelta.amount)} per hour; ${money(monthlyEstimate.amount)} per month afterwards (estimate).`;

/** How much it takes on the way, and until when its hash is good. */
export const peakLine = ({
  peakReplicas,
  expiresAt,
}: {
  readonly peakReplicas: number;
  readonly expiresAt?: string | null;
}): string =>
  `At most ${peakReplicas} ${peakReplicas === 1 ? 'replica' : 'replicas'} at a time on the way.${expiresAt ? ` Valid until ${expiresAt}.` : ''}`;

interface Amount {
  readonly amount: string;
}

interface Candidate {
  readonly offering: {
    readonly provider: string;
    readonly region: string;
    readonly instanceType: string;
    readonly capacityType: string;
  };
  readonly hourly?: Amount | null;
  readonly monthly?: Amount | null;
  readonly priceSource?: string | null;
  readonly score?: Amount | null;
  /** Only where they differ from machine to machine. */
  readonly replicas?: number | null;
  readonly chosen: boolean;
  readonly rejectedBecause?: { readonly code: string; readonly message: string } | null;
}

/** A plan holds no more: 20 that fit and 20 that do not. */
const MAX_CANDIDATES = 40;

/** What was looked at: what fits with its price, then what does not and why, once per kind of machine. */
export function candidateLines(candidates: readonly Candidate[]): string[] {
  const fits = candidates.filter(({ score }) => score);
  const others = Map.groupBy(
    candidates.filter(({ score }) => !score),
    ({ offering, rejectedBecause }) => `${nameOf(offering)}, ${capacityOf(offering)}: ${rejectedBecause?.code ?? ''}`,
  );
  return [
    ...(fits.length > 0 ? [fitTable(fits)] : []),
    ...sourceLines(fits),
    ...(others.size > 0 ? ['Did not fit, the closest:', ...[...others.values()].flatMap(rejectionLines)] : []),
    ...(candidates.length >= MAX_CANDIDATES ? ['There are more: these are the best and the closest.'] : []),
  ];
}

/** How old a price is that somebody is about to rely on. */
const sourceLines = (fits: readonly Candidate[]): string[] => {
  const sources = [...new Set(fits.flatMap(({ chosen, priceSource }) => (chosen && priceSource ? [priceSource] : [])))];
  return sources.length > 0 ? [`The price of the chosen one is from ${sources.join(', ')}.`] : [];
};

const nameOf = ({ provider, instanceType }: Candidate['offering']): string => `${provider} ${instanceType}`;
const capacityOf = ({ capacityType }: Candidate['offering']): string => capacityType.toLowerCase();

function fitTable(fits: readonly Candidate[]): string {
  const counts = fits.some(({ replicas }) => typeof replicas === 'number');
  const counted = (cell: string): string[] => (counts ? [cell] : []);
  return table(
    ['', 'offering', 'region', 'capacity', ...counted('replicas'), 'per hour', 'per month', 'with all', 'why'],
    fits.map(({ offering, hourly, monthly, score, replicas, chosen, rejectedBecause }) => [
      chosen ? '*' : '',
      ...[nameOf(offering), offering.region, capacityOf(offering)],
      ...counted(String(replicas ?? '')),
      ...[hourly, monthly, score].map((one) => (one ? money(one.amount) : '-')),
      chosen ? 'chosen' : (rejectedBecause?.code ?? ''),
    ]),
  );
}

/** The same kind of machine, refused for the same reason: it is told of the first, which is the cheapest. */
function rejectionLines(same: readonly Candidate[]): string[] {
  const [first] = same;
  if (!first) return [];
  const { offering, hourly, rejectedBecause } = first;
  const regions = new Set(same.map((one) => one.offering.region)).size - 1;
  const more = regions === 0 ? '' : ` and ${regions} more ${regions === 1 ? 'region' : 'regions'}`;
  const price = hourly ? `${same.length > 1 ? 'from ' : ''}${money(hourly.amount)} per hour` : 'no price';
  return [
    `   ${nameOf(offering)} in ${offering.region}${more}, ${capacityOf(offering)}, ${price}`,
    `      ${rejectedBecause?.code ?? ''}: ${rejectedBecause?.message ?? ''}`,
  ];
}

interface Place {
  readonly cluster: string;
  readonly pool: string;
  readonly offering: string;
  readonly replicas: number;
  readonly machines?: number | null;
  readonly hourly: Amount;
}

/** Where its replicas go, and on what, one line each. */
export const placeLines = (places: readonly Place[]): string[] =>
  places.map(({ cluster, pool, offering, replicas, machines, hourly }) => {
    const on = typeof machines === 'number' ? `${machines} × ${offering}` : `what is there, priced as ${offering}`;
    return `${replicas} on ${cluster}/${pool}: ${on}, ${money(hourly.amount)} per hour`;
  });
