// Compares the schema of the code with schema/released.graphql, the one that clients were last given. A release copies schema.graphql there.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  BreakingChangeType,
  buildSchema,
  findBreakingChanges,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
  type BreakingChange,
  type GraphQLSchema,
} from 'graphql';
import { describe, expect, test } from 'vitest';

const schema = (name: string) =>
  buildSchema(readFileSync(join(import.meta.dirname, '..', '..', 'schema', `${name}.graphql`), 'utf8'));

const REMOVAL = /^Use .+\. Removal after (\d{4}-\d{2}-\d{2})$/;

/** Breaking changes, but for the removal of what was announced as deprecated and whose date has passed. */
const broken = (released: GraphQLSchema, present: GraphQLSchema, today: string): string[] =>
  findBreakingChanges(released, present)
    .filter((change) => !wasAnnounced(released, change, today))
    .map(({ type, description }) => `${type}: ${description}`);

function wasAnnounced(released: GraphQLSchema, { type, description }: BreakingChange, today: string): boolean {
  const reason =
    type === BreakingChangeType.FIELD_REMOVED
      ? reasonOf(released, /^(?<type>\w+)\.(?<member>\w+) was removed/.exec(description)?.groups)
      : type === BreakingChangeType.VALUE_REMOVED_FROM_ENUM
        ? reasonOf(released, /^(?<member>\w+) was removed from enum type (?<type>\w+)/.exec(description)?.groups)
        : null;
  const after = REMOVAL.exec(reason ?? '')?.[1];
  return after !== undefined && after < today;
}

function reasonOf(released: GraphQLSchema, place: Record<string, string> | undefined): string | null {
  const { type, member } = place ?? {};
  return deprecations(released).find(({ at }) => at === `${type ?? ''}.${member ?? ''}`)?.reason ?? null;
}

/** Every deprecated field, input field and enum value. */
const deprecations = (of: GraphQLSchema): { readonly at: string; readonly reason: string }[] =>
  Object.values(of.getTypeMap()).flatMap((type) => {
    if (type.name.startsWith('__')) return [];
    const members = isEnumType(type)
      ? type.getValues()
      : isObjectType(type) || isInterfaceType(type) || isInputObjectType(type)
        ? Object.values(type.getFields())
        : [];
    return members.flatMap(({ name, deprecationReason }) =>
      typeof deprecationReason === 'string' ? [{ at: `${type.name}.${name}`, reason: deprecationReason }] : [],
    );
  });

describe('API: the schema evolves', () => {
  test('nothing that was released is broken', () => {
    expect(broken(schema('released'), schema('schema'), new Date().toISOString().slice(0, 10))).toEqual([]);
  });

  test('what is deprecated says what to use and when it goes', () => {
    for (const { at, reason } of deprecations(schema('schema'))) expect(reason, at).toMatch(REMOVAL);
  });

  const RELEASED = `enum Kind { A B @deprecated(reason: "Use A. Removal after 2026-03-01") }
    input Wish { name: String }
    type Query { old(wish: Wish): Int @deprecated(reason: "Use fresh. Removal after 2026-03-01") fresh: Kind! count: Int }`;
  const changed = (from: string, to: string, today: string) =>
    broken(buildSchema(RELEASED), buildSchema(RELEASED.replace(from, to)), today);

  test.each([
    ['a field that goes', 'fresh: Kind!', 'newer: Kind!'],
    ['an answer that may be null now', 'fresh: Kind!', 'fresh: Kind'],
    ['an argument that must be given', 'old(wish: Wish)', 'old(wish: Wish!)'],
    ['an input field that must be given', 'input Wish { name: String }', 'input Wish { name: String more: Int! }'],
    ['an enum value that goes', '{ A B', '{ B'],
  ])('%s is a break', (_name, from, to) => {
    expect(changed(from, to, '2026-06-01')).toHaveLength(1);
  });

  test('what was deprecated may go after its date, and not before', () => {
    const field = ['old(wish: Wish): Int @deprecated(reason: "Use fresh. Removal after 2026-03-01")', ''] as const;
    const value = ['B @deprecated(reason: "Use A. Removal after 2026-03-01")', ''] as const;
    for (const [from, to] of [field, value]) {
      expect(changed(from, to, '2026-02-01')).toHaveLength(1);
      expect(changed(from, to, '2026-03-02')).toEqual([]);
    }
  });

  test('what is added breaks nothing', () => {
    expect(changed('fresh: Kind!', 'fresh(more: Int): Kind! newer: Int', '2026-06-01')).toEqual([]);
  });
});
