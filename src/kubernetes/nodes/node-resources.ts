import type { NodeResources } from '../../fleet/cluster-inventory.port.ts';
import type { Accelerator } from '../../kernel/resources.ts';
import type { Container, KubernetesObject, Pod, Quantities } from '../api/objects.ts';
import { countOf, cpuMilliOf, memoryMibAsked, memoryMibThere } from '../manifests/quantity.ts';

type Labels = Readonly<Record<string, string>>;

const GPU = 'nvidia.com/gpu';
const GPU_MODELS = [
  'purser.dev/accelerator',
  'nvidia.com/gpu.product',
  'cloud.google.com/gke-accelerator',
  'karpenter.k8s.aws/instance-gpu-name',
];
const GPU_MEMORY = ['nvidia.com/gpu.memory', 'karpenter.k8s.aws/instance-gpu-memory'];

const first = (labels: Labels, keys: readonly string[]): string | undefined =>
  keys.map((key) => labels[key]).find((value) => value !== undefined);

/** `NVIDIA-H100-80GB-HBM3`, `nvidia-tesla-t4` and `t4` as the price book writes them. */
function modelOf(labels: Labels): string {
  const text = first(labels, GPU_MODELS) ?? '';
  const words = text.split(/[-_ ]/).filter((word) => !/^(nvidia|tesla|geforce)$/i.test(word));
  return (words[0] ?? '').toUpperCase();
}

function acceleratorOf(count: number, labels: Labels): Accelerator | null {
  if (count === 0) return null;
  return { model: modelOf(labels), countMilli: count * 1000, memoryMib: Number(first(labels, GPU_MEMORY) ?? 0) || 0 };
}

/** What a machine has. */
export const resourcesThere = (there: Quantities | undefined, labels: Labels): NodeResources => ({
  cpuMilli: cpuMilliOf(there?.['cpu']),
  memoryMib: memoryMibThere(there?.['memory']),
  accelerator: acceleratorOf(countOf(there?.[GPU]), labels),
});

interface Asked {
  readonly cpuMilli: number;
  readonly memoryMib: number;
  readonly gpus: number;
}

const NOTHING: Asked = { cpuMilli: 0, memoryMib: 0, gpus: 0 };

const askedOf = (quantities: Quantities | undefined): Asked => ({
  cpuMilli: cpuMilliOf(quantities?.['cpu']),
  memoryMib: memoryMibAsked(quantities?.['memory']),
  gpus: countOf(quantities?.[GPU]),
});

const plus = (a: Asked, b: Asked): Asked => ({
  cpuMilli: a.cpuMilli + b.cpuMilli,
  memoryMib: a.memoryMib + b.memoryMib,
  gpus: a.gpus + b.gpus,
});

const most = (a: Asked, b: Asked): Asked => ({
  cpuMilli: Math.max(a.cpuMilli, b.cpuMilli),
  memoryMib: Math.max(a.memoryMib, b.memoryMib),
  gpus: Math.max(a.gpus, b.gpus),
});

/** Limits stand for requests that are not given, as the API server fills them in. */
const containerAsks = ({ resources }: Container): Asked => askedOf({ ...resources?.limits, ...resources?.requests });

/** As the scheduler counts: all containers together, or the greediest step of its start, and what running it costs. */
export function requestsOf(pod: Pick<Pod, 'spec'> & Partial<KubernetesObject>, labels: Labels = {}): NodeResources {
  const { containers = [], initContainers = [], overhead } = pod.spec ?? {};
  let beside = containers.map(containerAsks).reduce(plus, NOTHING);
  let starting = NOTHING;
  let sidecars = NOTHING;
  for (const container of initContainers) {
    const asked = containerAsks(container);
    if (container.restartPolicy === 'Always') {
      beside = plus(beside, asked);
      sidecars = plus(sidecars, asked);
      starting = most(starting, sidecars);
    } else starting = most(starting, plus(sidecars, asked));
  }
  const total = plus(most(beside, starting), askedOf(overhead));
  return { cpuMilli: total.cpuMilli, memoryMib: total.memoryMib, accelerator: acceleratorOf(total.gpus, labels) };
}
