// Tables of inputs and verdicts for the router's pure decisions; the usage window as a property over random attempts.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseReplica } from '../../src/dataplane/choose-replica.ts';
import { mayRetry, type FailedAttempt } from '../../src/dataplane/decide-retry.ts';
import { headersForCaller, headersForReplica } from '../../src/dataplane/headers.ts';
import { makeRouteIndex, matchRoute } from '../../src/dataplane/match-route.ts';
import { isEjected, newHealth, noteOutcome } from '../../src/dataplane/outlier-ejection.ts';
import { RetryBudget } from '../../src/dataplane/retry-budget.ts';
import { stampOf } from '../../src/dataplane/stamp.ts';
import { judgeTable } from '../../src/dataplane/table-guard.ts';
import { UsageWindow } from '../../src/dataplane/usage-window.ts';
import { parseRouteTable } from '../../src/traffic/router-contract/parse-route-table.ts';
import { deployment, replica, revision, table } from '../support/routed.ts';

const one = deployment('a/b/c', [], { hosts: ['one.example'] });
const two = deployment('a/b/d', []);
const hidden = deployment('x/y/z', [], { hosts: ['hidden.example'] });
const index = makeRouteIndex([one, two, hidden]);
const ask = (target: string, host?: string, header?: string) => {
  const match = matchRoute(index, { target, host, deployment: header }, (row) => row !== hidden);
  return match.kind === 'found' ? `${match.deployment.path} ${match.rest}` : match.kind;
};

describe('Router: finds the deployment by path, Host and Purser-Deployment', () => {
  it.each([
    ['/a/b/c', undefined, undefined, 'a/b/c /'],
    ['/a/b/c?x=1', undefined, undefined, 'a/b/c /?x=1'],
    ['/a/b/c/v2//x%2Fy?q', undefined, undefined, 'a/b/c /v2//x%2Fy?q'],
    ['/v2/models/m/infer', 'one.example:8080', undefined, 'a/b/c /v2/models/m/infer'],
    ['/a/b/c/v2', 'one.example', 'a/b/c', 'a/b/c /v2'],
    ['/v1', undefined, 'a/b/d', 'a/b/d /v1'],
    ['/a/b/d/v2', 'one.example', undefined, 'malformed'],
    ['/a/b/d/v2', undefined, 'a/b/c', 'malformed'],
    ['/v1', 'one.example', 'a/b/d', 'malformed'],
    ['/v1', 'one.example', 'x/y/z', 'absent'],
    ['/x/y/z/v1', undefined, undefined, 'absent'],
    ['/no/such/one', undefined, undefined, 'absent'],
    ['/v1', 'hidden.example', undefined, 'absent'],
    ['/a%2fb/c/d', undefined, undefined, 'malformed'],
    ['/a/b%5Cc/d', undefined, undefined, 'malformed'],
    ['//b/c/d', undefined, undefined, 'malformed'],
    ['/a//c/d', undefined, undefined, 'malformed'],
    ['/a/./b/c', undefined, undefined, 'malformed'],
    ['/a/b/c/../d', undefined, undefined, 'malformed'],
    ['/a/b/c/%2e%2E/d', undefined, undefined, 'malformed'],
    ['/a/b/c/..%2fd', undefined, undefined, 'malformed'],
    ['http://x/a/b/c/v2?q', undefined, undefined, 'a/b/c /v2?q'],
    ['http://one.example/v2', 'x', undefined, 'a/b/c /v2'],
    ['http://one.example', 'x', undefined, 'a/b/c /'],
    ['http://127.0.0.1:1/secret', undefined, 'a/b/d', 'a/b/d /secret'],
    ['http://u@x/v2', undefined, 'a/b/d', 'malformed'],
    ['ftp://x/v2', undefined, 'a/b/d', 'malformed'],
    ['*', undefined, 'a/b/d', 'malformed'],
  ])('%s host %s header %s → %s', (target, host, header, wanted) => {
    expect(ask(target, host, header)).toBe(wanted);
  });
});

