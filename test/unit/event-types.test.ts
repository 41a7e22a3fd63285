// Builds one event of every type by its constructor, from a before and an after; a constructor in src that the table leaves out fails the test.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Offering } from '../../src/clouds/offering.ts';
import { invariantViolated, nodeInvariantViolated } from '../../src/costs/ledger.events.ts';
import {
  deploymentChanged,
  deploymentGone,
  phaseChanged,
  replicaChanged,
  replicasGaveWay,
  replicasSpread,
  rolloutChanged,
  scalingChanged,
} from '../../src/deployments/deployment.events.ts';
import type { Deployment } from '../../src/deployments/deployment.ts';
import type { Replica } from '../../src/deployments/replica.ts';
import type { Rollout } from '../../src/deployments/rollout.ts';
import {
  clusterCordoned,
  clusterLost,
  clusterMoved,
  clusterReachable,
  clusterSilent,
  clusterRebuilding,
  clusterRegistered,
  clusterRemoved,
  clusterUnreachable,
  clusterUpdated,
  removalsApproved,
  removalsHeld,
} from '../../src/fleet/cluster.events.ts';
import type { Cluster } from '../../src/fleet/cluster.ts';
import {
  nodeChanged,
  poolChanged,
  growthHeld,
  poolConsolidated,
  growthResumed,
  poolGivenBack,
  poolScaled,
  poolScalingChanged,
  poolStalled,
} from '../../src/fleet/node.events.ts';
import type { ClusterNode, PoolScaling } from '../../src/fleet/node.ts';
import type { Pool } from '../../src/fleet/cluster.ts';
import {
  principalCreated,
  projectChanged,
  quotaChanged,
  roleChanged,
  teamCreated,
  tokenChanged,
} from '../../src/identity/identity.events.ts';
import type { PrincipalRecord, TokenRecord } from '../../src/identity/identity-store.port.ts';
import type { Quota } from '../../src/identity/quotas.ts';
import type { Project } from '../../src/identity/team.ts';
import type { EventDraft } from '../../src/kernel/event.ts';
import { PICO_PER_USD } from '../../src/kernel/money.ts';
import type { Agreement } from '../../src/pricing/agreements.ts';
import {
  priceAccepted,
  priceAgreementChanged,
  priceChanged,
  priceDismissed,
  priceFeedSilence,
  priceQuarantined,
} from '../../src/pricing/price.events.ts';
import type { FeedState } from '../../src/pricing/price-feed-store.port.ts';
import type { PriceRow } from '../../src/pricing/price-book.ts';
import type { Model } from '../../src/registry/model.ts';
import type { ModelVersion } from '../../src/registry/model-version.ts';
import { aliasChanged, modelRegistered, versionArchived, versionRegistered } from '../../src/registry/registry.events.ts';

const cause = { at: 5_000, principal: 'somebody' };
const owner = { teamId: 'team', projectId: 'project' };

