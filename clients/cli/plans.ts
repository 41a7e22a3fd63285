import { money } from './output.ts';

/** What a plan says of money. */
export interface CostOfPlan {
  readonly costDelta: { readonly amount: string };
  readonly monthlyEstimate: { readonly amount: string };
}

/** The price of a plan in one line. */
export const costLine = ({ costDelta, monthlyEstimate }: CostOfPlan): string =>
  `Cost: ${costDelta.amount.startsWith('-') ? '' : '+'}${money(costDelta.amount)} per hour; ${money(monthlyEstimate.amount)} per month afterwards (estimate).`;
