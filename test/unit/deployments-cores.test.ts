// Tables: state before, what is known, wanted state after; and properties of what is observed. Pure functions, no I/O.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { allowedActions, type ActionState } from '../../src/deployments/allowed-actions.ts';
import type { ObservedReplica, ReplicaState } from '../../src/deployments/cluster.port.ts';
import { checkTraffic, type Deployment } from '../../src/deployments/deployment.ts';
import { observeReplicas } from '../../src/deployments/observe-replicas.ts';
import type { Replica, Workload } from '../../src/deployments/replica.ts';
import {
  advanceRollout,
  effectiveWeights,
  paceOf,
  type Rollout,
  type RolloutFacts,
  type RolloutState,
} from '../../src/deployments/rollout.ts';

const PACE = { stepMs: 100, progressDeadlineMs: 1_000 };

const rollout = (state: RolloutState, more: Partial<Rollout> = {}): Rollout => ({
  ...{
    id: 'r',
    teamId: 't',
    projectId: 'p',
    deploymentId: 'd',
    fromRevisionId: 'one',
    toRevisionId: 'two',
    toRevision: 2,
    fromWeights: [{ revision: 1, weight: 100 }],
  },
  ...{ state, step: 0, stepStartedAt: 0, reason: null, startedAt: 0, endedAt: null, version: 1 },
  ...more,
});

const good: RolloutFacts = {
  observed: true,
  told: true,
  lost: false,
  desired: 2,
  serving: 2,
  failing: null,
  erring: null,
  leftover: 1,
};
/** Somebody deleted everything there: neither the workload nor its replicas are to be seen. */
const wiped = { told: false, lost: true, serving: 0 };
const first = { fromWeights: [], fromRevisionId: null };

describe('Rollout: how long a new revision may take', () => {
  const places = [{ cluster: 'east', pool: 't4', weight: 1 }];
  test.each<[string, Parameters<typeof paceOf>[1], number]>([
    ['nothing asked for', { placement: {} }, 180_000],
    ['less than usual', { readinessTimeoutMs: 5_000, placement: {} }, 180_000],
    ['a large model that takes half an hour', { readinessTimeoutMs: 1_800_000, placement: {} }, 1_860_000],
    ['a machine that must be rented first', { placement: { places } }, 780_000],
    ['both', { readinessTimeoutMs: 1_800_000, placement: { places } }, 2_460_000],
  ])('%s', (_, spec, deadline) => {
    expect(paceOf({ ...PACE, progressDeadlineMs: 180_000 }, spec)).toEqual({ ...PACE, progressDeadlineMs: deadline });
  });
});