describe('Router: a host that two teams claim', () => {
  const first = deployment('a/b/c', [], { deploymentId: '01900000-0000-7000-8000-000000000001', hosts: ['x.example'] });
  const second = deployment('x/y/z', [], { deploymentId: '01900000-0000-7000-8000-000000000002', hosts: ['X.example'] });
  const claimed = makeRouteIndex([second, first]);
  const asked = (maySee: (row: unknown) => boolean, target = '/v1', header?: string) => {
    const match = matchRoute(claimed, { target, host: 'x.example', deployment: header }, maySee);
    return match.kind === 'found' ? `${match.deployment.path} ${match.rest}` : match.kind;
  };

  it('leads each caller to the claim of its own team, and whoever sees both to the older one unless it says which', () => {
    expect(asked((row) => row === first)).toBe('a/b/c /v1');
    expect(asked((row) => row === second)).toBe('x/y/z /v1');
    expect(asked(() => true)).toBe('a/b/c /v1');
    expect(asked(() => true, '/x/y/z/v1')).toBe('x/y/z /v1');
    expect(asked(() => true, '/v1', 'x/y/z')).toBe('x/y/z /v1');
    expect(asked(() => false)).toBe('absent');
  });
});

describe('Router: headers', () => {
  it('lets through the allow-list only, and never a credential', () => {
    const raw = [
      'Authorization',
      'Bearer t',
      'X-Api-Key',
      'k',
      'Cookie',
      'c',
      'Content-Type',
      'a/b',
      'X-Mine',
      '1',
      'Purser-Cost',
      '1',
      'X-Hop',
      '2',
      'Host',
      'h',
    ];
    expect(headersForReplica(raw, 'x-hop')).toEqual(['Content-Type', 'a/b', 'X-Mine', '1']);
  });
  it("drops a replica's own Purser headers and those of the connection", () => {
    expect(headersForCaller(['Connection', 'x-hop', 'X-Hop', '1', 'Purser-Cost', '0', 'Keep-Alive', '5', 'ETag', 'e'])).toEqual([
      'ETag',
      'e',
    ]);
  });
});

describe('Router: weighted revisions, least-loaded replica', () => {
  const of = (weight: number, loads: readonly number[], more: { ejected?: boolean; tried?: boolean } = {}) => ({
    revision: { weight, concurrency: 2 },
    candidates: loads.map((inFlight) => ({ inFlight, ejected: false, tried: false, rank: null, ...more })),
  });
  it('splits by weight, passes over ejected and tried, waits when all slots are taken', () => {
    const [stable, canary] = [of(90, [0]), of(10, [1])];
    expect(chooseReplica([stable, canary], 0.89)).toEqual({ kind: 'chosen', candidate: stable.candidates[0] });
    expect(chooseReplica([stable, canary], 0.91)).toEqual({ kind: 'chosen', candidate: canary.candidates[0] });
    expect(chooseReplica([of(100, [1, 0, 1])], 0.5)).toMatchObject({ candidate: { inFlight: 0 } });
    expect(chooseReplica([of(90, [0], { ejected: true }), canary], 0.1)).toEqual({
      kind: 'chosen',
      candidate: canary.candidates[0],
    });
    expect(chooseReplica([of(100, [0], { tried: true })], 0.1)).toMatchObject({ kind: 'chosen' });
    expect(chooseReplica([of(100, [2, 2])], 0.1)).toEqual({ kind: 'busy' });
    expect(chooseReplica([of(0, [0]), of(100, [])], 0.1)).toEqual({ kind: 'none' });
  });
});

