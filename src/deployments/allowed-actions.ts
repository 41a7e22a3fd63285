import { failure, type Failure } from '../kernel/failure.ts';
import type { Deployment, DeploymentPhase } from './deployment.ts';
import type { Rollout } from './rollout.ts';

export const DEPLOYMENT_ACTIONS = ['DEPLOY', 'SET_TRAFFIC', 'ROLLBACK', 'SCALE', 'DELETE'] as const;

export type DeploymentAction = (typeof DEPLOYMENT_ACTIONS)[number];

export interface ActionState {
  readonly deployment: Deployment;
  /** How many revisions there are. */
  readonly revisions: number;
  readonly rollout: Rollout | null;
  /** Whom the caller acts for; null = itself. */
  readonly manager: string | null;
  /** The caller has the right to change it. */
  readonly mayWrite: boolean;
}

export interface AllowedAction {
  readonly action: DeploymentAction;
  readonly allowed: boolean;
  /** Why not; null when it is allowed. */
  readonly reason: string | null;
}

type Rule = (state: ActionState) => string | null;

const DELETING: Rule = ({ deployment }) =>
  deployment.phase === ('DELETING' satisfies DeploymentPhase) || deployment.deletedAt !== null ? 'It is being deleted.' : null;
const ROLLING: Rule = ({ rollout }) => (rollout !== null && rollout.endedAt === null ? 'A rollout is under way.' : null);
const ROLLING_BACK: Rule = ({ rollout }) => (rollout?.state === 'rolling_back' ? 'It is rolling back.' : null);
const ONE_REVISION: Rule = ({ revisions }) => (revisions < 2 ? 'There is no other revision.' : null);

const MANAGED: Rule = ({ deployment, manager }) => {
  const { manager: owner = null } = deployment.spec;
  if (owner === manager) return null;
  return owner === null
    ? `It is not managed by ${manager ?? ''} but through the API.`
    : `It is managed by ${owner}: change it there.`;
};

/** What stands against each action, looked at in this order; the one place that says so. */
const RULES = {
  DEPLOY: [MANAGED, DELETING, ROLLING_BACK],
  SET_TRAFFIC: [MANAGED, DELETING, ROLLING, ONE_REVISION],
  ROLLBACK: [MANAGED, DELETING, ROLLING_BACK, ONE_REVISION],
  SCALE: [MANAGED, DELETING, ROLLING_BACK],
  DELETE: [MANAGED, DELETING],
} as const satisfies Record<DeploymentAction, readonly Rule[]>;

/** Every action with why not, for clients; callers without the right are told only that. */
export const allowedActions = (state: ActionState): AllowedAction[] =>
  DEPLOYMENT_ACTIONS.map((action) => {
    const reason = state.mayWrite ? reasonAgainst(action, state) : 'You may not change it.';
    return { action, allowed: reason === null, reason };
  });

function reasonAgainst(action: DeploymentAction, state: ActionState): string | null {
  for (const rule of RULES[action]) {
    const reason = rule(state);
    if (reason) return reason;
  }
  return null;
}

/** The refusal of an action that is not allowed now; null if it is. */
export function refuseAction(action: DeploymentAction, state: Omit<ActionState, 'mayWrite'>): Failure | null {
  const reason = reasonAgainst(action, { ...state, mayWrite: true });
  return reason === null
    ? null
    : failure('PRECONDITION_FAILED', reason, { hint: 'Look at the deployment: it tells what it allows now.' });
}
