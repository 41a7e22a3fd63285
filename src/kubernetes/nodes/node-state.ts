import type { NodeNotice, NodeReadiness } from '../../fleet/cluster-inventory.port.ts';
import type { Instant } from '../../kernel/instant.ts';
import type { KubernetesCondition, Node } from '../api/objects.ts';

/** Says that this installation is about to give the node back. */
export const RELEASING_ANNOTATION = 'purser.dev/releasing';

/** A provider's notice in words, written by this installation. */
export const INTERRUPTION_ANNOTATION = 'purser.dev/interruption';

/** Taints, by the start of their key, by which others say that a node will be taken away. */
const NOTICE_TAINTS = [
  'purser.dev/interruption',
  'karpenter.sh/disrupted',
  'karpenter.sh/disruption',
  'aws-node-termination-handler/',
  'cloud.google.com/impending-node-termination',
  'ToBeDeletedByClusterAutoscaler',
  'node.kubernetes.io/out-of-service',
  'node.cloudprovider.kubernetes.io/shutdown',
] as const;

/** Conditions that say the same while they are `True`. */
const NOTICE_CONDITIONS = ['purser.dev/Interruption', 'SpotInterruption', 'VMEventScheduled', 'TerminationNotice'] as const;

/** The notice that the node carries; null = none. Taints come before conditions, those before what a provider told us. */
export function noticeOf(node: Node): NodeNotice | null {
  const taint = (node.spec?.taints ?? []).find(({ key }) => NOTICE_TAINTS.some((start) => key.startsWith(start)));
  if (taint) {
    const message = `Its node has the taint ${taint.key}${taint.value ? `=${taint.value}` : ''}.`;
    return { source: taint.key, message, at: instantOf(taint.timeAdded) };
  }
  const condition = (node.status?.conditions ?? []).find(
    ({ type, status }) => status === 'True' && NOTICE_CONDITIONS.some((known) => known === type),
  );
  if (!condition) return announcementOf(node);
  const words = condition.message ?? condition.reason ?? '';
  return { source: condition.type, message: `Its node says ${condition.type}. ${words}`.trim(), at: sinceOf(condition) };
}

function announcementOf({ metadata }: Node): NodeNotice | null {
  const words = metadata.annotations?.[INTERRUPTION_ANNOTATION];
  return words === undefined ? null : { source: INTERRUPTION_ANNOTATION, message: words, at: null };
}

export interface NodeLife {
  readonly readiness: NodeReadiness;
  readonly since: Instant;
  /** The last word of its kubelet. */
  readonly seenAt: Instant;
}

/** What is known of the kubelet: a condition that the cluster itself set to `Unknown` means that nobody hears of it. */
export function lifeOf(node: Node): NodeLife {
  const made = instantOf(node.metadata.creationTimestamp) ?? 0;
  const ready = (node.status?.conditions ?? []).find(({ type }) => type === 'Ready');
  if (!ready) return { readiness: 'not_ready', since: made, seenAt: made };
  const readiness = ready.status === 'True' ? 'ready' : ready.status === 'False' ? 'not_ready' : 'unknown';
  const since = sinceOf(ready) ?? made;
  return { readiness, since, seenAt: instantOf(ready.lastHeartbeatTime) ?? since };
}

/** What a node's state means for the pods on it. */
export interface Hindrance {
  /** `leaving`: send it nothing as soon as another one serves, and let it finish. `unknown`: nobody knows whether it still runs. */
  readonly kind: 'leaving' | 'unknown';
  readonly message: string;
}

/** Null = nothing stands in the way of its pods. A node that nobody hears of comes before one that will leave. */
export function hindranceOf(node: Node): Hindrance | null {
  const life = lifeOf(node);
  if (life.readiness === 'unknown')
    return {
      kind: 'unknown',
      message: `Its node ${node.metadata.name} has not been heard of since ${new Date(life.seenAt).toISOString()}.`,
    };
  const notice = noticeOf(node);
  if (notice) return { kind: 'leaving', message: notice.message };
  if (node.metadata.annotations?.[RELEASING_ANNOTATION] !== undefined)
    return { kind: 'leaving', message: `Its node ${node.metadata.name} is given back.` };
  return null;
}

/** A pod as far as it matters here. */
export interface HinderedPod {
  readonly uid: string;
  readonly workloadId: string;
  /** It could be sent requests, were it not for its node. */
  readonly routable: boolean;
  readonly node: Node | null;
}

/**
 * Which pods drain because their nodes will leave, and why. The only one of its workload that can be sent requests goes on serving until
 * another one can: a notice comes a while before the end, and nobody shall wait for nothing.
 */
export function drainingBecauseOfNodes(pods: readonly HinderedPod[]): ReadonlyMap<string, string> {
  const looked = pods.map((pod) => ({ ...pod, hindrance: pod.node ? hindranceOf(pod.node) : null }));
  const relieved = new Set(
    looked.filter(({ routable, hindrance }) => routable && !hindrance).map(({ workloadId }) => workloadId),
  );
  return new Map(
    looked.flatMap(({ uid, workloadId, routable, hindrance }): [string, string][] =>
      hindrance?.kind === 'leaving' && (relieved.has(workloadId) || !routable) ? [[uid, hindrance.message]] : [],
    ),
  );
}

/** An RFC 3339 time of Kubernetes; null where it is missing or none. */
export function instantOf(text: string | null | undefined): Instant | null {
  const at = text ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? null : at;
}

const sinceOf = (condition: KubernetesCondition): Instant | null => instantOf(condition.lastTransitionTime);
