import type { Plan } from '../../src/deployments/plan.ts';
import { newId } from '../../src/kernel/id.ts';
import { formatUsd } from '../../src/kernel/money.ts';
import { PriceRepository } from '../../src/pricing/price.repository.ts';
import type { Ground } from './deployments-world.ts';

/** Sets the price of one of the ground's offerings by hand, in pico-dollars per hour. */
export const setPriceOf = (ground: Ground, index: number, usd: bigint): Promise<void> =>
  ground.database.write({ kind: 'reconciler', loop: 'test' }, (tx) => {
    const offering = ground.offerings[index]!;
    const now = ground.clock.now();
    const amounts = { list: usd, contracted: usd, effective: usd };
    const row = {
      id: newId(now, ground.random),
      offeringId: offering.id,
      ...amounts,
      effectiveFrom: now,
      observedAt: now,
      source: 'override',
      state: 'believed' as const,
    };
    return new PriceRepository().append(tx, row, 'test');
  });

/** A plan as golden text. */
export const planText = (plan: Plan): string =>
  [
    ...plan.actions.map(({ kind, message }) => `${kind}: ${message}`),
    ...plan.candidates.map(({ offering, hourly, chosen, rejectedBecause }) => {
      const why = chosen ? 'chosen' : `${rejectedBecause?.code ?? ''}: ${rejectedBecause?.message ?? ''}`;
      return `${offering.instanceType} ${hourly === null ? '-' : formatUsd(hourly)} ${why}`;
    }),
    `delta ${formatUsd(plan.costDelta)}/h, ${formatUsd(plan.monthlyAfter)}/month, peak ${plan.peakReplicas} replicas ${formatUsd(plan.peakHourly)}/h`,
    ...plan.risks.map((risk) => `risk: ${risk}`),
  ].join('\n');
