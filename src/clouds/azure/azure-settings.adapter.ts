import { z } from 'zod';

/** Verbs of pools wait this long for one answer. Higher: a hanging region holds up its pools; lower: slow days look like outages. */
const DEADLINE_MS = 20_000;
/** So long a change is watched for a refusal. Higher: other pools wait; lower: what Azure refuses a moment later shows only as machines that do not come. */
const SETTLE_MS = 15_000;

const Name = z.string().regex(/^[\w.()-]{1,90}$/);

/** How a subscription of Azure is used. Holds no secret: credentials come from the SDK's default chain. */
export const AzureSettings = z.strictObject({
  subscriptionId: z.uuid(),
  /** Whose quotas a check looks at: `eastus`. */
  regions: z.array(z.string().regex(/^[a-z0-9]+$/)).default([]),
  /** Clusters of AKS whose agent pools may be made and scaled. */
  clusters: z.array(z.strictObject({ resourceGroup: Name, name: Name })).default([]),
  /** Where scale sets of machines are made that join clusters by a script of their own; null = nowhere. */
  scaleSets: z.strictObject({ resourceGroup: Name }).nullable().default(null),
  /** Where bills come from: Cost Management, or a FOCUS export. */
  bill: z
    .discriminatedUnion('from', [
      z.strictObject({ from: z.literal('cost-management') }),
      z.strictObject({ from: z.literal('focus'), file: z.string().min(1) }),
    ])
    .default({ from: 'cost-management' }),
  /** Of another cloud of Microsoft, a private endpoint, a test server. */
  endpoints: z.strictObject({ management: z.url().optional(), retailPrices: z.url().optional() }).default({}),
  deadlineMs: z.number().int().min(100).max(300_000).default(DEADLINE_MS),
  settleMs: z.number().int().min(0).max(300_000).default(SETTLE_MS),
});

export type AzureSettings = z.infer<typeof AzureSettings>;