describe('Router: groups of replicas with weights and a failover order', () => {
  const groupsOf = fc.array(
    fc.record({
      weight: fc.integer({ min: 0, max: 10 }),
      order: fc.integer({ min: 0, max: 2 }),
      replicas: fc.array(fc.record({ ejected: fc.boolean(), tried: fc.boolean() }), { maxLength: 4 }),
    }),
    { minLength: 1, maxLength: 5 },
  );
  type Drawn = typeof groupsOf extends fc.Arbitrary<infer G> ? G : never;

  /** How often each group was chosen in so many draws, spread evenly. */
  function draw(groups: Drawn, draws: number): number[] {
    const candidates = groups.flatMap((rank, index) => rank.replicas.map((one) => ({ ...one, inFlight: 0, rank, index })));
    const counts = groups.map(() => 0);
    for (let i = 0; i < draws; i += 1) {
      const choice = chooseReplica([{ revision: { weight: 100, concurrency: 1 }, candidates }], (i + 0.5) / draws);
      if (choice.kind === 'chosen') counts[choice.candidate.index]! += 1;
    }
    return counts;
  }

  it('the lowest order that can serve takes all, shared by weight; without a weight only where nobody else is left', () => {
    fc.assert(
      fc.property(groupsOf, (groups) => {
        const able = groups.map(({ replicas }) => replicas.some((one) => !one.ejected && !one.tried));
        fc.pre(able.includes(true));
        const weighted = groups.filter(({ weight }, index) => able[index] && weight > 0);
        const nearest = Math.min(...weighted.map(({ order }) => order));
        const takers = groups.map(({ weight, order }, index) =>
          able[index] && (weighted.length > 0 ? weight > 0 && order === nearest : true) ? Math.max(1, weight) : 0,
        );
        const shares = weighted.length > 0 ? takers : takers.map(Math.sign);
        const total = shares.reduce((sum, share) => sum + share, 0);
        const draws = 1_000;
        draw(groups, draws).forEach((count, index) => {
          expect(Math.abs(count - (draws * shares[index]!) / total)).toBeLessThanOrEqual(1);
        });
      }),
    );
  });

  it('shares of groups and of revisions are independent of each other', () => {
    const two = [
      { weight: 3, order: 0 },
      { weight: 1, order: 0 },
    ];
    const revision = { weight: 50, concurrency: 1 };
    const candidates = two.map((rank) => ({ ejected: false, tried: false, inFlight: 0, rank }));
    const seen = new Map<unknown, number>();
    const revisions = [0, 1].map((number) => ({ revision, candidates: candidates.map((one) => ({ ...one, number })) }));
    for (let i = 0; i < 800; i += 1) {
      const choice = chooseReplica(revisions, (i + 0.5) / 800);
      if (choice.kind !== 'chosen') throw new Error('nobody was chosen');
      const key = `${choice.candidate.number}:${choice.candidate.rank.weight}`;
      seen.set(key, (seen.get(key) ?? 0) + 1);
    }
    expect(Object.fromEntries(seen)).toEqual({ '0:3': 300, '0:1': 100, '1:3': 300, '1:1': 100 });
  });

  it('a group without a free slot leaves its turn to another of its order, and waits before it fails over', () => {
    const of = (order: number, inFlight: number) => ({ ejected: false, tried: false, inFlight, rank: { weight: 1, order } });
    const revision = { weight: 100, concurrency: 1 };
    const free = of(0, 0);
    for (const fraction of [0, 0.5, 0.99])
      expect(chooseReplica([{ revision, candidates: [of(0, 1), free, of(1, 0)] }], fraction)).toMatchObject({ candidate: free });
    expect(chooseReplica([{ revision, candidates: [of(0, 1), of(1, 0)] }], 0.5)).toEqual({ kind: 'busy' });
  });
});

describe('Router: a table of another release', () => {
  const whole = table(1, [
    deployment('a/b/c', [revision([{ ...replica('h:1'), group: 'one' }])], {
      groups: [{ name: 'one', weight: 3, order: 0 }],
      wake: { wished: 2, since: 5, etaMs: null },
    }),
  ]);
  const read = (value: unknown) => parseRouteTable(JSON.parse(JSON.stringify(value)));

  it('is read whole, with what is missing from an older one and without what a newer one adds', () => {
    expect(read(whole)).toEqual(whole);
    const older = table(1, [deployment('a/b/c', [revision([replica('h:1')])])]);
    expect(read(older)).toEqual(older);
    const [row] = older.deployments;
    expect(read({ ...older, more: 1, deployments: [{ ...row, groups: null, wake: null, later: {} }] })).toEqual(older);
  });

  it('is refused by the name of the field where a group is malformed', () => {
    const [row] = whole.deployments;
    const wrong = { ...whole, deployments: [{ ...row, groups: [{ name: 'one', weight: -1, order: 0 }] }] };
    expect(() => read(wrong)).toThrow('deployments[0].groups[0].weight');
  });
});

describe('Router: outlier ejection', () => {
  it('ejects the unreachable at once and the bad after five in a row, for twice as long each time', () => {
    const health = newHealth();
    for (let i = 0; i < 4; i += 1) noteOutcome(health, 'bad', 0);
    expect(isEjected(health, 0)).toBe(false);
    noteOutcome(health, 'bad', 0);
    expect([isEjected(health, 499), isEjected(health, 500)]).toEqual([true, false]);
    noteOutcome(health, 'unreachable', 500);
    expect([isEjected(health, 1499), isEjected(health, 1500)]).toEqual([true, false]);
    noteOutcome(health, 'good', 1500);
    noteOutcome(health, 'unreachable', 1500);
    expect(isEjected(health, 2000)).toBe(false);
  });
});

