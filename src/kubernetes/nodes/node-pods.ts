import type { NodePod, WaitingPod } from '../../fleet/cluster-inventory.port.ts';
import { isId } from '../../kernel/id.ts';
import type { Instant } from '../../kernel/instant.ts';
import type { KubernetesCondition, OwnerReference, Pod } from '../api/objects.ts';
import { LABELS } from '../manifests/names.ts';
import { requestsOf } from './node-resources.ts';
import { instantOf } from './node-state.ts';

type Labels = Readonly<Record<string, string>>;

/** Of nodes, and of the taint that keeps others off them: pods of a pool tolerate it. */
const POOL_LABEL = 'purser.dev/pool';
const ENDED = ['Succeeded', 'Failed'];

/** True for pods that still hold what they asked for. */
export const isHeld = (pod: Pod): boolean => !ENDED.includes(pod.status?.phase ?? '');

const conditionOf = (pod: Pod, type: string) => (pod.status?.conditions ?? []).find((one) => one.type === type);

const controllerOf = (pod: Pod): OwnerReference | undefined =>
  (pod.metadata.ownerReferences ?? []).find(({ controller }) => controller === true);

/** The workload of this installation that it belongs to; null = foreign. */
export function workloadOf(pod: Pod, installation: string): string | null {
  const labels = pod.metadata.labels ?? {};
  const workload = labels[LABELS.workload];
  return labels[LABELS.installation] === installation && workload !== undefined && isId(workload) ? workload : null;
}

/** A pod that is bound to a node. */
export function nodePod(pod: Pod, installation: string): NodePod {
  const { metadata } = pod;
  const controller = controllerOf(pod);
  return {
    ...{ uid: metadata.uid, namespace: metadata.namespace ?? '', name: metadata.name },
    workloadId: workloadOf(pod, installation),
    owner: controller ? `${controller.kind}/${controller.name}` : `Pod/${metadata.name}`,
    daemon: controller?.kind === 'DaemonSet' || controller?.kind === 'Node',
    requests: requestsOf(pod, pod.spec?.nodeSelector),
    from: boundAt(pod),
    endingSince: endingSince(pod),
    ready: conditionOf(pod, 'Ready')?.status === 'True' && metadata.deletionTimestamp === undefined,
    replaced: controller !== undefined,
  };
}

const boundAt = (pod: Pod): Instant =>
  instantOf(conditionOf(pod, 'PodScheduled')?.lastTransitionTime) ??
  instantOf(pod.status?.startTime) ??
  instantOf(pod.metadata.creationTimestamp) ??
  0;

/** `deletionTimestamp` is when it shall be over: the time it was given lies before. */
function endingSince({ metadata }: Pod): Instant | null {
  const end = instantOf(metadata.deletionTimestamp);
  return end === null ? null : end - (metadata.deletionGracePeriodSeconds ?? 0) * 1000;
}

/** A pod of this installation that no node has taken yet; null for all others. */
export function waitingPod(pod: Pod, installation: string): WaitingPod | null {
  const workloadId = workloadOf(pod, installation);
  if (workloadId === null || !isWaiting(pod)) return null;
  const nodeSelector = { ...pod.spec?.nodeSelector, ...requiredLabels(pod.spec?.affinity) };
  return {
    ...{ uid: pod.metadata.uid, workloadId, requests: requestsOf(pod, nodeSelector), nodeSelector },
    pool: (pod.spec?.tolerations ?? []).find(({ key }) => key === POOL_LABEL)?.value ?? null,
    since: instantOf(pod.metadata.creationTimestamp) ?? 0,
    message: whyUnscheduled(conditionOf(pod, 'PodScheduled')),
  };
}

const isWaiting = (pod: Pod): boolean => !pod.spec?.nodeName && pod.metadata.deletionTimestamp === undefined && isHeld(pod);

const whyUnscheduled = (scheduled: KubernetesCondition | undefined): string =>
  scheduled?.status === 'False' ? (scheduled.message ?? scheduled.reason ?? '') : '';

interface NodeAffinity {
  readonly nodeAffinity?: {
    readonly requiredDuringSchedulingIgnoredDuringExecution?: {
      readonly nodeSelectorTerms?: readonly {
        readonly matchExpressions?: readonly {
          readonly key: string;
          readonly operator: string;
          readonly values?: readonly string[];
        }[];
      }[];
    };
  };
}

/** What a required affinity says plainly: one value of one label. Anything wider is left to the scheduler. */
function requiredLabels(affinity: unknown): Labels {
  const terms = (affinity as NodeAffinity | undefined)?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
    ?.nodeSelectorTerms;
  if (terms?.length !== 1) return {};
  const plain = (terms[0]?.matchExpressions ?? []).flatMap(({ key, operator, values }): [string, string][] =>
    operator === 'In' && values?.length === 1 ? [[key, values[0] ?? '']] : [],
  );
  return Object.fromEntries(plain);
}
