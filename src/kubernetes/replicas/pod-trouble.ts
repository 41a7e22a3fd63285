import type { ContainerStatus, ContainerTermination, Pod } from '../api/objects.ts';
import type { Instant } from '../../kernel/instant.ts';
import { instantOf } from '../nodes/node-state.ts';
import { CONTAINER } from '../manifests/names.ts';

/** What is wrong with a replica, with the next sensible act in words. */
export interface PodTrouble {
  readonly message: string;
  /** True once it is tried again ever more slowly, or cannot come right without somebody. */
  readonly failing: boolean;
}

export const NO_TROUBLE: PodTrouble = { message: '', failing: false };

/** Ends in a row after which a replica counts as failing. Lower: one slow start rolls a rollout back; higher: a broken one is noticed late. */
const FAILING_AFTER = 3;
/** Words of registries for what does not come right by itself. */
const LASTING_PULL_FAILURE = /not found|manifest unknown|unauthorized|denied|forbidden|no such image|invalid reference/i;

export interface TroubleOptions {
  readonly now: Instant;
  /** From the start of a container until it must be ready. */
  readonly readinessTimeoutMs: number;
  readonly memoryMib: number;
  readonly healthPath: string;
}

/** Why the pod does not serve; nothing where it does, or where it is only on its way. */
export function podTrouble(pod: Pod, options: TroubleOptions): PodTrouble {
  if (pod.status?.phase === 'Failed') return { message: endInWords(pod), failing: false };
  const container = mainContainer(pod.status?.containerStatuses ?? []);
  // Somebody took it away: that its container ends is as it should be.
  if (!container || isReady(pod) || pod.metadata.deletionTimestamp !== undefined) return NO_TROUBLE;
  return waitingTrouble(container, pod, options) ?? endedTrouble(container, options) ?? unreadyTrouble(container, options);
}

const mainContainer = (statuses: readonly ContainerStatus[]): ContainerStatus | undefined =>
  statuses.find(({ name }) => name === CONTAINER) ?? statuses[0];

export const conditionOf = (pod: Pod, type: string) => pod.status?.conditions?.find((condition) => condition.type === type);

export const isReady = (pod: Pod): boolean => conditionOf(pod, 'Ready')?.status === 'True';

/** Why a pod that will not run again ended: evicted, lost with its node, preempted. */
function endInWords({ status }: Pod): string {
  const { reason = '', message = '' } = status ?? {};
  if (reason === 'Evicted')
    return `Evicted: ${message || 'its node took it away.'} Another replica takes its place; give replicas more memory or disk if it goes on.`;
  return `${reason || 'Ended'}: ${message || 'its pod ended and will not start again.'}`;
}

const PULL_REASONS: readonly string[] = ['ErrImagePull', 'ImagePullBackOff', 'InvalidImageName'];
const START_REASONS: readonly string[] = ['CreateContainerConfigError', 'CreateContainerError', 'RunContainerError'];

function waitingTrouble(container: ContainerStatus, pod: Pod, options: TroubleOptions): PodTrouble | null {
  const { reason = '', message = '' } = container.state?.waiting ?? {};
  const said = message || reason;
  if (PULL_REASONS.includes(reason))
    return {
      message: `ImagePullFailed: ${said}. Check that the image exists and that the cluster's nodes may pull it.`,
      failing: reason === 'InvalidImageName' || LASTING_PULL_FAILURE.test(message) || isLate(pod, options),
    };
  if (START_REASONS.includes(reason))
    return {
      message: `StartFailed: ${said}. The container could not be started as it is described.`,
      failing: isLate(pod, options),
    };
  return null;
}

/** Between an end and the next start, and after a start until it is ready. */
function endedTrouble({ state, lastState, restartCount }: ContainerStatus, options: TroubleOptions): PodTrouble | null {
  if (state?.terminated) return endTrouble(state.terminated, restartCount + 1, options);
  if (!lastState?.terminated) return null;
  const waits = state?.waiting?.reason === 'CrashLoopBackOff';
  return endTrouble(lastState.terminated, waits ? restartCount + 1 : restartCount, options);
}

function endTrouble(end: ContainerTermination, ends: number, options: TroubleOptions): PodTrouble {
  if (end.reason === 'OOMKilled')
    return {
      message: `OOMKilled: it needed more than its ${options.memoryMib} MiB of memory. Give it more (resources.memoryMib).`,
      failing: ends >= FAILING_AFTER,
    };
  if (lastedMs(end) >= options.readinessTimeoutMs && wasKilled(end)) return neverReady(options);
  const said = end.message?.trim().split('\n').at(-1) ?? '';
  return {
    message: `CrashLoop: it exited with status ${end.exitCode}${said === '' ? '' : `: ${said}`}. Its log says more.`,
    failing: ends >= FAILING_AFTER,
  };
}

const neverReady = ({ readinessTimeoutMs, healthPath }: TroubleOptions): PodTrouble => ({
  message: `NeverReady: ${healthPath} did not answer 2xx within ${Math.round(readinessTimeoutMs / 1000)} s of its start. Check the path, the port and its log, or give it more time (readinessTimeoutMs).`,
  failing: true,
});

function unreadyTrouble({ state, started }: ContainerStatus, options: TroubleOptions): PodTrouble {
  const startedAt = instantOf(state?.running?.startedAt);
  if (startedAt === null) return NO_TROUBLE;
  if (started) return { message: `NotReady: ${options.healthPath} does not answer 2xx. Its log says more.`, failing: false };
  return options.now - startedAt > options.readinessTimeoutMs ? neverReady(options) : NO_TROUBLE;
}

/** Ended from outside, as the kubelet does with what does not get ready. */
const wasKilled = ({ exitCode, signal = 0 }: ContainerTermination): boolean =>
  exitCode === 137 || exitCode === 143 || exitCode === 0 || signal > 0;

const lastedMs = ({ startedAt, finishedAt }: ContainerTermination): number =>
  // Kubernetes writes whole seconds.
  (instantOf(finishedAt) ?? 0) - (instantOf(startedAt) ?? Number.MAX_SAFE_INTEGER) + 1000;

function isLate(pod: Pod, { now, readinessTimeoutMs }: TroubleOptions): boolean {
  const from = instantOf(conditionOf(pod, 'PodScheduled')?.lastTransitionTime);
  return from !== null && now - from > readinessTimeoutMs;
}
