// What the public reference lets a caller write: every other field is refused.
import { z } from 'zod';

const Text = z.string();
const Tags = z.record(Text, z.string().max(256));

export const AgentPoolBody = z.strictObject({
  properties: z.strictObject({
    count: z.number().int().min(0).max(1_000),
    vmSize: Text,
    osType: z.literal('Linux'),
    mode: z.enum(['User', 'System']),
    type: z.literal('VirtualMachineScaleSets'),
    enableAutoScaling: z.boolean(),
    nodeLabels: z.record(Text, Text).optional(),
    nodeTaints: z.array(Text).optional(),
    tags: Tags.optional(),
    scaleSetPriority: z.enum(['Spot', 'Regular']).optional(),
    scaleSetEvictionPolicy: z.enum(['Delete', 'Deallocate']).optional(),
    spotMaxPrice: z.number().optional(),
    availabilityZones: z.array(Text).optional(),
    osDiskSizeGB: z.number().int().optional(),
    vnetSubnetID: Text.optional(),
    maxPods: z.number().int().optional(),
  }),
});
export type AgentPoolProperties = z.infer<typeof AgentPoolBody>['properties'];

export const DeleteMachinesBody = z.strictObject({ machineNames: z.array(Text).min(1) });

const Sku = z.strictObject({ name: Text, tier: z.literal('Standard'), capacity: z.number().int().min(0).max(1_000) });
const Image = z.union([z.strictObject({ id: Text }), z.strictObject({ publisher: Text, offer: Text, sku: Text, version: Text })]);
const IpConfiguration = z.strictObject({
  name: Text,
  properties: z.strictObject({ subnet: z.strictObject({ id: Text }) }),
});
const Network = z.strictObject({
  networkInterfaceConfigurations: z.array(
    z.strictObject({
      name: Text,
      properties: z.strictObject({ primary: z.boolean(), ipConfigurations: z.array(IpConfiguration) }),
    }),
  ),
});
const Linux = z.strictObject({
  disablePasswordAuthentication: z.literal(true),
  ssh: z.strictObject({ publicKeys: z.array(z.strictObject({ path: Text, keyData: Text })).min(1) }),
});

export const ScaleSetBody = z.strictObject({
  location: z.string().regex(/^[a-z0-9]+$/),
  sku: Sku,
  tags: Tags.optional(),
  zones: z.array(Text).optional(),
  properties: z.strictObject({
    orchestrationMode: z.enum(['Uniform', 'Flexible']),
    overprovision: z.boolean(),
    singlePlacementGroup: z.boolean(),
    upgradePolicy: z.strictObject({ mode: z.enum(['Manual', 'Automatic', 'Rolling']) }),
    virtualMachineProfile: z.strictObject({
      priority: z.enum(['Spot', 'Regular']).optional(),
      evictionPolicy: z.enum(['Delete', 'Deallocate']).optional(),
      billingProfile: z.strictObject({ maxPrice: z.number() }).optional(),
      osProfile: z.strictObject({
        computerNamePrefix: z.string().max(58),
        adminUsername: Text,
        customData: z.base64().optional(),
        linuxConfiguration: Linux,
      }),
      storageProfile: z.strictObject({
        imageReference: Image,
        osDisk: z.strictObject({ createOption: z.literal('FromImage'), diskSizeGB: z.number().int().optional() }),
      }),
      networkProfile: Network,
    }),
  }),
});

export const ScaleSetPatch = z.strictObject({
  sku: Sku.optional(),
  tags: Tags.optional(),
  properties: z
    .strictObject({
      virtualMachineProfile: z.strictObject({
        osProfile: z.strictObject({ customData: z.base64().optional() }).optional(),
        storageProfile: z.strictObject({ imageReference: Image }).optional(),
      }),
    })
    .optional(),
});

export const DeleteInstancesBody = z.strictObject({ instanceIds: z.array(Text).min(1) });

export const GraphBody = z.strictObject({
  subscriptions: z.array(z.uuid()),
  query: Text,
  options: z.strictObject({ resultFormat: z.literal('objectArray'), $skipToken: Text.optional() }),
});
