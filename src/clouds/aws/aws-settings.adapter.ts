import { z } from 'zod';

/** Verbs of pools wait this long for one answer. Higher: a hanging region holds up its pools; lower: slow days look like outages. */
const DEADLINE_MS = 20_000;

const Region = z.string().regex(/^[a-z]{2,4}(?:-[a-z]+)+-\d$/, 'must be a region as AWS names it, like us-east-1');

/** Every address of AWS can be replaced: by another partition's, a private endpoint, a test server. */
const Endpoints = z.strictObject({
  /** Of every service that is not named beside it. */
  all: z.url().optional(),
  ec2: z.url().optional(),
  autoScaling: z.url().optional(),
  eks: z.url().optional(),
  sqs: z.url().optional(),
  sts: z.url().optional(),
  pricing: z.url().optional(),
  costExplorer: z.url().optional(),
  serviceQuotas: z.url().optional(),
});

/** How an account of AWS is used. Holds no secret: credentials come from the SDK's default chain. */
export const AwsSettings = z.strictObject({
  /** Where pools may be; prices and offerings are asked for where decisions need them. */
  regions: z.array(Region).min(1),
  /** Queues that EventBridge fills with `EC2 Spot Instance Interruption Warning` and `EC2 Instance Rebalance Recommendation`. */
  notices: z.array(z.strictObject({ region: Region, queueUrl: z.url() })).default([]),
  /** Where bills come from: Cost Explorer (one cent per call), or a FOCUS export. */
  bill: z
    .discriminatedUnion('from', [
      z.strictObject({ from: z.literal('cost-explorer') }),
      z.strictObject({ from: z.literal('focus'), file: z.string().min(1) }),
    ])
    .default({ from: 'cost-explorer' }),
  /** Interruption bands of spot; null = none. */
  spotAdvisorUrl: z.url().nullable().default('https://spot-bid-advisor.s3.amazonaws.com/spot-advisor-data.json'),
  endpoints: Endpoints.default({}),
  deadlineMs: z.number().int().min(100).max(300_000).default(DEADLINE_MS),
});

export type AwsSettings = z.infer<typeof AwsSettings>;
export type AwsService = Exclude<keyof z.infer<typeof Endpoints>, 'all'>;