const deployment = {
  ...owner,
  ...{ id: 'deployment', teamName: 'acme', projectName: 'demo', name: 'digits', generation: 2, version: 7, phase: 'READY' },
  ...{ deletedAt: null, goneAt: null, spec: { replicas: 1, maxSpendPerHour: PICO_PER_USD } },
} as Deployment;
const scaled = { ...deployment, spec: { ...deployment.spec, replicas: 3 } };
const deleted = { ...deployment, deletedAt: 5_000 };
const rollout = {
  ...owner,
  id: 'rollout',
  toRevision: 2,
  state: 'starting',
  step: 0,
  reason: null,
  endedAt: null,
  version: 1,
} as Rollout;
const replica = {
  ...owner,
  ...{
    id: 'replica',
    deploymentId: 'deployment',
    state: 'starting',
    restarts: 0,
    message: '',
    capacityUntil: null,
    transitions: 1,
  },
} as Replica;
const project = {
  id: 'project',
  teamId: 'team',
  teamName: 'acme',
  name: 'demo',
  maxReplicas: 1,
  maxSpendPerHour: 1n,
  version: 1,
} as Project;
const person: PrincipalRecord = {
  ...{ id: 'person', kind: 'person', name: 'ada', teamId: 'team', issuer: null, subject: null },
  ...{ platformActions: [], createdAt: 1, disabledAt: null, grants: [] },
};
const token = {
  id: 'token',
  teamId: 'team',
  name: 'key',
  type: 'service',
  hint: 'abcd',
  expiresAt: null,
  revokedAt: null,
} as TokenRecord;
const quota: Quota = { ...owner, id: 'quota', resource: 'replicas', maximum: 5n, version: 1 };
const model = {
  ...owner,
  id: 'model',
  teamName: 'acme',
  projectName: 'demo',
  name: 'digits',
  description: '',
  version: 3,
} as Model;
const version = { number: 1, format: 'onnx', artifact: null, archivedAt: null } as ModelVersion;
const registry = { model, ...cause };
const cluster = {
  id: 'cluster',
  name: 'local',
  kind: 'local',
  machineId: 'one',
  cordoned: false,
  version: 1,
  rowVersion: 1,
} as Cluster;
const machine = {
  ...{ id: 'node', name: 'node1', readiness: 'ready', schedulable: true, notice: null, until: null, pods: 1 },
  ...{ priceProblem: null, version: 1 },
} as ClusterNode;
const nodeTo = (change: Partial<ClusterNode>, before: ClusterNode | null = machine) =>
  nodeChanged({ before, after: { ...machine, version: 2, ...change } }, cluster, cause) as EventDraft;
const pool = { id: 'pool', name: 'burst', nodeSelector: {}, removedAt: null } as Partial<Pool> as Pool;
const scaling = { poolId: 'pool', provider: 'command', minNodes: 0, maxNodes: 3, version: 1 } as PoolScaling;
const clusterTo = (change: Partial<Cluster>) => ({ before: cluster, after: { ...cluster, ...change }, ...cause });
const condition = { type: 'Reachable', status: 'False' as const, reason: 'Unseen', message: '', lastTransitionTime: 5_000 };
const held = { digest: 'sha256:1', workloadIds: ['a', 'b', 'c', 'd'] };
const offering = {
  id: 'offering',
  provider: 'aws',
  region: 'us-east-1',
  zone: '',
  instanceType: 'm5.large',
  capacityType: 'on_demand',
} as Offering;
const price = { id: 'price', effective: 1n, source: 'override', effectiveFrom: 0 } as PriceRow;
const doubted = {
  ...{ id: 'doubted', feed: 'feed', offeringId: 'offering', offeringKey: 'aws/us-east-1/-/m5.large/spot' },
  ...({ code: 'AMOUNT_UNREADABLE', message: '"NaN" is not an amount.' } as const),
  row: { amount: 'NaN', unit: 'hour', currency: 'USD', effectiveFrom: null },
} as const;
const feed = { id: 'feed', name: 'feed', staleSince: null, version: 1 } as FeedState;
const agreement: Agreement = {
  ...{ id: 'agreement', name: 'ten', validFrom: 1, validUntil: null, version: 1 },
  spec: { kind: 'discount', percentMilli: 10_000, provider: 'aws', region: null, instanceTypes: null, capacityTypes: null },
};
const grant = { ...owner, id: 'grant', role: 'viewer' as const };

/** What the event tells of its subject: that it is new, that it changed, or that it is no more. */
type Story = 'new' | 'changed' | 'gone';

const rolls = (state: Rollout['state'], endedAt: number | null = null) =>
  rolloutChanged(rollout, { ...rollout, state, endedAt, version: 2 }, deployment, cause);
const becomes = (state: Replica['state'], capacityUntil: number | null = null) =>
  replicaChanged(replica, { ...replica, state, capacityUntil, transitions: 2 }, deployment, cause);

