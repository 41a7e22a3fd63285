import { withCondition, type Condition } from '../kernel/condition.ts';
import type { Instant } from '../kernel/instant.ts';
import { formatUsd, type PicoUsdPerHour } from '../kernel/money.ts';
import { deploymentPath, type Deployment, type DeploymentPhase } from './deployment.ts';
import type { Rollout } from './rollout.ts';

/** Everything that the status says something about. */
export interface DeploymentFacts {
  /** False = none of its clusters can be seen. */
  readonly observed: boolean;
  /** Names of its clusters that cannot be seen, while others can. */
  readonly unseen: readonly string[];
  /** Replicas wished for and ready, of revisions that get traffic or are about to. */
  readonly desired: number;
  readonly serving: number;
  /** Ready replicas of revisions that get traffic now. */
  readonly available: number;
  /** Why replicas cannot start; null = nothing is known to be wrong. */
  readonly failing: string | null;
  /** What replicas wait for; null = nothing that is known. */
  readonly waiting: string | null;
  /** The rollout under way, else the last one. */
  readonly rollout: Rollout | null;
  /** What the held replicas cost now. */
  readonly hourly: PicoUsdPerHour;
}

export interface Status {
  readonly phase: DeploymentPhase;
  readonly conditions: readonly Condition[];
  readonly observedGeneration: number;
}

type Verdict = Omit<Condition, 'lastTransitionTime'>;

const verdict = (type: string, status: Condition['status'], reason: string, message: string): Verdict => ({
  type,
  status,
  reason,
  message,
});

/** The status after what is known now; equal to the old one where nothing changed. */
export function assessDeployment(deployment: Deployment, facts: DeploymentFacts, now: Instant): Status {
  const verdicts = [
    ready(deployment, facts),
    progressing(deployment, facts),
    available(deployment, facts),
    withinBudget(deployment, facts),
  ];
  const conditions = verdicts.reduce<readonly Condition[]>(
    (all, next) => withCondition(all, { ...next, lastTransitionTime: now }),
    deployment.conditions,
  );
  return {
    phase: phaseOf(deployment, facts),
    conditions,
    observedGeneration: facts.observed ? deployment.generation : deployment.observedGeneration,
  };
}

const isUnderWay = (rollout: Rollout | null): boolean => rollout !== null && rollout.endedAt === null;

/** The first line that applies decides. An unseen cluster changes no phase but to DELETING. */
function phaseOf(deployment: Deployment, facts: DeploymentFacts): DeploymentPhase {
  if (deployment.deletedAt !== null) return 'DELETING';
  if (!facts.observed) return deployment.phase;
  if (isUnderWay(facts.rollout)) return facts.rollout?.state === 'rolling_back' ? 'DEGRADED' : 'DEPLOYING';
  return settledPhase(deployment, facts);
}

function settledPhase(deployment: Deployment, facts: DeploymentFacts): DeploymentPhase {
  const { rollout, serving, desired } = facts;
  if (isHibernated(deployment, facts)) return 'HIBERNATED';
  if (isFailed(facts)) return 'FAILED';
  if (rollout?.state === 'rolled_back') return 'DEGRADED';
  if (serving >= desired) return 'READY';
  return wasSettled(deployment) || servesInPart(facts) ? 'DEGRADED' : 'DEPLOYING';
}

const isFailed = (facts: DeploymentFacts): boolean =>
  facts.available === 0 && (facts.failing !== null || facts.rollout?.state === 'failed' || isAsleep(facts));

/** What it went back to has no replicas, though some are wished: nobody but its owner can say whether it shall be woken. */
const isAsleep = ({ desired, rollout }: DeploymentFacts): boolean => desired === 0 && rollout?.state === 'rolled_back';

/** It is as far as it can get until a cluster is seen again. */
const servesInPart = ({ available, unseen }: DeploymentFacts): boolean => available > 0 && unseen.length > 0;

/** True if it had reached this very wish before, so that what is missing now was lost. */
const wasSettled = ({ observedGeneration, generation, phase }: Deployment): boolean =>
  observedGeneration === generation && (phase === 'READY' || phase === 'DEGRADED');

/** As wished: whatever the last rollout came to, there is nothing that could be failing. */
const isHibernated = ({ spec }: Deployment, { desired, rollout }: DeploymentFacts): boolean =>
  spec.replicas === 0 && desired === 0 && !isUnderWay(rollout);

const count = ({ serving, desired }: DeploymentFacts): string => `${serving} of ${desired} replicas are ready.`;