describe('Rollout: what follows from what is known', () => {
  test.each<[string, [Rollout, Partial<RolloutFacts>, number], string]>([
    ['not all are ready', [rollout('starting'), { serving: 1 }, 50], 'starting 0'],
    ['all are ready', [rollout('starting'), {}, 50], 'shifting 0'],
    ['all are ready and there was nothing before', [rollout('starting', first), {}, 50], 'draining 0'],
    ['too late', [rollout('starting'), { serving: 1 }, 1_000], 'rolling_back 0'],
    ['too late and there was nothing before', [rollout('starting', first), { serving: 1 }, 1_000], 'failed 0 ended'],
    [
      'late, but the cluster has not heard of it',
      [rollout('starting'), { serving: 0, told: false }, 1_000],
      'starting 0 since 1000',
    ],
    ['wiped, however late', [rollout('starting'), wiped, 1_000], 'starting 0 since 1000'],
    ['wiped, and there was nothing before', [rollout('starting', first), wiped, 1_000], 'starting 0 since 1000'],
    ['wiped while shifting', [rollout('shifting', { step: 1 }), wiped, 10], 'starting 1'],
    ['wiped while shifting: callers met errors', [rollout('shifting'), { ...wiped, erring: '9 of 20' }, 10], 'starting 0'],
    ['wiped in part', [rollout('shifting'), { ...wiped, serving: 1, erring: '9 of 20' }, 10], 'shifting 0'],
    ['wiped, and refused when it is told again', [rollout('shifting'), { told: false, failing: 'no' }, 10], 'rolling_back 0'],
    ['wiped while draining', [rollout('draining'), wiped, 10], 'draining 0'],
    ['it fails', [rollout('starting'), { serving: 0, failing: 'exit 1' }, 50], 'rolling_back 0'],
    ['the cluster cannot be seen', [rollout('starting'), { observed: false, serving: 0 }, 9_999], 'starting 0'],
    ['the step is not over', [rollout('shifting'), {}, 99], 'shifting 0'],
    ['the step is over', [rollout('shifting'), {}, 100], 'shifting 1'],
    ['the step is over, one replica is away', [rollout('shifting'), { serving: 1 }, 100], 'shifting 0'],
    ['the last step is over', [rollout('shifting', { step: 1 }), {}, 100], 'draining 2'],
    ['errors', [rollout('shifting'), { erring: '9 of 20' }, 10], 'rolling_back 0'],
    ['all replicas are lost', [rollout('shifting'), { serving: 0 }, 10], 'rolling_back 0'],
    ['the cluster cannot be seen while shifting', [rollout('shifting'), { observed: false, serving: 0 }, 9_999], 'shifting 0'],
    ['something of the old one is left', [rollout('draining'), {}, 9_999], 'draining 0'],
    ['nothing of the old one is left', [rollout('draining'), { leftover: 0 }, 10], 'done 0 ended'],
    ['something of the new one is left', [rollout('rolling_back'), {}, 9_999], 'rolling_back 0'],
    ['nothing of the new one is left', [rollout('rolling_back'), { leftover: 0 }, 10], 'rolled_back 0 ended'],
    ['hibernated from the beginning', [rollout('starting'), { desired: 0, serving: 0 }, 50], 'draining 0'],
    ['hibernated on the way', [rollout('shifting'), { desired: 0, serving: 0 }, 10], 'draining 2'],
    ['it is over', [rollout('done', { endedAt: 5 }), { failing: 'exit 1' }, 9_999], 'done 0 ended'],
  ])('%s', (_name, [before, facts, now], wanted) => {
    const after = advanceRollout(before, { ...good, ...facts }, PACE, now);
    const since =
      after.state === before.state && after.stepStartedAt !== 0 && after.step === before.step
        ? ` since ${after.stepStartedAt}`
        : '';
    expect(`${after.state} ${after.step}${after.endedAt === null ? '' : ' ended'}${since}`).toBe(wanted);
  });

  test('wipes alone never end one: it goes on and comes to its end, whenever and however often they come', () => {
    // Ready within half of the deadline, the least that is left of it after a time that nobody was told: the slowest takes four looks.
    const steps = fc.array(fc.record({ dt: fc.integer({ min: 1, max: 120 }), wiped: fc.boolean() }), { maxLength: 60 });
    fc.assert(
      fc.property(steps, fc.boolean(), fc.integer({ min: 1, max: 3 }), (turns, hadNone, slow) => {
        const calm = Array.from({ length: 40 }, () => ({ dt: 100, wiped: false }));
        let now = 0;
        let passesTold = 0;
        let state = rollout('starting', hadNone ? first : {});
        for (const turn of [...turns, ...calm]) {
          now += turn.dt;
          const lost = turn.wiped && passesTold > 0;
          passesTold = turn.wiped ? 0 : passesTold + 1;
          const serving = passesTold > slow ? 2 : 0;
          const erring = turn.wiped ? 'its callers met errors' : null;
          const leftover = state.state === 'draining' && serving === 2 ? 0 : 1;
          state = advanceRollout(state, { ...good, told: passesTold > 0, lost, serving, erring, leftover }, PACE, now);
          expect(['rolling_back', 'rolled_back', 'failed']).not.toContain(state.state);
        }
        expect(state).toMatchObject({ state: 'done', reason: null });
      }),
    );
  });

  test.each<[Rollout | null, string]>([
    [null, '2:100'],
    [rollout('starting'), '1:100'],
    [rollout('starting', first), '2:100'],
    [rollout('shifting'), '1:90 2:10'],
    [rollout('shifting', { step: 1 }), '1:50 2:50'],
    [
      rollout('shifting', {
        fromWeights: [
          { revision: 1, weight: 34 },
          { revision: 3, weight: 66 },
        ],
      }),
      '1:31 3:59 2:10',
    ],
    [rollout('draining'), '2:100'],
    [rollout('rolling_back'), '1:100'],
    [rollout('superseded', { endedAt: 1 }), '2:100'],
  ])('weights %#', (under, wanted) => {
    const weights = effectiveWeights([{ revision: 2, weight: 100 }], under);
    expect(weights.map(({ revision, weight }) => `${revision}:${weight}`).join(' ')).toBe(wanted);
  });

  test('weights sum to 100 at every step, whatever they were before', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 0, max: 2 }),
        (parts, step) => {
          const sum = parts.reduce((all, part) => all + part, 0);
          fc.pre(sum < 100);
          const fromWeights = [...parts, 100 - sum].map((weight, index) => ({ revision: index + 3, weight }));
          expect(checkTraffic(effectiveWeights([], rollout('shifting', { fromWeights, step })))).toBeNull();
        },
      ),
    );
  });
});

