// Pure rules on parsed documents: shape, excess, cost and the bucket, with tables and generated documents.
import fc from 'fast-check';
import { buildSchema, getOperationAST, parse, type GraphQLObjectType } from 'graphql';
import { describe, expect, test } from 'vitest';
import { makeSchema } from '../../src/api/schema.ts';
import {
  actualCost,
  estimateCost,
  type FieldPrice,
  fullBucket,
  MAXIMUM_COST,
  priced,
  RESTORE_PER_SECOND,
  restored,
  take,
  waitFor,
} from '../../src/graphql/cost.ts';
import { excessOf, MAX_FIELDS, shapeOf } from '../../src/graphql/limits.ts';

const shape = (text: string) => shapeOf(parse(text));

describe('API limits: the shape of a document', () => {
  test.each([
    ['{ a }', { depth: 1, aliases: 0, repeats: 1, fields: 1 }],
    ['{ a { b { c } } d }', { depth: 3, aliases: 0, repeats: 1, fields: 4 }],
    ['{ x: a y: a z: __typename }', { depth: 1, aliases: 3, repeats: 1, fields: 3 }],
    ['{ a a a }', { depth: 1, aliases: 0, repeats: 3, fields: 3 }],
    ['{ a ...f } fragment f on Q { a { b } }', { depth: 2, aliases: 0, repeats: 2, fields: 4 }],
    ['{ ... on Q { a { ... on B { b } } } }', { depth: 2, aliases: 0, repeats: 1, fields: 2 }],
  ])('%s', (text, expected) => {
    expect(shape(text)).toEqual(expected);
  });

  test('a circle of fragments ends', () => {
    expect(shape('{ ...a } fragment a on Q { x { ...b } } fragment b on Q { y { ...a } }').depth).toBe(2);
  });

  test('fragments that multiply cost no more than the limit', () => {
    const fragments = Array.from({ length: 40 }, (_, i) => `fragment f${i} on Q { ...f${i + 1} ...f${i + 1} }`).join(' ');
    const found = shape(`{ ...f0 } ${fragments} fragment f40 on Q { a }`);
    expect(found.fields).toBeGreaterThan(MAX_FIELDS);
    expect(excessOf(found, false)).toMatch(/fields/);
  });

  test('depth is exactly what is nested', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), (depth) => {
        expect(shape(`{ ${'a { '.repeat(depth - 1)} a ${'} '.repeat(depth - 1)} }`).depth).toBe(depth);
      }),
    );
  });
});

const schema = buildSchema(`
  type Query { crates(first: Int): CrateConnection!  items(first: Int): ItemConnection!  byIds(ids: [ID!]!): [Item]!  one: Item  name: String
               plan(exact: Boolean): Item  history: [Item!]! }
  type Mutation { make: Item  deploy: Item }
  type ItemConnection { nodes: [Item!]!  edges: [Edge!]! }
  type Edge { node: Item! }
  type CrateConnection { nodes: [Crate!]! }
  type Crate { name: String  nodes: ItemConnection! }
  type Item { id: ID  name: String  items(first: Int): ItemConnection!  parent: Item }
`);

const cost = (text: string, variables = {}) => {
  const document = parse(text);
  return estimateCost(schema, document, getOperationAST(document)!, variables);
};
const field = (type: 'Query' | 'Mutation', name: string) => (schema.getType(type) as GraphQLObjectType).getFields()[name]!;
field('Query', 'plan').extensions = priced({ points: 250, when: { argument: 'exact', points: 1_000 } });
field('Query', 'history').extensions = priced({ points: 10, list: 500 });
field('Mutation', 'deploy').extensions = priced({ points: 40 });

