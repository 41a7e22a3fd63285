// Pure parts of the local runtime: what is admitted, who goes first, what a history says, which user a project gets.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { WorkloadSpec } from '../../src/deployments/cluster.port.ts';
import { admit } from '../../src/local/admit.ts';
import { freeUid } from '../../src/local/project-users.ts';
import {
  afterFailure,
  becomeReady,
  becomeUnready,
  giveUp,
  newRecord,
  observed,
  startDraining,
  surplus,
  type ReplicaRecord,
} from '../../src/local/replica-record.ts';

const spec: WorkloadSpec = {
  workloadId: 'w',
  generation: 1,
  deploymentId: 'd',
  revisionId: 'r',
  teamId: 'a',
  projectId: 'p',
  teamName: 'a',
  projectName: 'p',
  path: 'a/p/d',
  modelName: 'd',
  modelVersion: '1',
  revisionNumber: 1,
  poolName: 'local',
  capacityType: 'on_demand',
  nodeSelector: {},
  replicas: 1,
  teamReplicaLimit: null,
  adopt: null,
  resources: { cpuMilli: 100, memoryMib: 128, accelerator: null },
  runtime: { format: 'process', command: ['run'], environment: {} },
  protocol: 'oip',
  port: null,
  healthPath: '/',
  readinessTimeoutMs: 1_000,
  drainTimeoutMs: 500,
  concurrency: 1,
};
const onnx: WorkloadSpec['runtime'] = { format: 'onnx', artifactDigest: '', artifactUrl: '', artifactToken: '' };

describe('Local runtime: what it admits', () => {
  const open = { allowProcess: true, isRoot: true, teamIds: [] };
  test.each([
    ['a command where commands are allowed', spec, open, null],
    ['a command where they are not', spec, { ...open, allowProcess: false }, 'PROCESS_NOT_ALLOWED'],
    ['a model where commands are not allowed', { ...spec, runtime: onnx }, { ...open, allowProcess: false }, null],
    ['an empty command', { ...spec, runtime: { format: 'process', command: [], environment: {} } as const }, open, 'NO_COMMAND'],
    [
      'a container',
      { ...spec, runtime: { format: 'container', image: 'i', environment: {} } as const },
      open,
      'NO_CONTAINER_RUNTIME',
    ],
    ['a second team as root', spec, { ...open, teamIds: ['b'] }, null],
    ['a second team as an ordinary user', spec, { ...open, isRoot: false, teamIds: ['b'] }, 'ONE_TEAM_ONLY'],
    ['the same team as an ordinary user', spec, { ...open, isRoot: false, teamIds: ['a'] }, null],
  ])('%s', (_what, wanted, admission, reason) => {
    const refusal = admit(wanted, admission);
    expect(refusal?.outcome === 'refused' ? refusal.reason : null).toBe(reason);
  });
});

describe('Local runtime: the history of a replica', () => {
  const failed = { at: 30, startAt: 40, message: 'it ended', estimated: false, timedOut: false };
  const serving = (id: string, at: number): ReplicaRecord => becomeReady(newRecord(id, spec, at), at + 1);

  test('a crash before it was ever ready is starting, after it unready', () => {
    expect(observed(afterFailure(newRecord('x', spec, 0), failed), 30).state).toBe('starting');
    expect(observed(afterFailure(serving('x', 0), failed), 30)).toMatchObject({ state: 'unready', restarts: 1, failing: false });
  });

  test('three failures in a row, or a readiness time that ran out, are failing; being ready ends it', () => {
    const once = afterFailure(newRecord('x', spec, 0), failed);
    expect([observed(once, 30).failing, observed(once, 1_001).failing]).toEqual([false, true]);
    const thrice = afterFailure(afterFailure(once, failed), failed);
    expect(observed(thrice, 30).failing).toBe(true);
    expect(observed(afterFailure(newRecord('x', spec, 0), { ...failed, timedOut: true }), 30).failing).toBe(true);
    expect(observed(becomeReady(thrice, 50), 50).failing).toBe(false);
  });

  test('one that crashes soon after it is ready is slowed down as if it never was; long service ends the row', () => {
    const flapping = [1, 2, 3].reduce<ReplicaRecord>(
      (before, n) => afterFailure(becomeReady(before, n * 1_000), { ...failed, at: n * 1_000 + 500 }),
      newRecord('x', spec, 0),
    );
    expect(flapping.failures).toBe(3);
    expect(observed(flapping, 4_000).failing).toBe(true);
    const recovered = becomeReady(flapping, 5_000);
    expect(observed(recovered, 5_000).failing).toBe(false);
    expect(afterFailure(recovered, { ...failed, at: 34_999 }).failures).toBe(4);
    expect(afterFailure(recovered, { ...failed, at: 35_000 }).failures).toBe(1);
  });

  test('time never runs backwards, whatever the clock does', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(3), fc.nat(1_000))), (steps) => {
        const record = steps.reduce<ReplicaRecord>(
          (before, [step, at]) => {
            if (step === 0) return becomeReady(before, at);
            if (step === 1) return becomeUnready(before, at, 'why');
            return step === 2 ? afterFailure(before, { ...failed, at }) : startDraining(before, at);
          },
          newRecord('x', spec, 500),
        );
        const given = giveUp(record, 0, true);
        const times = [...given.transitions.map((transition) => transition.at), given.capacityUntil!];
        expect(times).toEqual([...times].sort((a, b) => a - b));
      }),
    );
  });

  test('what is not serving goes first, then the youngest; what drains already does not count', () => {
    const records = [
      serving('old', 1),
      serving('young', 5),
      newRecord('starting', spec, 3),
      startDraining(serving('leaving', 9), 10),
    ];
    expect(surplus(records, 1).map((record) => record.replicaId)).toEqual(['starting', 'young']);
    expect(surplus(records, 3)).toEqual([]);
  });
});

describe('Local runtime: a user per project', () => {
  test('the same project gets the same user, two never share one, none is a user of the system', () => {
    const taken = new Set<number>();
    for (let i = 0; i < 1_000; i += 1) taken.add(freeUid('the same project', taken));
    expect(taken.size).toBe(1_000);
    expect(freeUid('p', new Set())).toBe(freeUid('p', new Set()));
    expect(Math.min(...taken)).toBeGreaterThanOrEqual(1_900_000_000);
    expect(Math.max(...taken)).toBeLessThan(2 ** 31);
  });
});
