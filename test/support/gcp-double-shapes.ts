// What the public reference lets a caller write (every other field is refused), and what the double keeps of it.
import { z } from 'zod';

const Text = z.string();
const Name = z.string().regex(/^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/);
const Labels = z.record(z.string().regex(/^[a-z][-_a-z0-9]{0,62}$/), z.string().regex(/^[-_a-z0-9]{0,63}$/));

const AllInstances = z.strictObject({
  properties: z.strictObject({ metadata: z.record(Text, Text).optional(), labels: Labels.optional() }),
});
const UpdatePolicy = z.strictObject({
  type: z.enum(['OPPORTUNISTIC', 'PROACTIVE']),
  instanceRedistributionType: z.enum(['NONE', 'PROACTIVE']).optional(),
});

export const TemplateBody = z.strictObject({
  name: Name,
  properties: z.strictObject({
    machineType: z.string().regex(/^[a-z0-9-]+$/),
    guestAccelerators: z.array(z.strictObject({ acceleratorType: Name, acceleratorCount: z.number().int().min(1) })).optional(),
    labels: Labels.optional(),
    metadata: z.strictObject({ items: z.array(z.strictObject({ key: Text, value: Text })) }).optional(),
    disks: z
      .array(
        z.strictObject({
          boot: z.boolean(),
          autoDelete: z.boolean(),
          // int64 is text in JSON.
          initializeParams: z.strictObject({ sourceImage: Text, diskSizeGb: z.string().regex(/^\d+$/).optional() }),
        }),
      )
      .min(1),
    networkInterfaces: z.array(z.strictObject({ network: Text.optional(), subnetwork: Text.optional() })).min(1),
    serviceAccounts: z.array(z.strictObject({ email: Text, scopes: z.array(Text) })).optional(),
    scheduling: z
      .strictObject({
        provisioningModel: z.enum(['SPOT', 'STANDARD']),
        instanceTerminationAction: z.enum(['DELETE', 'STOP']).optional(),
        automaticRestart: z.literal(false).optional(),
        onHostMaintenance: z.enum(['TERMINATE', 'MIGRATE']).optional(),
      })
      .optional(),
  }),
});

export const GroupBody = z.strictObject({
  name: Name,
  baseInstanceName: Name,
  instanceTemplate: Text,
  targetSize: z.number().int().min(0),
  description: Text.optional(),
  updatePolicy: UpdatePolicy.optional(),
  instanceLifecyclePolicy: z.strictObject({ defaultActionOnFailure: z.enum(['DO_NOTHING', 'REPAIR']) }).optional(),
  allInstancesConfig: AllInstances.optional(),
  distributionPolicy: z.strictObject({ targetShape: z.enum(['ANY', 'EVEN', 'BALANCED']) }).optional(),
});

export const GroupPatch = z.strictObject({
  fingerprint: Text,
  instanceTemplate: Text.optional(),
  allInstancesConfig: AllInstances.optional(),
});

export const CreateInstancesBody = z.strictObject({ instances: z.array(z.strictObject({ name: Name })).min(1) });
export const DeleteInstancesBody = z.strictObject({
  instances: z.array(z.string().regex(/^zones\/[^/]+\/instances\/[^/]+$/)).min(1),
  skipInstancesOnValidationError: z.boolean().optional(),
});

export const NodePoolBody = z.strictObject({
  nodePool: z.strictObject({
    name: z.string().regex(/^[a-z][-a-z0-9]{0,38}[a-z0-9]$/),
    initialNodeCount: z.number().int().min(0),
    autoscaling: z.strictObject({ enabled: z.boolean() }),
    locations: z.array(z.string().regex(/^[a-z]+-[a-z0-9]+-[a-z]$/)).length(1),
    config: z.strictObject({
      machineType: z.string().regex(/^[a-z0-9-]+$/),
      accelerators: z.array(z.strictObject({ acceleratorType: Name, acceleratorCount: z.string().regex(/^\d+$/) })).optional(),
      labels: z.record(Text, Text).optional(),
      resourceLabels: Labels.optional(),
      spot: z.boolean().optional(),
      diskSizeGb: z.number().int().optional(),
      serviceAccount: Text.optional(),
    }),
  }),
});
export const NodePoolUpdate = z.strictObject({
  etag: Text,
  labels: z.strictObject({ labels: z.record(Text, Text) }).optional(),
  resourceLabels: z.strictObject({ labels: Labels }).optional(),
});
export const SetSizeBody = z.strictObject({ nodeCount: z.number().int().min(0) });

export interface Instance {
  readonly name: string;
  readonly zone: string;
  readonly createdAt: number;
  /** There was no room: the group tries for ever. */
  failure: 'ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS' | 'QUOTA_EXCEEDED' | null;
  leavesAt: number | null;
  /** Google takes it: then it is gone, and the group lists it without an instance. */
  takenAt: number | null;
}

export interface Group {
  readonly id: string;
  readonly place: string;
  readonly name: string;
  version: number;
  template: string;
  metadata: Record<string, string>;
  labels: Record<string, string>;
  instances: Instance[];
  goneAt: number | null; // being deleted until then
}

export interface NodePool {
  readonly name: string;
  config: Record<string, unknown>;
  version: number;
  busyUntil: number;
  isGoing: boolean;
  readonly group: Group;
}
