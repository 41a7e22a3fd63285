import { simulateSpot } from './simulate-spot.ts';
import { clairvoyantCost, endOf, type SpotScenario } from './spot-market.ts';
import { spotContestants } from './spot-policies.ts';

/** One policy on one group of traces. */
export interface SpotRow {
  readonly group: string;
  readonly policy: string;
  readonly setting: string;
  /** Cost over that of as many on-demand instances all the time. */
  readonly costToOnDemand: number;
  readonly costToClairvoyant: number;
  /** Share of the wished replica time that was ready, 0 to 1. */
  readonly filledShare: number;
  /** The longest time that a wished replica was missing, in samples of the trace. */
  readonly worstLossTicks: number;
  /** Launches after the start. */
  readonly moves: number;
}

/** Everybody on the same market; the clairvoyant last. */
export function compareSpot(scenario: SpotScenario): SpotRow[] {
  const { group, replicas, onDemandRatio } = scenario;
  const best = clairvoyantCost(scenario);
  const onDemand = replicas * onDemandRatio * endOf(group);
  const rows = spotContestants(scenario).map(({ policy, setting, start }) => {
    const { cost, filledShare, worstLossMs, moves } = simulateSpot(scenario, start(scenario));
    return {
      ...{ group: group.name, policy, setting },
      ...{ costToOnDemand: cost / onDemand, costToClairvoyant: cost / best },
      ...{ filledShare, worstLossTicks: worstLossMs / group.tickMs, moves },
    };
  });
  const clairvoyant = { costToOnDemand: best / onDemand, costToClairvoyant: 1, filledShare: 1, worstLossTicks: 0, moves: 0 };
  return [...rows, { group: group.name, policy: 'clairvoyant', setting: '', ...clairvoyant }];
}
