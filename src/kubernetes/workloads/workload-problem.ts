import type { WorkloadProblem } from '../../deployments/cluster.port.ts';
import type { KubernetesDeployment, Pod } from '../api/objects.ts';
import { conditionOf } from '../replicas/pod-trouble.ts';

/** What keeps replicas from being made or placed, in the cluster's own words and with the next sensible act; null = nothing. */
export function workloadProblem(deployment: KubernetesDeployment, pods: readonly Pod[]): WorkloadProblem | null {
  return creationProblem(deployment) ?? placementProblem(pods);
}

function creationProblem({ status }: KubernetesDeployment): WorkloadProblem | null {
  const failure = status?.conditions?.find(({ type }) => type === 'ReplicaFailure');
  if (failure?.status !== 'True') return null;
  const said = failure.message ?? failure.reason ?? '';
  if (isQuota(said))
    return {
      reason: 'QuotaExceeded',
      message: `${said}. Raise the quota in the namespace, ask for less, or wait until others need less.`,
      failing: false,
    };
  if (isEnding(said))
    return { reason: 'NamespaceEnding', message: `${said}. Replicas are made again when that is over.`, failing: false };
  return { reason: 'AdmissionRefused', message: `${said}. Whoever set this rule for the cluster can allow it.`, failing: true };
}

function placementProblem(pods: readonly Pod[]): WorkloadProblem | null {
  for (const pod of pods) {
    const scheduled = conditionOf(pod, 'PodScheduled');
    if (scheduled?.status !== 'False' || pod.metadata.deletionTimestamp !== undefined) continue;
    return {
      reason: scheduled.reason ?? 'Unschedulable',
      message: `${scheduled.message ?? ''} Add nodes that fit, or ask for less (resources) or for another pool.`.trim(),
      failing: false,
    };
  }
  return null;
}

/** Somebody deleted the namespace: nothing can be made there until it is gone. Kubernetes says it in words only, as the next one. */
export const isEnding = (message: string): boolean => message.includes('because it is being terminated');

export const isQuota = (message: string): boolean => message.includes('exceeded quota');
