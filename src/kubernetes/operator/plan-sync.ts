import type { Instant } from '../../kernel/instant.ts';
import type { ApiRefusal, DeploymentView } from './deployments-api.port.ts';
import {
  OPERATOR_FINALIZER,
  pathOf,
  type ModelDeployment,
  type ModelDeploymentCondition,
  type ModelDeploymentStatus,
} from './model-deployment.ts';

/** What is known of one object when it is looked at. */
export interface SyncInput {
  readonly object: ModelDeployment;
  /** What `managerOf` says of it. */
  readonly manager: string;
  /** The team label of its namespace; null = none. */
  readonly namespaceTeam: string | null;
  /** Null = the API has none that the operator may see; undefined = the API could not be asked. */
  readonly view: DeploymentView | null | undefined;
  /** What the API said to the last wish of this generation; null = it took it, undefined = it was not asked yet. */
  readonly refusal: ApiRefusal | null | undefined;
}

/** The one next act; after it the object is looked at again. */
export type SyncAct = 'add_finalizer' | 'deploy' | 'remove' | 'drop_finalizer' | 'none';

export interface SyncPlan {
  readonly act: SyncAct;
  /** What the object's status should be; null = leave it. */
  readonly status: ModelDeploymentStatus | null;
}

type Verdict = Omit<ModelDeploymentCondition, 'lastTransitionTime' | 'observedGeneration'>;

/** Decides what to do about one object and what its status says, as kstatus reads it: Ready, Reconciling, Stalled. */
export function planSync(input: SyncInput, now: Instant): SyncPlan {
  const { object } = input;
  if (object.metadata.deletionTimestamp !== undefined) return planRemoval(input, now);
  const stopped = refusedHere(input);
  if (stopped) return { act: 'none', status: statusOf(input, [notReady(stopped), stalled(stopped)], now) };
  if (!object.metadata.finalizers.includes(OPERATOR_FINALIZER)) return { act: 'add_finalizer', status: null };
  if (input.view === undefined) return { act: 'none', status: unknownStatus(input, now) };
  return isHandedOver(input) ? { act: 'none', status: shownStatus(input, now) } : { act: 'deploy', status: null };
}

/** Its deployment is deleted first; the object goes when the API no longer has it. Another writer's deployment is left alone. */
function planRemoval(input: SyncInput, now: Instant): SyncPlan {
  const { object, view, manager } = input;
  if (!object.metadata.finalizers.includes(OPERATOR_FINALIZER)) return { act: 'none', status: null };
  if (view === undefined) return { act: 'none', status: unknownStatus(input, now) };
  if (view === null || view.manager !== manager) return { act: 'drop_finalizer', status: null };
  const going = { reason: 'Deleting', message: 'The deployment drains; this object goes when it is gone.' };
  const status = statusOf(input, [notReady(going), { type: 'Reconciling', status: 'True', ...going }], now);
  return { act: view.phase === 'DELETING' ? 'none' : 'remove', status };
}

/** Why this object is not handed to the API at all. */
function refusedHere({ object, namespaceTeam, manager, view }: SyncInput): Reason | null {
  const [team = ''] = object.spec.project.split('/');
  const { namespace } = object.metadata;
  if (namespaceTeam !== team)
    return {
      reason: 'NamespaceNotAllowed',
      message: `Namespace ${namespace} may not deploy for team ${team}: label it purser.dev/team=${team}.`,
    };
  if (view && view.manager !== manager)
    return {
      reason: 'ManagedElsewhere',
      message:
        view.manager === null
          ? `${pathOf(object)} was made through the API: delete it there or choose another name.`
          : `${pathOf(object)} is managed by ${view.manager}.`,
    };
  return null;
}

interface Reason {
  readonly reason: string;
  readonly message: string;
}

/** True if the API has taken, or refused, exactly this generation. */
const isHandedOver = ({ object, view, refusal }: SyncInput): boolean => {
  if (refusal) return true;
  // What stalled before this process was started is tried again: the reason may be gone.
  const wasStalled = object.status.conditions.some(({ type, status }) => type === 'Stalled' && status === 'True');
  if (refusal === undefined && wasStalled) return false;
  return view !== null && (refusal === null || object.status.observedGeneration === object.metadata.generation);
};

function shownStatus(input: SyncInput, now: Instant): ModelDeploymentStatus {
  const { refusal, view } = input;
  if (refusal) {
    const reason = { reason: pascal(refusal.code), message: refusal.message };
    return statusOf(input, [notReady(reason), stalled(reason)], now);
  }
  if (!view) return unknownStatus(input, now);
  const said = saidBy(view);
  const ready: Verdict = { ...said, type: 'Ready' };
  if (said.status === 'True') return statusOf(input, [ready], now);
  const { reason, message } = said;
  const hopeless = view.phase === 'FAILED';
  return statusOf(
    input,
    [ready, hopeless ? stalled({ reason, message }) : { type: 'Reconciling', status: 'True', reason, message }],
    now,
  );
}

/** What the API says of a wish that it has not acted on yet is about the one before. */
const saidBy = ({ ready, generation, observedGeneration }: DeploymentView): NonNullable<DeploymentView['ready']> =>
  ready === null || observedGeneration < generation
    ? { status: 'False', reason: 'HandedOver', message: 'The control plane has the wish and has not acted on it yet.' }
    : ready;

/** What was last known stays; only readiness is in doubt. */
function unknownStatus(input: SyncInput, now: Instant): ModelDeploymentStatus {
  const reason = { reason: 'ApiUnavailable', message: 'The control plane cannot be asked; nothing is changed until it can.' };
  return {
    ...input.object.status,
    conditions: conditionsOf(
      input,
      [
        { type: 'Ready', status: 'Unknown', ...reason },
        { type: 'Reconciling', status: 'True', ...reason },
      ],
      now,
    ),
  };
}

function statusOf(input: SyncInput, verdicts: readonly Verdict[], now: Instant): ModelDeploymentStatus {
  const { object, view } = input;
  return {
    observedGeneration: object.metadata.generation,
    path: pathOf(object),
    ...(view && view.manager === input.manager ? shownOf(view) : {}),
    conditions: conditionsOf(input, verdicts, now),
  };
}

const shownOf = (view: DeploymentView) => ({
  phase: view.phase,
  replicas: `${view.readyReplicas}/${view.wishedReplicas}`,
  url: view.url,
  monthlyCost: view.monthlyCost,
  ...(view.revision === null ? {} : { revision: view.revision }),
});

/** A condition that says the same keeps its time, so that an unchanged status is not written. */
const conditionsOf = ({ object }: SyncInput, verdicts: readonly Verdict[], now: Instant): ModelDeploymentCondition[] =>
  verdicts.map((verdict) => {
    const before = object.status.conditions.find(({ type }) => type === verdict.type);
    const lastTransitionTime =
      before?.status === verdict.status ? before.lastTransitionTime : `${new Date(now).toISOString().slice(0, 19)}Z`;
    return { ...verdict, observedGeneration: object.metadata.generation, lastTransitionTime };
  });

const notReady = (reason: Reason): Verdict => ({ type: 'Ready', status: 'False', ...reason });
const stalled = (reason: Reason): Verdict => ({ type: 'Stalled', status: 'True', ...reason });

/** `LIMIT_EXCEEDED` → `LimitExceeded`: reasons of conditions are CamelCase. */
const pascal = (code: string): string => code.toLowerCase().replace(/(?:^|_)(\w)/g, (_, letter: string) => letter.toUpperCase());