const TABLE: readonly (readonly [string, Story, (...args: never[]) => unknown, EventDraft | EventDraft[]])[] = [
  ['deployment.created', 'new', deploymentChanged, deploymentChanged(null, deployment, cause)],
  ['deployment.updated', 'changed', deploymentChanged, deploymentChanged(deployment, scaled, cause)],
  ['deployment.deleted', 'changed', deploymentChanged, deploymentChanged(deployment, deleted, cause)],
  ['deployment.phase_changed', 'changed', phaseChanged, phaseChanged(deployment, { ...deployment, phase: 'FAILED' }, cause)],
  ['deployment.gone', 'gone', deploymentGone, deploymentGone(deleted, cause)],
  ['scaling.changed', 'changed', scalingChanged, scalingChanged(deployment, scaled, cause)],
  [
    'scaling.spread',
    'changed',
    replicasSpread,
    replicasSpread({ deployment, from: [], to: [{ pool: 'spot', replicas: 1 }], reasons: [], ...cause }),
  ],
  ['scaling.preempted', 'changed', replicasGaveWay, replicasGaveWay({ deployment, from: 2, to: 1, reason: 'Short.', ...cause })],
  ['scaling.restored', 'changed', replicasGaveWay, replicasGaveWay({ deployment, from: 1, to: 2, reason: 'Room.', ...cause })],
  ['rollout.started', 'new', rolloutChanged, rolloutChanged(null, rollout, deployment, cause)],
  ['rollout.step', 'changed', rolloutChanged, rolls('shifting')],
  ['rollout.finished', 'changed', rolloutChanged, rolls('done', 5_000)],
  ['rollout.rolling_back', 'changed', rolloutChanged, rolls('rolling_back')],
  ['rollout.rolled_back', 'changed', rolloutChanged, rolls('rolled_back', 5_000)],
  ['replica.started', 'new', replicaChanged, replicaChanged(null, replica, deployment, cause)],
  ['replica.ready', 'changed', replicaChanged, becomes('serving')],
  ['replica.unready', 'changed', replicaChanged, becomes('unready')],
  ['replica.draining', 'changed', replicaChanged, becomes('draining')],
  ['replica.gone', 'changed', replicaChanged, becomes('draining', 5_000)],
  [
    'price.changed',
    'changed',
    priceChanged,
    priceChanged({ offering, before: price, after: { ...price, effective: 2n }, version: 2, ...cause }),
  ],
  ['price.quarantined', 'changed', priceQuarantined, priceQuarantined(doubted, { ...cause, version: 3 })],
  ['price.accepted', 'changed', priceAccepted, priceAccepted(doubted, { ...cause, version: 4 })],
  ['price.dismissed', 'changed', priceDismissed, priceDismissed(doubted, { ...cause, version: 4 })],
  ['price_feed.stale', 'changed', priceFeedSilence, priceFeedSilence(feed, 4_000, cause.at)],
  ['price_feed.heard', 'changed', priceFeedSilence, priceFeedSilence({ ...feed, staleSince: 4_000 }, null, cause.at)],
  ['price_agreement.set', 'new', priceAgreementChanged, priceAgreementChanged(null, agreement, cause)],
  ['price_agreement.removed', 'gone', priceAgreementChanged, priceAgreementChanged(agreement, null, cause)],
  ['model.registered', 'new', modelRegistered, modelRegistered(registry)],
  ['model_version.registered', 'new', versionRegistered, versionRegistered(registry, version)],
  ['model_version.archived', 'changed', versionArchived, versionArchived(registry, version)],
  ['alias.changed', 'changed', aliasChanged, aliasChanged(registry, { name: 'stable', before: 1, after: 2 })],
  ['node.added', 'new', nodeChanged, nodeTo({}, null)],
  ['node.ready', 'changed', nodeChanged, nodeTo({}, { ...machine, readiness: 'unknown' })],
  ['node.not_ready', 'changed', nodeChanged, nodeTo({ readiness: 'not_ready' })],
  ['node.unreachable', 'changed', nodeChanged, nodeTo({ readiness: 'unknown' })],
  ['node.interrupted', 'changed', nodeChanged, nodeTo({ notice: { source: 'taint', message: 'Spot', at: null } })],
  ['node.cordoned', 'changed', nodeChanged, nodeTo({ schedulable: false })],
  ['node.uncordoned', 'changed', nodeChanged, nodeTo({}, { ...machine, schedulable: false })],
  ['node.price_refused', 'changed', nodeChanged, nodeTo({ priceProblem: 'It says "free".' })],
  ['node.price_accepted', 'changed', nodeChanged, nodeTo({}, { ...machine, priceProblem: 'It says "free".' })],
  ['node.removed', 'gone', nodeChanged, nodeTo({ until: 5_000 })],
  ['pool.scaling_changed', 'new', poolScalingChanged, poolScalingChanged(null, scaling, { ...cause, pool })],
  ['pool.added', 'new', poolChanged, poolChanged(null, pool, cause)],
  ['pool.changed', 'changed', poolChanged, poolChanged(pool, { ...pool, nodeSelector: { tier: 'gpu' } }, cause)],
  ['pool.removed', 'gone', poolChanged, poolChanged(pool, { ...pool, removedAt: 5_000 }, cause)],
  ['pool.given_back', 'gone', poolGivenBack, poolGivenBack(pool, cause)],
  ['pool.grown', 'changed', poolScaled, poolScaled({ pool, from: 1, to: 2, reasons: [], ...cause })],
  ['pool.shrunk', 'changed', poolScaled, poolScaled({ pool, from: 2, to: 1, reasons: [], ...cause })],
  ['pool.consolidated', 'changed', poolConsolidated, poolConsolidated({ pool, node: 'node1', reason: 'Room.', ...cause })],
  ['pool.growth_held', 'changed', growthHeld, growthHeld({ pool, poolId: null, message: 'too fast', ...cause })],
  ['pool.growth_resumed', 'changed', growthResumed, growthResumed({ pool, all: true, ...cause })],
  ['pool.stalled', 'changed', poolStalled, poolStalled({ pool, reason: 'MAXIMUM', message: 'it may not', ...cause })],
  ['team.created', 'new', teamCreated, teamCreated({ id: 'team', name: 'acme', version: 1, createdAt: 0 }, cause)],
  ['project.created', 'new', projectChanged, projectChanged(null, project, cause)],
  ['project.updated', 'changed', projectChanged, projectChanged(project, { ...project, maxReplicas: 2 }, cause)],
  ['principal.created', 'new', principalCreated, principalCreated(person, cause)],
  ['role.granted', 'new', roleChanged, roleChanged('granted', person, grant, cause)],
  ['role.revoked', 'gone', roleChanged, roleChanged('revoked', person, grant, cause)],
  ['token.created', 'new', tokenChanged, tokenChanged(null, token, cause)],
  ['token.revoked', 'changed', tokenChanged, tokenChanged(token, { ...token, revokedAt: 5_000 }, cause)],
  ['quota.changed', 'changed', quotaChanged, quotaChanged(quota, { ...quota, maximum: 6n, version: 2 }, cause)],
  ['cluster.registered', 'new', clusterRegistered, clusterRegistered({ before: null, after: cluster, ...cause })],
  [
    'cluster.cordoned',
    'changed',
    clusterCordoned,
    clusterCordoned({ before: cluster, after: { ...cluster, cordoned: true }, ...cause }),
  ],
  [
    'cluster.uncordoned',
    'changed',
    clusterCordoned,
    clusterCordoned({ before: { ...cluster, cordoned: true }, after: cluster, ...cause }),
  ],
  ['cluster.lost', 'changed', clusterLost, clusterLost(clusterTo({ lostAt: 5_000 }))],
  ['cluster.found', 'changed', clusterLost, clusterLost({ before: { ...cluster, lostAt: 1 }, after: cluster, ...cause })],
  [
    'cluster.moved',
    'changed',
    clusterMoved,
    clusterMoved({ before: cluster, after: { ...cluster, machineId: 'two' }, ...cause }),
  ],
  ['cluster.updated', 'changed', clusterUpdated, clusterUpdated(clusterTo({ config: null }), ['access'])],
  ['cluster.removed', 'changed', clusterRemoved, clusterRemoved(clusterTo({ removedAt: 5_000 }))],
  [
    'cluster.unreachable',
    'changed',
    clusterUnreachable,
    clusterUnreachable(clusterTo({ conditions: [condition] }), 'No answer.'),
  ],
  ['cluster.silent', 'changed', clusterSilent, clusterSilent(clusterTo({ conditions: [condition] }), 'For long.')],
  ['cluster.reachable', 'changed', clusterReachable, clusterReachable(clusterTo({ conditions: [condition] }))],
  ['cluster.removals_held', 'changed', removalsHeld, removalsHeld(clusterTo({ heldRemovals: held }), '4 are unknown.')],
  ['cluster.removals_approved', 'changed', removalsApproved, removalsApproved(clusterTo({ heldRemovals: held }))],
  ['cluster.rebuild_started', 'changed', clusterRebuilding, clusterRebuilding(clusterTo({ rebuilds: 1 }))],
  [
    'ledger.invariant_violated',
    'changed',
    invariantViolated,
    invariantViolated(
      { ...owner, replicaId: 'replica', deploymentId: 'deployment' } as never,
      { promise: 'minute', minute: 0, expected: 1n, found: 2n } as never,
      5_000,
    ),
  ],
  [
    'ledger.invariant_violated',
    'changed',
    nodeInvariantViolated,
    nodeInvariantViolated(
      { nodeId: 'node', clusterId: 'cluster', name: 'one' },
      { promise: 'hour', minute: 0, expected: 1n, found: 2n },
      5_000,
    ),
  ],
];

