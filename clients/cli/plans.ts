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
  readonly score?: Amount | null;
  readonly chosen: boolean;
  readonly rejectedBecause?: { readonly code: string; readonly message: string } | null;
}

/** A plan holds no more: 20 that fit and 20 that do not. */
const MAX_CANDIDATES = 40;

/** What was looked at, with its price and why it lost. */
export const candidateTable = (candidates: readonly Candidate[]): string[] => [
  table(
    ['', 'offering', 'region', 'capacity', 'per hour', 'per month', 'with all', 'why'],
    candidates.map(({ offering, hourly, monthly, score, chosen, rejectedBecause }) => [
      chosen ? '*' : '',
      `${offering.provider} ${offering.instanceType}`,
      offering.region,
      offering.capacityType.toLowerCase(),
      ...[hourly, monthly, score].map((one) => (one ? money(one.amount) : '-')),
      chosen ? 'chosen' : `${rejectedBecause?.code ?? ''}: ${rejectedBecause?.message ?? ''}`,
    ]),
  ),
  ...(candidates.length >= MAX_CANDIDATES ? ['The best that fit and the others that came closest; there are more.'] : []),
];

interface Place {
  readonly cluster: string;
  readonly pool: string;
  readonly offering: string;
  readonly replicas: number;
  readonly machines?: number | null;
  readonly hourly: Amount;
}

/** Where machines are rented, one line each; none where everything is as it is. */
export const placeLines = (places: readonly Place[]): string[] =>
  places
    .filter(({ machines }) => typeof machines === 'number')
    .map(
      ({ cluster, pool, offering, replicas, machines, hourly }) =>
        `${replicas} on ${cluster}/${pool}: ${machines} × ${offering}, ${money(hourly.amount)} per hour`,
    );
