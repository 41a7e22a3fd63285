import { z } from 'zod';

/** Verbs of pools wait this long for one answer. Higher: a hanging zone holds up its pools; lower: slow days look like outages. */
const DEADLINE_MS = 20_000;
/** So long a change is watched for a refusal. Higher: other pools wait; lower: what Google refuses a moment later shows only as machines that do not come. */
const SETTLE_MS = 15_000;

const Name = z.string().regex(/^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/);

/** How a project of Google Cloud is used. Holds no secret: credentials come from the library's default chain. */
export const GcpSettings = z.strictObject({
  projectId: z.string().regex(/^[a-z][-a-z0-9:.]{4,}[a-z0-9]$/),
  /** Whose quotas a check looks at: `us-central1`. */
  regions: z.array(Name).default([]),
  /** Clusters of GKE whose node pools may be made and scaled. */
  clusters: z.array(z.strictObject({ name: Name, location: Name })).default([]),
  /** A FOCUS export of the bill; null = bills are not read. */
  bill: z
    .strictObject({ from: z.literal('focus'), file: z.string().min(1) })
    .nullable()
    .default(null),
  /** Private endpoints, a test server. */
  endpoints: z
    .strictObject({
      compute: z.url().optional(),
      container: z.url().optional(),
      billing: z.url().optional(),
      resourceManager: z.url().optional(),
    })
    .default({}),
  deadlineMs: z.number().int().min(100).max(300_000).default(DEADLINE_MS),
  settleMs: z.number().int().min(0).max(300_000).default(SETTLE_MS),
});

export type GcpSettings = z.infer<typeof GcpSettings>;
