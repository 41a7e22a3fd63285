// Caches on a real, bare API server, seen through a proxy that drops, repeats, reorders, cuts, stalls and garbles what a watch sends.
// Writes go to the server directly. Every case ends with the cache holding what the server holds.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ConfigMap } from '../../src/kubernetes/api/objects.ts';
import type { CacheLimits } from '../../src/kubernetes/watch/resource-cache.ts';
import type { Change } from '../../src/kubernetes/watch/resource-state.ts';
import { distrust } from '../../src/kubernetes/watch/trust.ts';
import { eventually } from '../support/eventually.ts';
import { onList, onWatch, type Fault } from '../support/fault-proxy.ts';
import { clock, statusBody } from '../support/kubernetes-world.ts';
import { WatchedConfigMaps, type Watched } from '../support/watched-config-maps.ts';
import { startBareApiServer, type BareApiServer } from './cluster/bare-api-server.ts';

let server: BareApiServer;
let maps: WatchedConfigMaps;
let count = 0;

beforeAll(async () => {
  server = await startBareApiServer();
});
afterAll(() => server.stop());
beforeEach(async () => {
  maps = await WatchedConfigMaps.open(server.kubeconfig, `watch-${(count += 1)}`);
});
afterEach(() => maps.close());

describe('Cluster adapter: a cache follows the server', () => {
  it('shows what is made, changed and deleted, each once and with its last state', async () => {
    await maps.put('old', '1');
    const view = maps.watched();
    await view.cache.synced();
    expect(view.values()).toEqual({ old: '1' });
    await maps.put('new', '1');
    await maps.put('old', '2');
    await view.is({ new: '1', old: '2' });
    const deletions: Change<ConfigMap>[] = [];
    view.cache.onChange((changes) => deletions.push(...changes));
    const before = clock.now();
    await maps.remove('old');
    await view.is({ new: '1' });
    expect(view.told).toEqual(['added old', 'added new', 'changed old', 'deleted old']);
    const [deletion] = deletions;
    expect(deletion).toMatchObject({ kind: 'deleted', watched: true, object: { data: { value: '2' } } });
    expect(deletion?.kind === 'deleted' && deletion.heardAt >= before).toBe(true);
    expect([maps.lists(), distrust(view.cache.freshness(), clock.now())]).toEqual([1, null]);
  });

  it('goes on where a watch ended in good order, without listing again', async () => {
    const view = maps.watched({ watchMs: 1_000 });
    await view.cache.synced();
    await eventually(() => maps.watches() >= 3);
    await maps.put('a', '1');
    await view.is({ a: '1' });
    expect([maps.lists(), view.cache.freshness().error]).toEqual([1, null]);
  });

  it('shows what a write answered before the watch tells it, and tells it once', async () => {
    const dropped: string[] = [];
    maps.world.proxy.fail({ on: onWatch, fault: { kind: 'lines', edit: (line) => (dropped.push(line), []) } });
    const view = maps.watched();
    await view.cache.synced();
    await eventually(() => maps.watches() === 1);
    const answer = await maps.put('a', '1');
    view.cache.note(answer);
    view.cache.note(answer);
    expect(view.values()).toEqual({ a: '1' });
    await eventually(() => dropped.length > 0);
    expect(view.told).toEqual(['added a']);
  });
});

