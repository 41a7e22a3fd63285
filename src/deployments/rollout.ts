import { splitByLargestRemainder } from '../kernel/money.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import { DEFAULT_READINESS_TIMEOUT_MS, type DeploymentSpec, type TrafficWeight } from './deployment.ts';

/**
 * starting → shifting (in steps) → draining → done, and back to starting where a cluster is wiped on the way; a new revision that fails goes rolling_back → rolled_back, or failed when there was
 * nothing to go back to. A newer wish supersedes it at any time.
 */
export const ROLLOUT_STATES = [
  'starting',
  'shifting',
  'draining',
  'done',
  'rolling_back',
  'rolled_back',
  'failed',
  'superseded',
] as const;

export type RolloutState = (typeof ROLLOUT_STATES)[number];

/** Share of the new revision at each step, in percent. */
export const STEPS: readonly number[] = [10, 50, 100];

export interface Rollout {
  readonly id: Id;
  readonly teamId: Id;
  readonly projectId: Id;
  readonly deploymentId: Id;
  /** Null = the first revision. */
  readonly fromRevisionId: Id | null;
  readonly toRevisionId: Id;
  /** Number of the revision that it goes to. */
  readonly toRevision: number;
  /** Where traffic went before, and goes back to. Empty = there was none. */
  readonly fromWeights: readonly TrafficWeight[];
  readonly state: RolloutState;
  /** Index into the steps. */
  readonly step: number;
  readonly stepStartedAt: Instant;
  readonly reason: string | null;
  readonly startedAt: Instant;
  readonly endedAt: Instant | null;
  readonly version: number;
}

/** How fast a rollout goes. */
export interface RolloutPace {
  /** How long each share is watched, in ms. Higher makes rollouts slow, lower moves on before errors show. */
  readonly stepMs: number;
  /** A new revision that is not ready by then has failed, in ms; `paceOf` adds what a wish needs. Higher leaves a broken rollout open, lower fails slow starters. */
  readonly progressDeadlineMs: number;
}

/** Until a machine that is rented has joined. Higher: what will never run is told late; lower: a slow machine is taken for a fault of the revision. */
const MACHINE_MS = 600_000;

/** The pace of one deployment: a replica has the time that its wish gives it, and before that its machine has to come. */
export function paceOf<P extends RolloutPace>(pace: P, { readinessTimeoutMs, placement }: Patience): P {
  const longer = Math.max(0, (readinessTimeoutMs ?? 0) - DEFAULT_READINESS_TIMEOUT_MS);
  const machine = (placement.places ?? []).length > 0 ? MACHINE_MS : 0;
  return { ...pace, progressDeadlineMs: pace.progressDeadlineMs + longer + machine };
}

type Patience = Pick<DeploymentSpec, 'readinessTimeoutMs'> & { readonly placement: Pick<DeploymentSpec['placement'], 'places'> };

/** What is known about the new revision and the old ones. */
export interface RolloutFacts {
  /** False = the cluster could not be seen: nothing moves. */
  readonly observed: boolean;
  /** True once the cluster knows of the new revision: its time to get ready counts from then. */
  readonly told: boolean;
  /** True if a cluster knew of it and does so no more: it was wiped, which is no fault of the revision. */
  readonly lost: boolean;
  readonly desired: number;
  readonly serving: number;
  /** The cluster gave up trying at the present pace, or cannot run it at all; null = not so. */
  readonly failing: string | null;
  /** Errors that requests to it met; null = none worth going back for. */
  readonly erring: string | null;
  /** Replicas that revisions without traffic still hold. */
  readonly leftover: number;
}

/** The rollout after what is known now; the same object when nothing changes. */
export function advanceRollout(rollout: Rollout, facts: RolloutFacts, pace: RolloutPace, now: Instant): Rollout {
  if (!facts.observed || rollout.endedAt !== null) return rollout;
  return TRANSITIONS[rollout.state]({ rollout, facts, pace, now });
}

interface Question {
  readonly rollout: Rollout;
  readonly facts: RolloutFacts;
  readonly pace: RolloutPace;
  readonly now: Instant;
}

const same = ({ rollout }: Question): Rollout => rollout;

const TRANSITIONS = {
  starting: leaveStarting,
  shifting: leaveShifting,
  draining: leaveDraining,
  rolling_back: leaveRollingBack,
  done: same,
  rolled_back: same,
  failed: same,
  superseded: same,
} as const satisfies Record<RolloutState, (question: Question) => Rollout>;

