import type { Cause, EventDraft, Json, Severity } from '../kernel/event.ts';
import { formatUsd } from '../kernel/money.ts';
import { deploymentPath, type Deployment } from './deployment.ts';
import { isHeld, type Replica } from './replica.ts';
import type { Rollout } from './rollout.ts';

/** `before` null = created; a deletion has `deletedAt` in `after` alone. */
export function deploymentChanged(before: Deployment | null, after: Deployment, cause: Cause): EventDraft {
  const what = before === null ? 'created' : before.deletedAt === null && after.deletedAt !== null ? 'deleted' : 'updated';
  const facts = { before: before && deploymentJson(before), after: deploymentJson(after) };
  return {
    ...ofDeployment(after, cause),
    type: `deployment.${what}`,
    message: `Deployment ${deploymentPath(after)} was ${what}.`,
    ...facts,
  };
}

/** The phase moved. */
export const phaseChanged = (before: Deployment, after: Deployment, cause: Cause): EventDraft => ({
  ...ofDeployment(after, cause),
  type: 'deployment.phase_changed',
  severity: after.phase === 'FAILED' ? 'error' : after.phase === 'DEGRADED' ? 'warning' : 'info',
  message: `Deployment ${deploymentPath(after)} is ${after.phase}; it was ${before.phase}.`,
  before: { phase: before.phase },
  after: { phase: after.phase },
});

/** The last replica of a deleted deployment is gone. */
export const deploymentGone = (deployment: Deployment, cause: Cause): EventDraft => ({
  ...ofDeployment(deployment, cause),
  type: 'deployment.gone',
  message: `Deployment ${deploymentPath(deployment)} is gone: nothing of it runs any more.`,
  before: { phase: deployment.phase },
  after: null,
});

/** The wished number of replicas changed. */
export const scalingChanged = (before: Deployment, after: Deployment, cause: Cause): EventDraft => ({
  ...ofDeployment(after, cause),
  type: 'scaling.changed',
  message: `Deployment ${deploymentPath(after)} goes from ${before.spec.replicas} to ${after.spec.replicas} replicas.`,
  before: { replicas: before.spec.replicas },
  after: { replicas: after.spec.replicas },
});

/** Some of its replicas went, or came back, because of others' priority; what it wishes for is as before. */
export const replicasGaveWay = ({
  deployment,
  from,
  to,
  reason,
  ...cause
}: Cause & {
  readonly deployment: Deployment;
  readonly from: number;
  readonly to: number;
  readonly reason: string;
}): EventDraft => ({
  ...ofDeployment(deployment, cause),
  type: to < from ? 'scaling.preempted' : 'scaling.restored',
  severity: to < from ? 'warning' : 'info',
  message: reason,
  before: { replicas: from },
  after: { replicas: to, wished: deployment.spec.replicas },
});

/** Its replicas are on other pools than before, though nobody asked: the market went on. */
export const replicasSpread = ({
  deployment,
  from,
  to,
  reasons,
  ...cause
}: Cause & {
  readonly deployment: Deployment;
  readonly from: readonly { readonly pool: string; readonly replicas: number }[];
  readonly to: readonly { readonly pool: string; readonly replicas: number }[];
  readonly reasons: readonly string[];
}): EventDraft => ({
  ...ofDeployment(deployment, cause),
  type: 'scaling.spread',
  message:
    `Deployment ${deploymentPath(deployment)} is spread anew: ` +
    `${to.map(({ pool, replicas }) => `${replicas} on ${pool}`).join(', ')}. ${reasons.join(' ')}`.trim(),
  before: { pools: from.map((one) => ({ ...one })) },
  after: { pools: to.map((one) => ({ ...one })) },
});

/** A rollout started, moved a step or ended. */
export function rolloutChanged(before: Rollout | null, after: Rollout, deployment: Deployment, cause: Cause): EventDraft {
  const [type, severity] = rolloutType(before, after);
  const reason = after.reason === null ? '' : ` ${after.reason}`;
  return {
    ...ofDeployment(deployment, cause),
    type,
    severity,
    subjectKind: 'Rollout',
    subjectId: after.id,
    subjectVersion: after.version,
    message: `Rollout of ${deploymentPath(deployment)} to revision ${after.toRevision} is ${after.state.replace('_', ' ')}.${reason}`,
    before: before && rolloutJson(before),
    after: rolloutJson(after),
  };
}

function rolloutType(before: Rollout | null, after: Rollout): readonly [string, Severity] {
  if (before === null) return ['rollout.started', 'info'];
  if (after.state === 'rolled_back') return ['rollout.rolled_back', 'warning'];
  if (after.endedAt !== null) return ['rollout.finished', after.state === 'failed' ? 'error' : 'info'];
  return after.state === 'rolling_back' ? ['rollout.rolling_back', 'warning'] : ['rollout.step', 'info'];
}

/** A replica appeared, changed its state or gave its slot up; empty when nothing that people follow changed. */
export const replicaChanged = (before: Replica | null, after: Replica, deployment: Deployment, cause: Cause): EventDraft[] =>
  replicaTypes(before, after).map(([type, severity], index) => ({
    ...ofDeployment(deployment, cause),
    type,
    severity,
    subjectKind: 'Replica',
    subjectId: after.id,
    // States, restarts and the end each raise it by one; what is first seen late counts the events before it.
    subjectVersion: (before ? 1 : index) + after.transitions + after.restarts + (isHeld(after) ? 0 : 1),
    message: replicaMessage(type, after, deployment),
    before: before && replicaJson(before),
    after: replicaJson(after),
  }));

const replicaMessage = (type: string, after: Replica, deployment: Deployment): string =>
  `A replica of ${deploymentPath(deployment)} ${REPLICA_WORDS[type] ?? `is ${after.state}`}. ${after.message}`.trim();

const REPLICA_WORDS: Readonly<Record<string, string>> = { 'replica.started': 'was started', 'replica.gone': 'is gone' };

type Typed = readonly [string, Severity];

function replicaTypes(before: Replica | null, after: Replica): Typed[] {
  const started: Typed[] = before ? [] : [['replica.started', 'info']];
  if (!isHeld(after)) return before && !isHeld(before) ? [] : [...started, ['replica.gone', 'info']];
  if (before?.state === after.state || after.state === 'starting') return started;
  if (after.state === 'serving') return [...started, ['replica.ready', 'info']];
  return [...started, after.state === 'unready' ? ['replica.unready', 'warning'] : ['replica.draining', 'info']];
}

const ofDeployment = (deployment: Deployment, { at, principal }: Cause) => ({
  subjectKind: 'Deployment',
  subjectId: deployment.id,
  subjectVersion: deployment.version,
  teamId: deployment.teamId,
  projectId: deployment.projectId,
  deploymentId: deployment.id,
  severity: 'info' as Severity,
  at,
  principal,
});

function deploymentJson({ spec, generation, phase, deletedAt }: Deployment): Json {
  const { maxSpendPerHour, ...rest } = spec;
  const plain = JSON.parse(JSON.stringify(rest)) as Record<string, Json>;
  return { spec: { ...plain, maxSpendPerHour: formatUsd(maxSpendPerHour) }, generation, phase, deletedAt };
}

const rolloutJson = ({ state, step, toRevision, reason }: Rollout): Json => ({ state, step, toRevision, reason });

const replicaJson = ({ state, restarts, message, capacityUntil }: Replica): Json => ({ state, restarts, message, capacityUntil });
