import type { Cause, EventDraft, Json, Severity } from '../kernel/event.ts';
import type { Id } from '../kernel/id.ts';
import type { Cluster, Pool } from './cluster.ts';
import type { ClusterNode, PoolScaling } from './node.ts';
import type { NodeChange } from './observe-nodes.ts';

interface Story {
  readonly type: string;
  readonly severity: Severity;
  readonly message: string;
}

/** What a change of a node is called; null = nothing that anybody would want to hear of. The gravest comes first. */
export function nodeChanged(change: NodeChange, cluster: Pick<Cluster, 'name'>, cause: Cause): EventDraft | null {
  const story = storyOf(change, `Node ${change.after.name} of cluster ${cluster.name}`);
  if (!story) return null;
  const { before, after } = change;
  return {
    ...story,
    ...{ subjectKind: 'ClusterNode', subjectId: after.id, subjectVersion: after.version },
    ...{ teamId: null, projectId: null, deploymentId: null },
    ...cause,
    before: before && snapshot(before),
    after: after.until === null ? snapshot(after) : null,
  };
}

function storyOf({ before, after }: NodeChange, node: string): Story | null {
  if (before === null) return arrival(after, `${node} joined.`);
  if (after.until !== null) return { type: 'node.removed', severity: 'info', message: `${node} is gone.` };
  const noticed = after.notice !== null && before.notice === null;
  if (noticed)
    return {
      type: 'node.interrupted',
      severity: 'warning',
      message: sentence(`${node} will be taken away. ${after.notice.message}`),
    };
  return readinessStory(before, after, node) ?? priceStory(before, after, node) ?? cordonStory(before, after, node);
}

const arrival = ({ priceProblem }: ClusterNode, message: string): Story =>
  priceProblem === null
    ? { type: 'node.added', severity: 'info', message }
    : { type: 'node.added', severity: 'warning', message: `${message} ${priceProblem}` };

function priceStory(before: ClusterNode, after: ClusterNode, node: string): Story | null {
  if (before.priceProblem === after.priceProblem) return null;
  return after.priceProblem === null
    ? { type: 'node.price_accepted', severity: 'info', message: `Nothing stands against the price of ${node} any more.` }
    : { type: 'node.price_refused', severity: 'warning', message: `${node} cannot be priced. ${after.priceProblem}` };
}

function readinessStory(before: ClusterNode, after: ClusterNode, node: string): Story | null {
  if (before.readiness === after.readiness) return null;
  if (after.readiness === 'ready') return { type: 'node.ready', severity: 'info', message: `${node} is ready.` };
  return after.readiness === 'unknown'
    ? { type: 'node.unreachable', severity: 'error', message: `${node} is not heard of; whether it runs on is unknown.` }
    : { type: 'node.not_ready', severity: 'warning', message: `${node} says that it is not ready.` };
}

function cordonStory(before: ClusterNode, after: ClusterNode, node: string): Story | null {
  if (before.schedulable === after.schedulable) return null;
  return after.schedulable
    ? { type: 'node.uncordoned', severity: 'info', message: `${node} takes pods again.` }
    : { type: 'node.cordoned', severity: 'info', message: `${node} takes no new pods.` };
}

const snapshot = (node: ClusterNode): Json => ({
  ...{ name: node.name, instanceType: node.instanceType, zone: node.zone, capacityType: node.capacityType },
  ...{ readiness: node.readiness, schedulable: node.schedulable, notice: node.notice?.message ?? null, pods: node.pods },
  priceProblem: node.priceProblem,
});

/** A pool was asked to have another number of nodes; `version` numbers such changes. */
export const poolScaled = (
  change: { readonly pool: Pool; readonly from: number; readonly to: number; readonly reasons: readonly string[] } & Cause,
): EventDraft => ({
  type: change.to > change.from ? 'pool.grown' : 'pool.shrunk',
  severity: 'info',
  message: `Pool ${change.pool.name} goes from ${change.from} to ${change.to} nodes. ${change.reasons.join(' ')}`.trim(),
  ...poolSubject(change.pool, change.at),
  ...{ at: change.at, principal: change.principal },
  before: { nodes: change.from },
  after: { nodes: change.to, reasons: [...change.reasons] },
});