const deployment: Deployment = {
  ...{
    id: 'd',
    teamId: 't',
    projectId: 'p',
    teamName: 'acme',
    projectName: 'demo',
    name: 'digits',
    generation: 1,
    version: 1,
    observedGeneration: 1,
  },
  spec: {
    ...{
      model: 'digits',
      version: { latest: true },
      replicas: 1,
      resources: null,
      concurrency: 1,
      deadlineMs: 1,
      queueLimit: 1,
      retryable: false,
      hosts: [],
    },
    ...{
      maxReplicas: 9,
      maxSpendPerHour: 1n,
      placement: { regions: [], capacityTypes: [] },
      traffic: [
        { revision: 1, weight: 60 },
        { revision: 2, weight: 40 },
      ],
    },
  },
  ...{ phase: 'READY', conditions: [], createdAt: 0, createdBy: 'x', updatedAt: 0, deletedAt: null, goneAt: null },
};

describe('Allowed actions: one table', () => {
  test.each<[string, Partial<ActionState>, string]>([
    ['ready', {}, 'DEPLOY SET_TRAFFIC ROLLBACK SCALE DELETE'],
    ['one revision', { revisions: 1 }, 'DEPLOY SCALE DELETE'],
    ['a rollout is under way', { rollout: rollout('shifting') }, 'DEPLOY ROLLBACK SCALE DELETE'],
    ['it is rolling back', { rollout: rollout('rolling_back') }, 'DELETE'],
    ['deleting', { deployment: { ...deployment, deletedAt: 1 } }, ''],
    ['no right', { mayWrite: false }, ''],
  ])('%s', (_name, more, wanted) => {
    const actions = allowedActions({ deployment, revisions: 2, rollout: null, manager: null, mayWrite: true, ...more });
    expect(
      actions
        .filter(({ allowed }) => allowed)
        .map(({ action }) => action)
        .join(' '),
    ).toBe(wanted);
    expect(actions.every(({ allowed, reason }) => allowed === (reason === null))).toBe(true);
  });
});

const workload: Workload = {
  ...{
    id: 'w',
    teamId: 't',
    projectId: 'p',
    deploymentId: 'd',
    revisionId: 'rev1',
    clusterId: 'c',
    poolId: 'pool',
    poolName: 'default',
    clusterName: 'c',
    seenGeneration: null,
    seenProblem: null,
    capacityType: 'on_demand' as const,
    nodeSelector: {},
    offeringId: 'o',
  },
  ...{ replicas: 1, generation: 1, createdAt: 0, removedAt: null, goneAt: null },
};

