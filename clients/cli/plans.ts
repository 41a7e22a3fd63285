import { graphql } from '../typescript/generated/gql.ts';
import { money } from './output.ts';

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
