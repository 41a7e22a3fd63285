// The core of the list/watch caches, without a server: events and lists are folded into a state. A property deals a random history of a
// small server to it with events dropped, repeated and reordered, then lists: the state must be the server's.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  commit,
  emptyState,
  isOlder,
  nameKey,
  planEvent,
  planList,
  withNoted,
  type Change,
  type Held,
  type ObjectEvent,
  type ResourceState,
} from '../../src/kubernetes/watch/resource-state.ts';

const held = (name: string, uid: string, version: number | string): Held => ({
  metadata: { namespace: 'team', name, uid, resourceVersion: String(version) },
});

const fold = (state: ResourceState<Held>, event: ObjectEvent<Held>): readonly Change<Held>[] => {
  const step = planEvent(state, event, 7);
  commit(state, step);
  return step.changes;
};

const list = (state: ResourceState<Held>, items: readonly Held[]): readonly Change<Held>[] => {
  const step = planList(state, items, 7);
  commit(state, step);
  return step.changes;
};

const kinds = (changes: readonly Change<Held>[]): string[] =>
  changes.map(({ kind, object }) => `${kind} ${object.metadata.uid}@${object.metadata.resourceVersion}`);

const snapshot = (state: ResourceState<Held>): Record<string, string> =>
  Object.fromEntries(
    [...state.byName].map(([key, { metadata }]): [string, string] => [key, `${metadata.uid}@${metadata.resourceVersion}`]).sort(),
  );

describe('Cluster adapter: a cache takes in events', () => {
  const added = (version: number, uid = 'u1'): ObjectEvent<Held> => ({ type: 'ADDED', object: held('a', uid, version) });
  const modified = (version: number, uid = 'u1'): ObjectEvent<Held> => ({ type: 'MODIFIED', object: held('a', uid, version) });
  const deleted = (version: number, uid = 'u1'): ObjectEvent<Held> => ({ type: 'DELETED', object: held('a', uid, version) });
  const rows: { name: string; events: ObjectEvent<Held>[]; changes: string[]; state: Record<string, string> }[] = [
    {
      name: 'in order',
      events: [added(1), modified(2), deleted(3)],
      changes: ['added u1@1', 'changed u1@2', 'deleted u1@3'],
      state: {},
    },
    {
      name: 'repeated: each counts once',
      events: [added(1), added(1), modified(2), modified(2), deleted(3), deleted(3)],
      changes: ['added u1@1', 'changed u1@2', 'deleted u1@3'],
      state: {},
    },
    {
      name: 'an older change after a newer one',
      events: [added(1), modified(3), modified(2)],
      changes: ['added u1@1', 'changed u1@3'],
      state: { 'team/a': 'u1@3' },
    },
    {
      name: 'a change after its deletion',
      events: [added(1), deleted(3), modified(2)],
      changes: ['added u1@1', 'deleted u1@3'],
      state: {},
    },
    { name: 'the deletion before the creation', events: [deleted(3), added(1)], changes: [], state: {} },
    {
      name: 'the creation was dropped',
      events: [modified(2)],
      changes: ['added u1@2'],
      state: { 'team/a': 'u1@2' },
    },
    {
      name: 'the deletion was dropped and the name is used again',
      events: [added(1), added(5, 'u2')],
      changes: ['added u1@1', 'deleted u1@1', 'added u2@5'],
      state: { 'team/a': 'u2@5' },
    },
    {
      name: 'the deletion comes after the name is used again',
      events: [added(1), added(5, 'u2'), deleted(4), modified(3)],
      changes: ['added u1@1', 'deleted u1@1', 'added u2@5'],
      state: { 'team/a': 'u2@5' },
    },
    {
      name: 'an object that left its selector comes back',
      events: [added(1), deleted(2), added(3)],
      changes: ['added u1@1', 'deleted u1@2', 'added u1@3'],
      state: { 'team/a': 'u1@3' },
    },
    {
      name: 'the leaving of a selector comes after the return',
      events: [added(1), added(3), deleted(2)],
      changes: ['added u1@1', 'changed u1@3'],
      state: { 'team/a': 'u1@3' },
    },
  ];
  for (const { name, events, changes, state: wanted } of rows)
    it(name, () => {
      const state = emptyState<Held>();
      expect(kinds(events.flatMap((event) => fold(state, event)))).toEqual(changes);
      expect(snapshot(state)).toEqual(wanted);
    });

  it('tells a deletion with the last state and when it was heard of', () => {
    const state = emptyState<Held>();
    fold(state, added(1));
    expect(fold(state, deleted(3))).toEqual([{ kind: 'deleted', object: held('a', 'u1', 3), heardAt: 7, watched: true }]);
    fold(state, added(5, 'u2'));
    expect(list(state, [])).toEqual([{ kind: 'deleted', object: held('a', 'u2', 5), heardAt: 7, watched: false }]);
  });
});