/** Its provider will not give what it needs, or it may not have more; of a removed one, something keeps its machines. */
export const poolStalled = (
  change: { readonly pool: Pool; readonly reason: string; readonly message: string } & Cause,
): EventDraft => ({
  type: 'pool.stalled',
  severity: 'warning',
  message: sentence(
    `Pool ${change.pool.name} cannot ${change.pool.removedAt === null ? 'grow' : 'be given back'}: ${change.message}`,
  ),
  ...poolSubject(change.pool, change.at),
  ...{ at: change.at, principal: change.principal },
  before: { stalled: false },
  after: { stalled: true, reason: change.reason },
});

/** One of its nodes is emptied: others have room for what is on it. */
export const poolConsolidated = (
  change: { readonly pool: Pool; readonly node: string; readonly reason: string } & Cause,
): EventDraft => ({
  type: 'pool.consolidated',
  severity: 'info',
  message: `Node ${change.node} of pool ${change.pool.name} is being emptied. ${change.reason}`,
  ...poolSubject(change.pool, change.at),
  ...{ at: change.at, principal: change.principal },
  before: { emptying: null },
  after: { emptying: change.node },
});

/** It, or (`poolId` null) every pool, grew so fast that a person is asked. */
export const growthHeld = (
  change: { readonly pool: Pool; readonly poolId: Id | null; readonly message: string } & Cause,
): EventDraft => ({
  type: 'pool.growth_held',
  severity: 'error',
  message: sentence(
    `${change.poolId === null ? 'Growth of all pools' : `Growth of pool ${change.pool.name}`} is held: ${change.message}`,
  ),
  ...poolSubject(change.pool, change.at),
  ...{ at: change.at, principal: change.principal },
  before: { held: false },
  after: { held: true, all: change.poolId === null },
});

/** A person lets it, or all pools, grow on. */
export const growthResumed = (change: { readonly pool: Pool; readonly all: boolean } & Cause): EventDraft => ({
  type: 'pool.growth_resumed',
  severity: 'info',
  message: change.all ? 'All pools may grow again.' : `Pool ${change.pool.name} may grow again.`,
  ...poolSubject(change.pool, change.at),
  ...{ at: change.at, principal: change.principal },
  before: { held: true, all: change.all },
  after: { held: false },
});

/** How it may scale was set. */
export const poolScalingChanged = (
  before: PoolScaling | null,
  after: PoolScaling,
  cause: Cause & { readonly pool: Pool },
): EventDraft => ({
  type: 'pool.scaling_changed',
  severity: 'info',
  message: `Pool ${cause.pool.name} has between ${after.minNodes} and ${after.maxNodes} nodes of ${after.provider}.`,
  ...poolSubject(cause.pool, cause.at),
  ...{ at: cause.at, principal: cause.principal },
  before: before && limits(before),
  after: limits(after),
});

/** A pool came, changed or went, as somebody asked. */
export const poolChanged = (before: Pool | null, after: Pool, cause: Cause): EventDraft => {
  const { type, words } = poolStory(before, after);
  return {
    ...{ type, severity: 'info', message: `Pool ${after.name} ${words}` },
    ...poolSubject(after, cause.at),
    ...cause,
    before: before && poolSnapshot(before),
    after: after.removedAt === null ? poolSnapshot(after) : null,
  };
};

function poolStory(before: Pool | null, after: Pool): { readonly type: string; readonly words: string } {
  if (after.removedAt !== null) return { type: 'pool.removed', words: 'was removed: nothing is placed there any more.' };
  return before === null ? { type: 'pool.added', words: 'was added.' } : { type: 'pool.changed', words: 'was changed.' };
}

/** Of a removed one: its provider has taken everything back and forgotten it. */
export const poolGivenBack = (pool: Pool, cause: Cause): EventDraft => ({
  ...{ type: 'pool.given_back', severity: 'info', message: `All machines of pool ${pool.name} were given back.` },
  ...poolSubject(pool, cause.at),
  ...cause,
  ...{ before: poolSnapshot(pool), after: null },
});

const poolSnapshot = ({ name, capacityType, offeringId, nodeSelector }: Pool): Json => ({
  ...{ name, capacityType, offeringId, nodeSelector: { ...nodeSelector } },
});

/** What others say may end without a full stop. */
const sentence = (text: string): string => (/[.!?]$/.test(text.trim()) ? text.trim() : `${text.trim()}.`);

const limits = ({ provider, minNodes, maxNodes }: PoolScaling): Json => ({ provider, minNodes, maxNodes });

/** Its events are in the order of their time: its wish, and what is done about it, change apart from each other. */
const poolSubject = (pool: Pool, at: number) => ({
  ...{ subjectKind: 'Pool', subjectId: pool.id, subjectVersion: at },
  ...{ teamId: null, projectId: null, deploymentId: null },
});
