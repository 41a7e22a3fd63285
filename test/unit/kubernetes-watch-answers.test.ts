// What bytes of an API server mean, without a server: lines of a watch cut at any place, events, errors, Retry-After, paths.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KubernetesError, KubernetesUnreachable } from '../../src/kubernetes/api/errors.ts';
import { readAnswer, retryAfterMs } from '../../src/kubernetes/api/read-answer.ts';
import { apiVersionOf, KUBERNETES_DEPLOYMENTS, NODES, pathOf, PODS } from '../../src/kubernetes/api/resource.ts';
import { LineSplitter } from '../../src/kubernetes/api/split-lines.ts';
import { readWatchLine } from '../../src/kubernetes/api/watch-event.ts';
import { distrust } from '../../src/kubernetes/watch/trust.ts';

const NOW = Date.parse('2026-05-01T12:00:00Z');

describe('Cluster adapter: lines of a watch', () => {
  it('are the same however the bytes are cut, between and within characters', () => {
    const line = fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => !/[\n\ud800-\udfff]/u.test(text));
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.nat()), (lines, cuts) => {
        const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(''));
        const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
        const splitter = new LineSplitter();
        const read = at.slice(1).flatMap((end, n) => splitter.push(bytes.subarray(at[n], end)));
        splitter.end();
        expect(read).toEqual(lines);
      }),
    );
  });

  it('that end within a line are a broken connection', () => {
    const splitter = new LineSplitter();
    expect(splitter.push(Buffer.from('whole\nha'))).toEqual(['whole']);
    expect(() => splitter.end()).toThrow(KubernetesUnreachable);
  });

  it('without end do not fill the memory', () => {
    const splitter = new LineSplitter();
    const mebibyte = Buffer.alloc(1024 * 1024, 'x');
    expect(() => {
      for (let n = 0; n < 9; n += 1) splitter.push(mebibyte);
    }).toThrow(/more than 8388608 characters/);
  });
});

describe('Cluster adapter: an event of a watch', () => {
  const metadata = { name: 'a', namespace: 'team', uid: 'u', resourceVersion: '5' };
  const line = (type: string, object: unknown): string => JSON.stringify({ type, object });

  it('is read with its object', () => {
    expect(readWatchLine(line('ADDED', { metadata, data: {} }))).toEqual({ type: 'ADDED', object: { metadata, data: {} } });
    expect(readWatchLine(line('BOOKMARK', { metadata: { resourceVersion: '9' } }))).toEqual({
      type: 'BOOKMARK',
      resourceVersion: '9',
    });
  });

  it('that is an error is thrown as the server says it', () => {
    const status = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old', details: { retryAfterSeconds: 2 } };
    const thrown = (): unknown => readWatchLine(line('ERROR', status));
    expect(thrown).toThrow(KubernetesError);
    expect(thrown).toThrow(expect.objectContaining({ status: 410, reason: 'Expired', message: 'too old', retryAfterMs: 2_000 }));
  });

  for (const text of [
    'x',
    '[]',
    '{}',
    'null',
    line('ADDED', null),
    line('ADDED', {}),
    line('ADDED', { metadata: { ...metadata, uid: 7 } }),
    line('ADDED', { metadata: { ...metadata, namespace: 7 } }),
    line('BOOKMARK', { metadata: {} }),
    line('SURPRISE', { metadata }),
  ])
    it(`that no API server sends is refused: ${text}`, () => expect(() => readWatchLine(text)).toThrow(KubernetesUnreachable));
});

describe('Cluster adapter: an answer', () => {
  const read = (status: number, body: object | string, retryAfter: string | null = null): unknown =>
    readAnswer({ path: '/api/v1/x', status, retryAfter, text: typeof body === 'string' ? body : JSON.stringify(body) }, NOW);

  it('that refuses says why, with the fields', () => {
    const causes = [{ field: 'spec.replicas', reason: 'FieldValueInvalid', message: 'must be positive' }, 'x'];
    const status = { kind: 'Status', code: 422, reason: 'Invalid', message: 'no', details: { name: 'a', causes } };
    const wanted = { status: 422, reason: 'Invalid', message: 'no', objectName: 'a', causes: [causes[0]], retryAfterMs: null };
    expect(() => read(422, status)).toThrow(expect.objectContaining(wanted));
  });

  it('without a Status is the server’s below 500 and somebody else’s above', () => {
    expect(() => read(404, '404 page not found\n')).toThrow(expect.objectContaining({ reason: 'NoSuchResource' }));
    expect(() => read(401, 'no')).toThrow(expect.objectContaining({ status: 401 }));
    expect(() => read(503, 'busy', '3')).toThrow(expect.objectContaining({ status: 503, retryAfterMs: 3_000 }));
    expect(() => read(504, '<html>')).toThrow(KubernetesUnreachable);
  });

  const pauses: [string | null, number | null][] = [
    [null, null],
    ['0', 0],
    ['7', 7_000],
    [' 7 ', 7_000],
    ['Fri, 01 May 2026 12:00:30 GMT', 30_000],
    ['Fri, 01 May 2026 11:00:00 GMT', 0],
    ['soon', null],
    ['-1', null],
    ['99999999999', null],
  ];
  for (const [header, wanted] of pauses)
    it(`Retry-After ${header ?? 'absent'}: ${wanted ?? 'nothing said'}`, () => expect(retryAfterMs(header, NOW)).toBe(wanted));
});

describe('Cluster adapter: a path', () => {
  it('names group, namespace, object and part, each escaped', () => {
    expect(pathOf(NODES)).toBe('/api/v1/nodes');
    expect(pathOf(PODS, { namespace: 'team', name: 'a' }, 'log')).toBe('/api/v1/namespaces/team/pods/a/log');
    expect(pathOf(PODS, { namespace: null })).toBe('/api/v1/pods');
    expect(pathOf(KUBERNETES_DEPLOYMENTS, { namespace: 'x/../y', name: 'a?b' })).toBe(
      '/apis/apps/v1/namespaces/x%2F..%2Fy/deployments/a%3Fb',
    );
    expect([apiVersionOf(PODS), apiVersionOf(KUBERNETES_DEPLOYMENTS)]).toEqual(['v1', 'apps/v1']);
  });
});

describe('Cluster adapter: held state is trusted', () => {
  const error = new Error('away');
  const rows: [string, Parameters<typeof distrust>[0], string | null][] = [
    ['while the server is heard', { syncedAt: NOW - 200_000, heardAt: NOW - 30_000, error: null, troubledSince: null }, null],
    ['through a trouble of seconds', { syncedAt: NOW - 9_000, heardAt: NOW - 5_000, error, troubledSince: NOW - 5_000 }, null],
    ['not through a longer one', { syncedAt: NOW - 9_000, heardAt: NOW - 6_000, error, troubledSince: NOW - 5_001 }, 'away'],
    [
      'not after a minute of silence',
      { syncedAt: NOW - 90_000, heardAt: NOW - 61_000, error: null, troubledSince: null },
      'nothing heard for 61 s',
    ],
    ['not before it is there', { syncedAt: null, heardAt: null, error: null, troubledSince: null }, 'not seen yet'],
    ['not before it is there, with the reason', { syncedAt: null, heardAt: null, error, troubledSince: NOW }, 'never seen: away'],
  ];
  for (const [name, freshness, wanted] of rows) it(name, () => expect(distrust(freshness, NOW)).toBe(wanted));
});