function leaveStarting({ rollout, facts, pace, now }: Question): Rollout {
  if (facts.serving >= facts.desired) {
    return rollout.fromWeights.length === 0 || facts.desired === 0 ? to(rollout, 'draining', now) : to(rollout, 'shifting', now);
  }
  if (facts.lost) return to(rollout, 'starting', now);
  if (facts.failing !== null) return giveUp(rollout, facts.failing, now);
  const waited = now - rollout.stepStartedAt;
  // After an outage of the cluster the time starts anew, give or take half of it: what nobody tried has not failed.
  if (!facts.told) return waited * 2 >= pace.progressDeadlineMs ? to(rollout, 'starting', now) : rollout;
  const late = waited >= pace.progressDeadlineMs;
  return late ? giveUp(rollout, `It was not ready within ${Math.round(pace.progressDeadlineMs / 1000)} s.`, now) : rollout;
}

function leaveShifting(question: Question): Rollout {
  const { rollout, facts, now } = question;
  // Scaled to 0 on the way: there is nothing to watch.
  if (facts.desired === 0) return to({ ...rollout, step: STEPS.length - 1 }, 'draining', now);
  if (facts.failing !== null) return giveUp(rollout, facts.failing, now);
  // What is not there any more is made again before it is judged; where nothing is left, the time to get ready starts anew.
  if (!facts.told) return facts.serving === 0 ? to(rollout, 'starting', now) : rollout;
  return nextStep(question);
}

function nextStep({ rollout, facts, pace, now }: Question): Rollout {
  if (facts.erring !== null) return giveUp(rollout, facts.erring, now);
  if (facts.serving === 0) return giveUp(rollout, 'It lost all its ready replicas.', now);
  if (facts.serving < facts.desired || now - rollout.stepStartedAt < pace.stepMs) return rollout;
  const step = rollout.step + 1;
  if ((STEPS[step] ?? 100) === 100) return to({ ...rollout, step: STEPS.length - 1 }, 'draining', now);
  return { ...rollout, step, stepStartedAt: now, version: rollout.version + 1 };
}

function leaveDraining({ rollout, facts, now }: Question): Rollout {
  return facts.leftover > 0 ? rollout : ended(to(rollout, 'done', now), now);
}

function leaveRollingBack({ rollout, facts, now }: Question): Rollout {
  return facts.leftover > 0 ? rollout : ended(to(rollout, 'rolled_back', now), now);
}

function giveUp(rollout: Rollout, reason: string, now: Instant): Rollout {
  if (rollout.fromWeights.length === 0) return ended({ ...to(rollout, 'failed', now), reason }, now);
  return { ...to(rollout, 'rolling_back', now), reason };
}

const to = (rollout: Rollout, state: RolloutState, now: Instant): Rollout => ({
  ...rollout,
  state,
  stepStartedAt: now,
  version: rollout.version + 1,
});

const ended = (rollout: Rollout, now: Instant): Rollout => ({ ...rollout, endedAt: now });

/** A newer wish takes its place. */
export const supersede = (rollout: Rollout, now: Instant): Rollout => ended(to(rollout, 'superseded', now), now);

/** Where traffic goes now: the wish, or on the way to it while a rollout is under way. Sums to 100, or all are 0. */
export function effectiveWeights(
  wish: readonly TrafficWeight[],
  rollout: Pick<Rollout, 'endedAt' | 'state' | 'step' | 'fromWeights' | 'toRevision'> | null,
): readonly TrafficWeight[] {
  if (!rollout || rollout.endedAt !== null || rollout.state === 'draining') return wish;
  if (rollout.fromWeights.length === 0) return wish;
  if (rollout.state !== 'shifting') return rollout.fromWeights;
  const share = STEPS[rollout.step] ?? 100;
  return mixed(rollout.fromWeights, rollout.toRevision, share);
}

/** `share` percent to one revision, the rest as before. */
function mixed(before: readonly TrafficWeight[], revision: number, share: number): TrafficWeight[] {
  const others = before.filter((weight) => weight.revision !== revision);
  const parts = splitByLargestRemainder(
    BigInt(100 - share),
    others.map(({ revision: number, weight }) => ({ key: String(number), weight: BigInt(weight) })),
  );
  const rest = others.map((weight) => ({ revision: weight.revision, weight: Number(parts.get(String(weight.revision)) ?? 0n) }));
  return [...rest, { revision, weight: rest.length === 0 ? 100 : share }];
}