describe('API limits: points', () => {
  test.each([
    ['{ name }', {}, 1],
    ['{ one { id name } }', {}, 1],
    ['{ one { parent { id } } }', {}, 2],
    ['{ items(first: 10) { nodes { id } } }', {}, 11],
    ['{ items { nodes { id } } }', {}, 21],
    ['query ($n: Int) { items(first: $n) { nodes { parent { id } } } }', { n: 3 }, 7],
    ['{ items(first: 10) { nodes { items(first: 10) { nodes { id } } } } }', {}, 1 + 10 + 10 + 100],
    ['{ crates { nodes { name nodes { nodes { id } } } } }', {}, 1 + 20 + 20 + 400],
    ['{ one { ...f } } fragment f on Item { parent { id } }', {}, 2],
    ['{ byIds(ids: ["a", "b", "c"]) { parent { id } } }', {}, 6],
    ['query ($i: [ID!]!) { byIds(ids: $i) { items(first: 10) { nodes { id } } } }', { i: ['a', 'b'] }, 2 + 2 + 20],
    ['mutation { make { id } }', {}, 11],
  ])('%s', (text, variables, expected) => {
    expect(cost(text, variables).most).toBe(expected);
  });

  test.each([
    ['{ plan { id } }', {}, { most: 251, work: 250 }],
    ['{ plan(exact: false) { id } }', {}, { most: 251, work: 250 }],
    ['{ plan(exact: true) { id } }', {}, { most: 1_001, work: 1_000 }],
    ['query ($e: Boolean) { plan(exact: $e) { id } }', { e: true }, { most: 1_001, work: 1_000 }],
    ['query ($e: Boolean = true) { plan(exact: $e) { id } }', {}, { most: 1_001, work: 1_000 }],
    ['{ ...two } fragment two on Query { a: plan { id } b: plan { id } }', {}, { most: 502, work: 500 }],
    ['{ history { parent { id } } }', {}, { most: 10 + 500 + 500, work: 10 }],
    ['query ($n: Int = 50) { items(first: $n) { nodes { id } } }', {}, { most: 51, work: 0 }],
    ['mutation { deploy { id } }', {}, { most: 51, work: 50 }],
  ])('what a field does is priced besides what it answers: %s', (text, variables, expected) => {
    expect(cost(text, variables)).toEqual(expected);
  });

  test('what a plan, a list without pages and a deployment do has a price in the schema', () => {
    const own = makeSchema({ get: () => ({}) });
    const priceOf = (type: string, name: string) =>
      (own.getType(type) as GraphQLObjectType).getFields()[name]?.extensions['price'] as FieldPrice | undefined;
    expect(priceOf('Query', 'fleetPlan')?.when?.points).toBeGreaterThan(priceOf('Query', 'fleetPlan')?.points ?? Infinity);
    expect(priceOf('Mutation', 'deploy')?.points).toBeGreaterThan(10);
    expect(priceOf('Mutation', 'deploy')?.when).toMatchObject({ argument: 'dryRun' });
    const whole = `{ regions { zones { name items } roundTrips { to } } priceHistory(
      offering: { provider: "aws", region: "r", zone: "", instanceType: "t", capacityType: ON_DEMAND }
      range: { from: "2026-01-01T00:00:00Z", to: "2026-02-01T00:00:00Z" }) { price { source } } }`;
    const document = parse(whole);
    expect(estimateCost(own, document, getOperationAST(document)!, {}).most).toBeGreaterThan(50 + 50 * 60 + 1_000);
  });

  test('the estimate of what comes back is never below what it cost', () => {
    expect(actualCost({ items: { nodes: [{ id: 1 }, { id: 2 }] } })).toBe(4);
    expect(actualCost(null)).toBe(0);
  });

  test('a bucket never holds more than its size nor gives what it has not', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ wait: fc.nat(5_000), cost: fc.integer({ min: -500, max: 6_000 }) }), { maxLength: 60 }),
        (steps) => {
          let now = 0;
          let bucket = fullBucket(0);
          for (const step of steps) {
            now += step.wait;
            const before = restored(bucket, now).available;
            const after = take(bucket, step.cost, now);
            if (after === null) expect(step.cost).toBeGreaterThan(before);
            bucket = after ?? bucket;
            const left = restored(bucket, now).available;
            expect(left).toBeGreaterThanOrEqual(0);
            expect(left).toBeLessThanOrEqual(MAXIMUM_COST);
          }
        },
      ),
    );
  });

  test('the wait is long enough and not a step longer', () => {
    const empty = take(fullBucket(0), MAXIMUM_COST, 0)!;
    const wait = waitFor(empty, 100, 0);
    expect(wait).toBe((100 * 1_000) / RESTORE_PER_SECOND);
    expect(take(empty, 100, wait)).not.toBeNull();
    expect(take(empty, 100, wait - 1)).toBeNull();
  });
});
