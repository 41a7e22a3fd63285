import { z } from 'zod';
import type { CapacityType } from '../../clouds/offering.ts';
import { digestOf } from '../../kernel/digest.ts';
import { err, ok, type Result } from '../../kernel/result.ts';
import type { KubernetesManifest } from '../api/objects.ts';
import { NODE_OVERLAYS, NODE_POOLS, apiVersionOf } from '../api/resource.ts';
import type { KarpenterPool, MachinePrice } from './karpenter-pools.port.ts';

/** Says which installation an object belongs to: only its own are ever changed or removed. */
export const INSTALLATION_LABEL = 'purser.dev/installation';
const POOL_LABEL = 'purser.dev/pool';
const CAPACITY_LABEL = 'karpenter.sh/capacity-type';
const TYPE_LABEL = 'node.kubernetes.io/instance-type';
const ZONE_LABEL = 'topology.kubernetes.io/zone';

/** Instance types that one requirement lists. Higher: Karpenter refuses the object; lower: more objects. */
const MAX_TYPES = 100;
/** A price of a zone counts before one of all zones. */
const ZONE_WEIGHT = 20;
const REGION_WEIGHT = 10;
const DEFAULT_IDLE_SECONDS = 600;

/** Karpenter's own words. */
const CAPACITY: Readonly<Record<CapacityType, string>> = { on_demand: 'on-demand', spot: 'spot', reserved: 'reserved' };

const list = z.string().transform((text) => [...new Set(text.split(',').map((one) => one.trim()))].filter(Boolean));

/** What the settings of a pool say, read. */
const Settings = z.object({
  instanceTypes: list.refine((types) => types.length >= 1 && types.length <= MAX_TYPES, `lists 1 to ${MAX_TYPES}, with commas`),
  nodeClass: z
    .string()
    .regex(/^[^/]+\/[^/]+\/[^/]+$/, 'is group/kind/name, such as karpenter.k8s.aws/EC2NodeClass/default')
    .transform((text) => {
      const [group = '', kind = '', name = ''] = text.split('/');
      return { group, kind, name };
    }),
  /** Whose prices count. */
  region: z.string().regex(/^[^/]+\/[^/]+$/, 'is provider/region, such as aws/us-east-1'),
  zones: list.default([]),
  idleSeconds: z.coerce.number('is a whole number').int('is a whole number').min(0).default(DEFAULT_IDLE_SECONDS),
});

export type KarpenterSettings = z.output<typeof Settings>;

/** Fails with a sentence that names the setting and the mend. */
export function readSettings({ name, settings }: KarpenterPool): Result<KarpenterSettings, string> {
  const parsed = Settings.safeParse(settings);
  if (parsed.success) return ok(parsed.data);
  const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.')} ${message}`);
  return err(`Pool ${name}: ${problems.join('; ')}.`);
}

export const nodePoolName = (installation: string, { name }: Pick<KarpenterPool, 'name'>): string => `${installation}-${name}`;

/** The NodePool by which Karpenter rents for a pool of ours: never more than its maximum, and given back only when empty. */
export function makeNodePool(installation: string, pool: KarpenterPool, settings: KarpenterSettings): KubernetesManifest {
  const { zones, nodeClass, instanceTypes, idleSeconds } = settings;
  return {
    apiVersion: apiVersionOf(NODE_POOLS),
    kind: NODE_POOLS.kind,
    metadata: { name: nodePoolName(installation, pool), labels: labelsOf(installation, { [POOL_LABEL]: pool.name }) },
    spec: {
      template: {
        metadata: { labels: { ...pool.nodeSelector, [POOL_LABEL]: pool.name } },
        spec: {
          requirements: [
            isOneOf(CAPACITY_LABEL, [CAPACITY[pool.capacityType]]),
            isOneOf(TYPE_LABEL, instanceTypes),
            ...(zones.length > 0 ? [isOneOf(ZONE_LABEL, zones)] : []),
          ],
          nodeClassRef: nodeClass,
        },
      },
      limits: { nodes: String(pool.maxNodes) },
      disruption: { consolidationPolicy: 'WhenEmpty', consolidateAfter: `${idleSeconds}s` },
    },
  };
}

/**
 * NodeOverlays that tell Karpenter what machines cost as they are charged: one for all instance types of the same price, capacity type and
 * zone. The name follows from the content, so that a price that changes is another object and both are never half written.
 */
export function makeNodeOverlays(installation: string, prices: readonly MachinePrice[]): KubernetesManifest[] {
  const groups = Map.groupBy(prices, ({ capacityType, zone, amount }) => `${capacityType} ${zone ?? ''} ${amount}`);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (!first) return [];
    const types = [...new Set(group.map(({ instanceType }) => instanceType))].sort();
    return chunksOf(types).map((some) => makeNodeOverlay(installation, first, some));
  });
}

function makeNodeOverlay(
  installation: string,
  { capacityType, zone, amount }: MachinePrice,
  types: readonly string[],
): KubernetesManifest {
  const spec = {
    requirements: [
      isOneOf(CAPACITY_LABEL, [CAPACITY[capacityType]]),
      isOneOf(TYPE_LABEL, types),
      ...(zone === null ? [] : [isOneOf(ZONE_LABEL, [zone])]),
    ],
    price: amount,
    weight: zone === null ? REGION_WEIGHT : ZONE_WEIGHT,
  };
  const digest = digestOf(JSON.stringify(spec)).slice('sha256:'.length, 'sha256:'.length + 16);
  return {
    apiVersion: apiVersionOf(NODE_OVERLAYS),
    kind: NODE_OVERLAYS.kind,
    metadata: { name: `${installation}-${digest}`, labels: labelsOf(installation) },
    spec,
  };
}

const labelsOf = (installation: string, more: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> => ({
  'app.kubernetes.io/managed-by': 'purser',
  [INSTALLATION_LABEL]: installation,
  ...more,
});

const isOneOf = (key: string, values: readonly string[]) => ({ key, operator: 'In', values });

const chunksOf = (types: readonly string[]): string[][] =>
  Array.from({ length: Math.ceil(types.length / MAX_TYPES) }, (_, index) =>
    types.slice(index * MAX_TYPES, (index + 1) * MAX_TYPES),
  );