const observed = (transitions: readonly [number, ReplicaState][], more: Partial<ObservedReplica> = {}): ObservedReplica => ({
  ...{
    replicaId: 'x',
    workloadId: 'w',
    revisionId: 'rev1',
    state: transitions.at(-1)?.[1] ?? 'starting',
    address: 'h:1',
    capacityFrom: 10,
    capacityUntil: null,
  },
  ...{
    untilEstimated: false,
    transitions: transitions.map(([at, state]) => ({ at, state, estimated: false })),
    restarts: 0,
    message: '',
    failing: false,
  },
  ...more,
});

const see = (known: readonly Replica[], replicas: readonly ObservedReplica[] | null, seenAt: number | null = null) =>
  observeReplicas({
    observation: replicas && { observedAt: 1_000, workloads: [], replicas },
    known,
    workloads: new Map([['w', workload]]),
    seenAt,
  });

describe('Observation: rows from what the cluster says', () => {
  const born = see([], [observed([[10, 'starting']])])[0]!.after;

  test('a new replica has its whole history', () => {
    const [change] = see(
      [],
      [
        observed([
          [10, 'starting'],
          [20, 'serving'],
        ]),
      ],
    );
    expect(change).toMatchObject({ before: null, after: { state: 'serving', transitions: 2, stateSince: 20, capacityFrom: 10 } });
    expect(change?.appended.map(({ n, at, state }) => [n, at, state])).toEqual([
      [0, 10, 'starting'],
      [1, 20, 'serving'],
    ]);
  });

  test('nothing new is no change; nothing seen is no change', () => {
    expect(see([born], [observed([[10, 'starting']])])).toEqual([]);
    expect(see([born], null)).toEqual([]);
  });

  test('a replica of a workload that nobody knows is left alone', () => {
    expect(see([], [observed([[10, 'starting']], { workloadId: 'foreign' })])).toEqual([]);
  });

  test('one that a complete observation does not have is gone, at the last evidence, estimated', () => {
    expect(see([born], [], 700)[0]?.after).toMatchObject({
      capacityUntil: 1_000 - 0 > 700 ? born.lastEvidenceAt : 700,
      untilEstimated: true,
    });
    expect(see([{ ...born, lastEvidenceAt: 500 }], [], 700)[0]?.after.capacityUntil).toBe(700);
  });

  test.each<[string, [number, ReplicaState][], { at: number; state: ReplicaState; estimated: boolean }[]]>([
    ['tells what is later', [[900, 'unready']], [{ at: 900, state: 'unready', estimated: false }]],
    ['tells nothing new', [[20, 'serving']], []],
    ['is in another state and cannot say since when', [[10, 'unready']], [{ at: 1_000, state: 'unready', estimated: true }]],
    [
      'tells two later ones after one that is known',
      [
        [20, 'serving'],
        [900, 'unready'],
        [950, 'serving'],
      ],
      [
        { at: 900, state: 'unready', estimated: false },
        { at: 950, state: 'serving', estimated: false },
      ],
    ],
  ])('a cluster whose watcher was started anew %s', (_what, history, appended) => {
    const serving = see(
      [],
      [
        observed([
          [10, 'starting'],
          [20, 'serving'],
        ]),
      ],
    )[0]!.after;
    const told = see([serving], [observed(history)])[0]?.appended ?? [];
    expect(told.map(({ at, state, estimated }) => ({ at, state, estimated }))).toEqual(appended);
  });

  test('whatever the times, transitions never go back and the end is not before them', () => {
    const states = fc.constantFrom<ReplicaState>('starting', 'serving', 'unready', 'draining');
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 2_000 }), states), { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 0, max: 2_000 }),
        (history, until) => {
          const half = Math.ceil(history.length / 2);
          const before = see([], [observed(history.slice(0, half))])[0]!;
          const after = see([before.after], [observed(history, { capacityUntil: until })])[0]!;
          const times = [...before.appended, ...after.appended].map(({ at }) => at);
          expect(times).toEqual([...times].sort((a, b) => a - b));
          expect(after.after.capacityUntil).toBeGreaterThanOrEqual(times.at(-1)!);
          expect([...before.appended, ...after.appended].map(({ n }) => n)).toEqual(history.map((_, n) => n));
        },
      ),
    );
  });
});