describe('Router: decides a retry', () => {
  const failed: FailedAttempt = {
    method: 'POST',
    revision: { protocol: 'http', retryable: false },
    attempts: 1,
    sent: 1,
    untried: true,
    written: true,
    replayable: true,
    answered: false,
  };
  it.each([
    [{}, false],
    [{ written: false }, true],
    [{ written: false, replayable: false }, false],
    [{ method: 'GET' }, true],
    [{ revision: { protocol: 'oip', retryable: false } as const }, true],
    [{ revision: { protocol: 'openai', retryable: false } as const }, true],
    [{ revision: { protocol: 'http', retryable: true } as const }, true],
    [{ method: 'GET', answered: true }, false],
    [{ method: 'GET', attempts: 4, sent: 4 }, false],
    [{ written: false, attempts: 31, sent: 3 }, true],
    [{ written: false, attempts: 5, sent: 4 }, false],
    [{ written: false, attempts: 32, sent: 0 }, false],
    [{ written: false, attempts: 4, sent: 0, untried: false }, false],
  ])('%j → %s', (change, wanted) => {
    expect(mayRetry({ ...failed, ...change })).toBe(wanted);
  });
  it('stays within the budget: a fifth of the requests, and ten a second', () => {
    const budget = new RetryBudget(0);
    while (budget.withdraw(0));
    for (let i = 0; i < 10; i += 1) budget.deposit();
    expect([budget.withdraw(0), budget.withdraw(0), budget.withdraw(0)]).toEqual([true, true, false]);
    expect([budget.withdraw(100), budget.withdraw(100)]).toEqual([true, false]);
  });
});

describe('Router: a table that loses half its deployments', () => {
  const rows = Array.from({ length: 100 }, (_, i) => deployment(`a/b/d${i}`, []));
  const full = table(5, rows);
  it.each([
    ['a lower number is refused', table(4, rows), 'stale'],
    ['a new epoch may start lower', table(1, rows, { version: { epoch: 'f', n: 1 } }), 'apply'],
    ['five of a hundred may go', table(6, rows.slice(5)), 'apply'],
    ['six may not', table(6, rows.slice(6)), 'hold'],
    [
      'unless they were deleted',
      table(6, rows.slice(50), { deleted: rows.slice(0, 50).map((row) => ({ deploymentId: row.deploymentId, at: 0 })) }),
      'apply',
    ],
  ])('%s', (_, next, wanted) => {
    expect(judgeTable(full, next).kind).toBe(wanted);
  });
});

describe('Router: usage cut at minutes', () => {
  const group = { replicaId: 'r', callerTeamId: 't', caller: 'c' };
  it('books every microsecond once, however often open attempts are cut', () => {
    const spans = fc.array(fc.tuple(fc.nat(300_000_000), fc.nat(300_000_000)), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(spans, fc.array(fc.nat(600_000_000), { maxLength: 5 }), (attempts, cuts) => {
        const window = new UsageWindow();
        const rows = [];
        for (const [from, length] of attempts) {
          const open = window.begin(group, from);
          for (const cut of cuts.filter((at) => at < from + length).sort((a, b) => a - b)) window.cutOpen(cut);
          rows.push(...window.take());
          window.end(open, { endedUs: from + length, answering: true, error: false, bytesIn: 0, bytesOut: 0, stamp: 1n });
        }
        rows.push(...window.take());
        expect(rows.reduce((sum, row) => sum + row.busyUs, 0)).toBe(attempts.reduce((sum, [, length]) => sum + length, 0));
        expect(rows.reduce((sum, row) => sum + row.requests, 0)).toBe(attempts.length);
        expect(rows.every((row) => row.minute % 60_000 === 0 && row.busyUs <= 60_000_000 * attempts.length)).toBe(true);
      }),
    );
  });
});

describe('Router: the stamp', () => {
  it('is the rate by the time, divided by the concurrency, rounded down', () => {
    expect(stampOf(3_600_000_000_000n, 1_000_000, 1)).toBe(1_000_000_000n);
    expect(stampOf(3_600_000_000_000n, 1_000_000, 16)).toBe(62_500_000n);
    expect(stampOf(1n, 1, 1)).toBe(0n);
  });
});
