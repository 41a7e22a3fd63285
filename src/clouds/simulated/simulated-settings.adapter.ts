import { z } from 'zod';
import { HOUR_MS, MINUTE_MS } from '../../kernel/instant.ts';
import { parseUsd } from '../../kernel/money.ts';
import type { SimulatedMarket } from './simulated-cloud.adapter.ts';
import type { MarketOffering, PricedMarket } from './simulated-market.ts';

const MIB_PER_GIB = 1_024;

const Usd = z.string().transform((text, context) => {
  const amount = parseUsd(text);
  if (amount !== null && amount >= 0n) return amount;
  context.addIssue({ code: 'custom', message: 'must be USD per hour as a text, like "0.0960"' });
  return z.NEVER;
});

const gib = z.number().positive();

const Offering = z
  .strictObject({
    region: z.string().min(1),
    zones: z.array(z.string().min(1)).min(1),
    instanceType: z.string().min(1),
    architecture: z.enum(['amd64', 'arm64']).default('amd64'),
    cpu: z.number().positive(),
    memoryGib: gib,
    accelerator: z
      .strictObject({ model: z.string().min(1), count: z.number().int().positive(), memoryGib: gib })
      .nullable()
      .default(null),
    onDemand: Usd,
    spot: Usd.nullable().default(null),
  })
  .transform(({ cpu, memoryGib, accelerator, ...rest }): MarketOffering => ({
    ...rest,
    cpuMilli: Math.round(cpu * 1_000),
    memoryMib: Math.round(memoryGib * MIB_PER_GIB),
    accelerator: accelerator && {
      model: accelerator.model,
      countMilli: accelerator.count * 1_000,
      memoryMib: Math.round(accelerator.memoryGib * MIB_PER_GIB),
    },
  }));

const Shortages = z
  .strictObject({ everyHours: z.number().positive(), lastMinutes: z.number().min(0) })
  .transform(({ everyHours, lastMinutes }) => ({
    everyMs: Math.round(everyHours * HOUR_MS),
    lastMs: Math.round(lastMinutes * MINUTE_MS),
  }));

const seconds = z.number().min(0).max(86_400);

/** A simulated cloud as it is written down. */
export const SimulatedSettings = z
  .strictObject({
    seed: z.number().int().min(0).max(0xffff_ffff).default(1),
    /** Whose offerings it sells, as the price book names them; absent = its own. */
    cloud: z.string().min(1).optional(),
    /** Absent = anything, always, free of charge. */
    offerings: z.array(Offering).min(1).optional(),
    /** Prices of spot move so far around their mean. */
    swing: z.number().min(0).max(0.8).default(0.3),
    priceMinutes: z.number().min(1).max(1_440).default(60),
    spotShortages: Shortages.prefault({ everyHours: 12, lastMinutes: 40 }),
    onDemandShortages: Shortages.prefault({ everyHours: 720, lastMinutes: 0 }),
    noticeSeconds: seconds.default(120),
    startSeconds: z
      .tuple([seconds, seconds])
      .refine(([least, most]) => least <= most, 'the first must not be more than the second')
      .default([20, 60]),
    stopSeconds: seconds.default(10),
    quota: z.number().int().min(0).default(100),
    stock: z.record(z.string(), z.number().int().min(0)).default({}),
    lost: z.number().min(0).max(0.9).default(0),
    /** Folder where what is rented is kept; absent = in the data folder. */
    state: z.string().min(1).optional(),
  })
  .transform(
    (
      one,
    ): {
      readonly cloud: string | undefined;
      readonly state: string | undefined;
      readonly market: Partial<SimulatedMarket>;
      readonly priced: PricedMarket | undefined;
    } => ({
      cloud: one.cloud,
      state: one.state,
      market: {
        startMs: [one.startSeconds[0] * 1_000, one.startSeconds[1] * 1_000],
        stopMs: one.stopSeconds * 1_000,
        ...{ quota: one.quota, stock: one.stock, lost: one.lost },
      },
      priced: one.offerings && {
        ...{ seed: one.seed, offerings: one.offerings, swing: one.swing },
        priceStepMs: Math.round(one.priceMinutes * MINUTE_MS),
        ...{ spotShortages: one.spotShortages, onDemandShortages: one.onDemandShortages },
        noticeMs: one.noticeSeconds * 1_000,
      },
    }),
  );
