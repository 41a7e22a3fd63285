import type { WorkloadSpec } from '../../deployments/cluster.port.ts';

/** How providers and autoscalers mark spot nodes: label and value. */
export const SPOT_LABELS: readonly (readonly [string, string])[] = [
  ['purser.dev/capacity-type', 'spot'],
  ['karpenter.sh/capacity-type', 'spot'],
  ['eks.amazonaws.com/capacityType', 'SPOT'],
  ['cloud.google.com/gke-spot', 'true'],
  ['kubernetes.azure.com/scalesetpriority', 'spot'],
];

const NVIDIA = 'nvidia.com/gpu';

type Expression = { readonly key: string; readonly operator: 'In' | 'NotIn'; readonly values: readonly string[] };
type Toleration = {
  readonly key: string;
  readonly operator: 'Equal' | 'Exists';
  readonly value?: string;
  readonly effect: 'NoSchedule';
};

/** Which nodes a pool's replicas may go to: those of its capacity type and labels, with the taints that keep others off. */
export function makeNodeRules({ capacityType, nodeSelector, poolName, resources }: WorkloadSpec) {
  const spot = capacityType === 'spot';
  const anySpot = SPOT_LABELS.map(([key, value]) => ({ matchExpressions: [matches(key, 'In', value)] }));
  const noSpot = [{ matchExpressions: SPOT_LABELS.map(([key, value]) => matches(key, 'NotIn', value)) }];
  const tolerations = [
    equals('purser.dev/pool', poolName),
    ...(spot ? SPOT_LABELS.map(([key, value]) => equals(key, value)) : []),
    ...(resources.accelerator ? [{ key: NVIDIA, operator: 'Exists' as const, effect: 'NoSchedule' as const }] : []),
  ];
  return {
    ...(Object.keys(nodeSelector).length > 0 ? { nodeSelector } : {}),
    affinity: {
      nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: spot ? anySpot : noSpot } },
    },
    tolerations,
  };
}

const matches = (key: string, operator: 'In' | 'NotIn', value: string): Expression => ({ key, operator, values: [value] });

const equals = (key: string, value: string): Toleration => ({ key, operator: 'Equal', value, effect: 'NoSchedule' });