function ready(deployment: Deployment, facts: DeploymentFacts): Verdict {
  if (!facts.observed)
    return verdict('Ready', 'Unknown', 'ClusterUnknown', 'The cluster cannot be seen; nothing is changed until it can.');
  if (deployment.deletedAt !== null) return verdict('Ready', 'False', 'Deleting', 'It is being deleted.');
  if (isHibernated(deployment, facts))
    return verdict('Ready', 'True', 'Hibernated', 'It is scaled to 0 replicas, as wished: scale it up to serve requests.');
  const back = rolledBack(deployment, facts);
  if (back) return back;
  if (facts.serving >= facts.desired && !isUnderWay(facts.rollout))
    return verdict('Ready', 'True', 'AllReplicasReady', count(facts));
  if (facts.failing) return verdict('Ready', 'False', 'ReplicasFailing', facts.failing);
  if (facts.unseen.length > 0) return verdict('Ready', 'False', 'ClusterUnknown', `${count(facts)} ${unseenInWords(facts)}`);
  if (facts.waiting) return verdict('Ready', 'False', 'ReplicasWaiting', `${count(facts)} ${facts.waiting}`);
  return verdict('Ready', 'False', 'ReplicasNotReady', count(facts));
}

const unseenInWords = ({ unseen }: DeploymentFacts): string =>
  `${unseen.length === 1 ? 'Cluster' : 'Clusters'} ${unseen.join(', ')} cannot be seen; nothing is changed there until then.`;

function rolledBack(deployment: Deployment, facts: DeploymentFacts): Verdict | null {
  const { rollout, failing } = facts;
  if (rollout?.state !== 'rolled_back' && rollout?.state !== 'rolling_back') return null;
  const words = [`Revision ${rollout.toRevision} was rolled back: ${rollout.reason ?? ''}`];
  if (isAsleep(facts))
    words.push(
      `What it went back to has 0 replicas, as before, and is not known to cost at most what was asked for: deploy a version that starts, or wake it with purser scale ${deploymentPath(deployment)} --replicas ${deployment.spec.replicas}`,
    );
  else if (rollout.state === 'rolled_back' && failing !== null) words.push(`What it went back to fails, too: ${failing}`);
  return verdict('Ready', 'False', 'RolledBack', words.join(' '));
}

function progressing(deployment: Deployment, { observed, rollout }: DeploymentFacts): Verdict {
  if (!observed) return verdict('Progressing', 'Unknown', 'ClusterUnknown', 'The cluster cannot be seen.');
  if (deployment.deletedAt !== null) return verdict('Progressing', 'True', 'Draining', 'Replicas finish what they have.');
  if (!rollout) return verdict('Progressing', 'False', 'Idle', 'No rollout is under way.');
  const name = `Rollout to revision ${rollout.toRevision}`;
  if (isUnderWay(rollout))
    return verdict('Progressing', 'True', `Rollout${pascal(rollout.state)}`, `${name} is ${rollout.state.replace('_', ' ')}.`);
  return verdict(
    'Progressing',
    'False',
    `Rollout${pascal(rollout.state)}`,
    `${name}: ${rollout.state.replace('_', ' ')}. ${rollout.reason ?? ''}`.trim(),
  );
}

function available(deployment: Deployment, facts: DeploymentFacts): Verdict {
  if (!facts.observed) return verdict('Available', 'Unknown', 'ClusterUnknown', 'The cluster cannot be seen.');
  if (facts.available > 0) return verdict('Available', 'True', 'ServesRequests', 'At least one replica serves requests.');
  return isHibernated(deployment, facts)
    ? verdict('Available', 'False', 'Hibernated', 'It is scaled to 0 replicas.')
    : verdict('Available', 'False', 'NoReadyReplica', 'No replica that gets traffic is ready.');
}

function withinBudget({ spec }: Deployment, { hourly }: DeploymentFacts): Verdict {
  const cap = `at most ${formatUsd(spec.maxSpendPerHour)} USD per hour may be spent`;
  return hourly <= spec.maxSpendPerHour
    ? verdict('WithinBudget', 'True', 'BelowCap', `It costs ${formatUsd(hourly)} USD per hour; ${cap}.`)
    : verdict('WithinBudget', 'False', 'AboveCap', `It costs ${formatUsd(hourly)} USD per hour; ${cap}.`);
}

const pascal = (state: string): string => state.replace(/(?:^|_)(\w)/g, (_, letter: string) => letter.toUpperCase());

export const isSameStatus = (deployment: Deployment, status: Status): boolean =>
  deployment.phase === status.phase &&
  deployment.observedGeneration === status.observedGeneration &&
  deployment.conditions.length === status.conditions.length &&
  deployment.conditions.every((condition, index) => isSameCondition(condition, status.conditions[index]));

const isSameCondition = (a: Condition, b: Condition | undefined): boolean =>
  a.type === b?.type &&
  a.status === b.status &&
  a.reason === b.reason &&
  a.message === b.message &&
  a.lastTransitionTime === b.lastTransitionTime;