describe('Fault: watch events dropped, repeated, reordered, 410, silent stall', () => {
  const broken = (
    name: string,
    fault: () => Fault,
    body: (view: Watched) => Promise<void>,
    limits: Partial<CacheLimits> = {},
  ): void =>
    it(name, async () => {
      maps.world.proxy.fail({ on: onWatch, times: 1, fault: fault() });
      await maps.put('a', '1');
      const view = maps.watched(limits);
      await view.cache.synced();
      await eventually(() => maps.watches() === 1);
      await body(view);
    });

  broken(
    'dropped events are found by the next resync',
    () => ({ kind: 'lines', edit: () => [] }),
    async (view) => {
      await maps.put('a', '2');
      await maps.put('b', '1');
      await eventually(() => maps.lists() >= 2);
      await view.is({ a: '2', b: '1' });
      expect(view.told).toEqual(['added a', 'changed a', 'added b']);
      expect(view.cache.freshness().error).toBeNull();
    },
    { resyncMs: 2_000, watchMs: 1_000 },
  );

  broken(
    'repeated events count once',
    () => ({ kind: 'lines', edit: (line) => [line, line, line] }),
    async (view) => {
      await maps.put('a', '2');
      await maps.put('b', '1');
      await maps.remove('a');
      await view.is({ b: '1' });
      await maps.put('end', '1');
      await view.is({ b: '1', end: '1' });
      expect(view.told).toEqual(['added a', 'changed a', 'added b', 'deleted a', 'added end']);
      expect(maps.lists()).toBe(1);
    },
  );

  broken(
    'reordered events end in the server’s state',
    () => {
      const held: string[] = [];
      // Three at a time, the last first.
      return { kind: 'lines', edit: (line) => (held.unshift(line) < 3 ? [] : held.splice(0)) };
    },
    async (view) => {
      await maps.put('a', '2');
      await maps.put('b', '1');
      await maps.remove('b');
      await view.is({ a: '2' });
      await maps.put('a', '3');
      await maps.remove('a');
      await maps.put('a', '4');
      await view.is({ a: '4' });
      expect(maps.lists()).toBe(1);
    },
  );

  const expired = { type: 'ERROR', object: JSON.parse(statusBody(410, 'Expired', 'too old resource version: 1 (2)')) as object };
  for (const [how, fault] of [
    ['told in the watch', { kind: 'answer', status: 200, body: `${JSON.stringify(expired)}\n` }],
    ['as an answer', { kind: 'answer', status: 410, body: statusBody(410, 'Expired', 'too old resource version') }],
  ] as const)
    broken(
      `a version that is too old (410, ${how}) is no trouble: it is listed again at once`,
      () => fault,
      async (view) => {
        await maps.put('b', '1');
        await view.is({ a: '1', b: '1' });
        await eventually(() => maps.lists() === 2 && maps.watches() === 2);
        expect(view.cache.freshness().error).toBeNull();
      },
    );

  broken(
    'a watch that falls silent is given up and the gap is closed by a list',
    () => ({ kind: 'stall', after: 0 }),
    async (view) => {
      await maps.put('b', '1');
      await view.is({ a: '1', b: '1' });
      expect(maps.lists()).toBe(2);
      await eventually(() => maps.watches() >= 2);
    },
    { watchMs: 1_000, graceMs: 500 },
  );

  broken(
    'a watch that is cut within an event gives no half of it',
    () => ({ kind: 'cut', afterBytes: 100 }),
    async (view) => {
      await maps.put('a', '2');
      await view.is({ a: '2' });
      expect([view.told, maps.lists()]).toEqual([['added a', 'changed a'], 2]);
    },
  );

  broken(
    'garbage in a watch is thrown away with it',
    () => ({ kind: 'lines', edit: (line) => [line.replace('"metadata"', '"metadat"'), 'x'] }),
    async (view) => {
      await maps.put('a', '2');
      await view.is({ a: '2' });
      expect(maps.lists()).toBe(2);
    },
  );

  broken(
    'a watch that always ends as soon as it begins does not make us hammer the server',
    () => ({ kind: 'answer', status: 200 }),
    async (view) => {
      maps.world.proxy.fail({ on: onWatch, fault: { kind: 'answer', status: 200 } });
      await eventually(() => view.cache.freshness().error !== null && maps.watches() >= 4);
      const [began, before] = [clock.now(), maps.watches()];
      await eventually(() => clock.now() - began > 2_000);
      // 400 ms at most between two, half of it at least.
      expect(maps.watches() - before).toBeLessThanOrEqual(11);
      maps.world.proxy.heal();
      await eventually(() => view.cache.freshness().error === null);
    },
  );
});

describe('Cluster adapter: a list of many pages', () => {
  const MANY = 1_050;
  const fill = async (): Promise<void> => {
    await Promise.all(Array.from({ length: MANY }, (_, n) => maps.put(`m${n}`, '1')));
  };
  const onPage = (page: number) => {
    let at = 0;
    return (seen: { method: string; watch: boolean; url: string }): boolean =>
      onList({ ...seen, authorization: '' }) && (at += 1) === page;
  };

  it('is taken in whole or not at all: a page that fails shows nothing of it', async () => {
    await fill();
    const view = maps.watched();
    await view.cache.synced();
    expect([view.cache.items().size, maps.lists()]).toEqual([MANY, 3]);
    await Promise.all([maps.remove('m0'), maps.remove('m1')]);
    await eventually(() => view.cache.items().size === MANY - 2);
    view.told.length = 0;

    maps.world.proxy.fail({
      on: ({ url, watch }) => !watch && url.includes('continue='),
      fault: { kind: 'answer', status: 200, body: '{"items":[' },
    });
    view.cache.resync();
    await eventually(() => view.cache.freshness().error !== null);
    expect([view.cache.items().size, view.told]).toEqual([MANY - 2, []]);
    maps.world.proxy.heal();
    await eventually(() => view.cache.freshness().error === null);
    expect([view.cache.items().size, view.told]).toEqual([MANY - 2, []]);

    // A continuation that has expired: from the first page, at once.
    const before = maps.lists();
    const body = statusBody(410, 'Expired', 'The provided continue parameter is too old');
    maps.world.proxy.fail({ on: onPage(2), times: 1, fault: { kind: 'answer', status: 410, body } });
    view.cache.resync();
    await eventually(() => maps.lists() === before + 5);
    await eventually(() => maps.watches() >= 3);
    expect([view.cache.items().size, view.told, view.cache.freshness().error]).toEqual([MANY - 2, [], null]);
  });
});