describe('Cluster adapter: a cache takes in a list', () => {
  it('as the truth, whatever was known: also a server that was set back to a backup', () => {
    const state = emptyState<Held>();
    list(state, [held('a', 'u1', 1_000), held('b', 'u2', 900)]);
    fold(state, { type: 'DELETED', object: held('b', 'u2', 1_001) });
    expect(kinds(list(state, [held('a', 'u1', 400), held('b', 'u2', 300)]))).toEqual(['changed u1@400', 'added u2@300']);
    expect(kinds(fold(state, { type: 'MODIFIED', object: held('b', 'u2', 501) }))).toEqual(['changed u2@501']);
  });

  it('without changes says nothing', () => {
    const state = emptyState<Held>();
    list(state, [held('a', 'u1', 1)]);
    expect(list(state, [held('a', 'u1', 1)])).toEqual([]);
  });

  it('tells the end of an object before another takes its name', () => {
    const state = emptyState<Held>();
    list(state, [held('a', 'u1', 1)]);
    expect(kinds(list(state, [held('a', 'u2', 2)]))).toEqual(['deleted u1@1', 'added u2@2']);
    expect(snapshot(state)).toEqual({ 'team/a': 'u2@2' });
  });

  it('keeps what a write answered while the list was made', () => {
    const items = [held('a', 'u1', 3), held('b', 'u2', 5)];
    const noted = [held('a', 'u1', 9), held('b', 'u2', 4), held('c', 'u3', 12), held('d', 'u4', 7)];
    // The list is of version 10: what it does not show and is older has been deleted since.
    expect(withNoted(items, noted, '10')).toEqual([held('a', 'u1', 9), held('b', 'u2', 5), held('c', 'u3', 12)]);
  });
});

describe('Cluster adapter: versions order events only where they are decimal', () => {
  const rows: [string, string, boolean][] = [
    ['1', '2', true],
    ['9', '10', true],
    ['10', '9', false],
    ['5', '5', false],
    ['99999999999999999998', '99999999999999999999', true],
    ['abc', 'abd', false],
    ['', '1', false],
    ['1', 'x', false],
    ['01', '2', false],
  ];
  for (const [a, b, older] of rows) it(`${a || 'none'} before ${b}: ${older}`, () => expect(isOlder(a, b)).toBe(older));
});

/** A server of four names; each act is a create, change or delete of one. */
class SmallServer {
  readonly objects = new Map<string, Held>();
  readonly history: ObjectEvent<Held>[] = [];
  #version = 0;
  #made = 0;

  act(name: string, remove: boolean): void {
    const known = this.objects.get(name);
    this.#version += 1;
    const object = held(name, known?.metadata.uid ?? `u${(this.#made += 1)}`, this.#version);
    if (known && remove) this.objects.delete(name);
    else this.objects.set(name, object);
    this.history.push({ type: known ? (remove ? 'DELETED' : 'MODIFIED') : 'ADDED', object });
  }

  snapshot(): Record<string, string> {
    const rows = [...this.objects.values()].map(({ metadata: { namespace, name, uid, resourceVersion } }) => [
      nameKey(namespace, name),
      `${uid}@${resourceVersion}`,
    ]);
    return Object.fromEntries(rows.sort()) as Record<string, string>;
  }
}

const acts = fc.array(fc.record({ name: fc.constantFrom('a', 'b', 'c', 'd'), remove: fc.boolean() }), { maxLength: 40 });

const played = (steps: readonly { name: string; remove: boolean }[]): SmallServer => {
  const server = new SmallServer();
  for (const { name, remove } of steps) server.act(name, remove);
  return server;
};

describe('Fault: watch events dropped, repeated, reordered; whatever a watch does', () => {
  it('the next list makes the state the server’s, and the changes that were told add up to it', () => {
    const mangled = acts.chain((steps) => {
      const { history } = played(steps);
      return fc.tuple(
        fc.constant(steps),
        fc.array(fc.constantFrom(...(history.length > 0 ? history : [null])), { maxLength: 60 }),
      );
    });
    fc.assert(
      fc.property(mangled, ([steps, events]) => {
        const [server, state, told] = [played(steps), emptyState<Held>(), new Map<string, string>()];
        const hear = (changes: readonly Change<Held>[]): void => {
          for (const { kind, object } of changes) {
            const { uid, resourceVersion } = object.metadata;
            expect(told.has(uid)).toBe(kind !== 'added');
            if (kind === 'deleted') told.delete(uid);
            else told.set(uid, resourceVersion);
          }
        };
        for (const event of events) if (event) hear(fold(state, event));
        hear(list(state, [...server.objects.values()]));
        expect(snapshot(state)).toEqual(server.snapshot());
        expect([...state.byUid.keys()].sort()).toEqual([...server.objects.values()].map(({ metadata }) => metadata.uid).sort());
        expect([...told.keys()].sort()).toEqual([...state.byUid.keys()].sort());
      }),
      { numRuns: 500 },
    );
  });

  it('repeated and reordered events alone, none dropped, need no list', () => {
    const shuffled = acts.chain((steps) => {
      const { history } = played(steps);
      return fc.tuple(
        fc.constant(steps),
        fc.shuffledSubarray([...history, ...history], { minLength: history.length * 2, maxLength: history.length * 2 }),
      );
    });
    fc.assert(
      fc.property(shuffled, ([steps, events]) => {
        const [server, state] = [played(steps), emptyState<Held>()];
        for (const event of events) fold(state, event);
        expect(snapshot(state)).toEqual(server.snapshot());
      }),
      { numRuns: 500 },
    );
  });
});
