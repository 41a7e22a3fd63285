import { formatUsd, type PicoUsdPerHour } from '../kernel/money.ts';
import type { DeploymentSpec } from './deployment.ts';

/** What runs while both sides of a change do. */
export interface Peak {
  readonly replicas: number;
  /** Null = nobody knows: a price of something that runs is missing. */
  readonly hourly: PicoUsdPerHour | null;
}

/** One of the owner's own limits, by its name in the wish, and why a change may not be made under it. */
export interface BrokenGuard {
  readonly guard: 'maxReplicas' | 'maxSpendPerHour';
  readonly message: string;
}

/** The first of the wish's own limits that the peak of a change is beyond; null if it keeps them. */
export function brokenGuard(
  { maxReplicas, maxSpendPerHour }: Pick<DeploymentSpec, BrokenGuard['guard']>,
  { replicas, hourly }: Peak,
): BrokenGuard | null {
  if (replicas > maxReplicas)
    return { guard: 'maxReplicas', message: `It needs up to ${replicas} replicas; maxReplicas is ${maxReplicas}.` };
  if (hourly === null) {
    const unknown = `Nobody knows the price of everything that runs then; maxSpendPerHour is ${formatUsd(maxSpendPerHour)}.`;
    return { guard: 'maxSpendPerHour', message: unknown };
  }
  if (hourly <= maxSpendPerHour) return null;
  const message = `It costs up to ${formatUsd(hourly)} USD per hour; maxSpendPerHour is ${formatUsd(maxSpendPerHour)}.`;
  return { guard: 'maxSpendPerHour', message };
}
