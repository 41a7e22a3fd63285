import type { CapacityType } from '../../clouds/offering.ts';
import type { NodeResources } from '../../fleet/cluster-inventory.port.ts';
import { formatUsd, type PicoUsdPerHour } from '../../kernel/money.ts';

/** The scheduler's own scale: an extender's scores are 0 to 10, higher is better. */
const BEST_SCORE = 10n;
/** What a pod that asks for nothing is counted as; the scheduler's own figures for it. */
const LEAST_CPU_MILLI = 100;
const LEAST_MEMORY_MIB = 200;
/** Shares of a machine are counted in millionths, upwards. */
const WHOLE = 1_000_000;

/** What a pod asks of where it goes. */
export interface PodAsk {
  readonly resources: NodeResources;
  /** Null = any. */
  readonly capacityTypes: readonly CapacityType[] | null;
  /** What its share of a node may cost; null = anything. */
  readonly maxPricePerHour: PicoUsdPerHour | null;
  /** Of its priority class; above 0, machines that can be taken away count half. */
  readonly priority: number;
}

/** What is known of a node. */
export interface NodeOffer {
  readonly name: string;
  readonly allocatable: NodeResources;
  readonly capacityType: CapacityType;
  /** Of the whole machine, as it is charged; null = nobody knows. */
  readonly pricePerHour: PicoUsdPerHour | null;
  /** In words, why it will be taken away; null = nobody said so. */
  readonly notice: string | null;
}

export interface FilteredNodes {
  readonly kept: readonly string[];
  /** By name, one sentence each. */
  readonly failed: Readonly<Record<string, string>>;
}

/**
 * Nodes that the pod may go to by its own wishes. One that will be taken away is left out as long as another one is left. A node that
 * is not known is kept, unless the pod wishes something that nobody can vouch for.
 */
export function filterNodes(ask: PodAsk, names: readonly string[], nodes: ReadonlyMap<string, NodeOffer>): FilteredNodes {
  const verdicts = names.map((name) => ({ name, problem: problemOf(ask, nodes.get(name)) }));
  const fitting = verdicts.filter(({ problem }) => problem === null).map(({ name }) => name);
  const lasting = fitting.filter((name) => (nodes.get(name)?.notice ?? null) === null);
  const kept = lasting.length > 0 ? lasting : fitting;
  const leaving = (lasting.length > 0 ? fitting : []).flatMap((name) => {
    const notice = nodes.get(name)?.notice ?? null;
    return notice === null ? [] : [[name, notice] as const];
  });
  const failed = verdicts.flatMap(({ name, problem }) => (problem === null ? [] : [[name, problem] as const]));
  return { kept, failed: Object.fromEntries([...failed, ...leaving]) };
}

/**
 * Ten for the node where the pod's share costs least, less for the others in proportion (ten for half the price is five for the whole).
 * What is reserved is paid for already and costs nothing more. A node without a known price gets 0: unknown is not cheap.
 */
export function scoreNodes(
  ask: PodAsk,
  names: readonly string[],
  nodes: ReadonlyMap<string, NodeOffer>,
): { readonly name: string; readonly score: number }[] {
  const priced = names.map((name) => ({ name, cost: countedCost(ask, nodes.get(name)) }));
  const costs = priced.flatMap(({ cost }) => (cost === null ? [] : [cost]));
  const least = costs.reduce((a, b) => (b < a ? b : a), costs[0] ?? 0n);
  return priced.map(({ name, cost }) => ({ name, score: scoreOf(cost, least) }));
}

function scoreOf(cost: bigint | null, least: bigint): number {
  if (cost === null) return 0;
  return Number(cost === 0n ? BEST_SCORE : (BEST_SCORE * least) / cost);
}

/** An important pod would rather pay twice than be moved. */
function countedCost(ask: PodAsk, node: NodeOffer | undefined): bigint | null {
  if (!node) return null;
  const cost = costOnNode(ask, node);
  return cost !== null && node.capacityType === 'spot' && ask.priority > 0 ? cost * 2n : cost;
}

/** What the pod's share of the node costs per hour beyond what is paid anyway: the largest of its shares counts. Null = unknown. */
export function costOnNode({ resources }: PodAsk, node: NodeOffer): PicoUsdPerHour | null {
  if (node.capacityType === 'reserved') return 0n;
  if (node.pricePerHour === null) return null;
  const { allocatable } = node;
  const share = Math.max(
    shareOf(Math.max(resources.cpuMilli, LEAST_CPU_MILLI), allocatable.cpuMilli),
    shareOf(Math.max(resources.memoryMib, LEAST_MEMORY_MIB), allocatable.memoryMib),
    shareOf(resources.accelerator?.countMilli ?? 0, allocatable.accelerator?.countMilli ?? 0),
  );
  return (node.pricePerHour * BigInt(share)) / BigInt(WHOLE);
}

const shareOf = (asked: number, there: number): number => {
  if (asked === 0) return 0;
  return there === 0 ? WHOLE : Math.min(WHOLE, Math.ceil((asked * WHOLE) / there));
};

function problemOf(ask: PodAsk, node: NodeOffer | undefined): string | null {
  const { capacityTypes, maxPricePerHour } = ask;
  if (!node) return capacityTypes || maxPricePerHour !== null ? 'Nothing is known of this node yet.' : null;
  if (capacityTypes && !capacityTypes.includes(node.capacityType))
    return `The node is ${node.capacityType}; the pod wants ${capacityTypes.join(' or ')}.`;
  if (maxPricePerHour === null) return null;
  const cost = costOnNode(ask, node);
  if (cost === null) return 'The price of the node is not known, and the pod wants it below a limit.';
  return cost <= maxPricePerHour
    ? null
    : `The pod would cost ${formatUsd(cost)} USD per hour there; it may cost ${formatUsd(maxPricePerHour)}.`;
}