describe('Every type of event', () => {
  test.each(TABLE.map(([type, story, , made]) => [type, story, [made].flat()] as const))(
    '%s tells of its subject that it is %s, in before and after',
    (type, story, drafts) => {
      expect(drafts.map((draft) => draft.type)).toEqual([type]);
      const [draft] = drafts;
      if (!draft) throw new Error('no event');
      expect(draft.type).toMatch(/^[a-z_]+\.[a-z_]+$/);
      expect(draft.message).toMatch(/^\S.*\.$/);
      expect(draft.at).toBe(cause.at);
      expect([draft.before === null, draft.after === null]).toEqual([story === 'new', story === 'gone']);
      expect(draft.before).not.toEqual(draft.after);
      expect(JSON.parse(JSON.stringify([draft.before, draft.after]))).toEqual([draft.before, draft.after]);
    },
  );

  test.each(
    TABLE.filter(([type]) => /^(deployment|scaling|rollout|replica)\./.test(type)).map(
      ([type, , , made]) => [type, [made].flat()] as const,
    ),
  )('%s belongs to its deployment, project and team', (_type, [draft]) => {
    expect(draft).toMatchObject({ ...owner, deploymentId: 'deployment' });
  });

  test('the table knows every constructor', async () => {
    const src = join(import.meta.dirname, '..', '..', 'src');
    const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.events.ts'));
    expect(files.length).toBeGreaterThan(4);
    for (const file of files) {
      const module = (await import(pathToFileURL(join(src, file)).href)) as Record<string, unknown>;
      for (const [name, constructor] of Object.entries(module))
        expect(
          TABLE.some(([, , known]) => known === constructor),
          `${file}: ${name}`,
        ).toBe(true);
    }
  });
});
