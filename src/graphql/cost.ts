import {
  getNamedType,
  isCompositeType,
  Kind,
  OperationTypeNode,
  TypeInfo,
  visit,
  visitWithTypeInfo,
  type DocumentNode,
  type FieldNode,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from 'graphql';
import type { Instant } from '../kernel/instant.ts';
import { DEFAULT_PAGE, MAX_PAGE } from './connection.type.ts';

/** Points that a token may save up. Higher: one caller can keep the database busy for longer; lower: no report fits. */
export const MAXIMUM_COST = 10_000;
/** Points that come back per second. Higher: a sustained flood costs more CPU; lower: honest polling is throttled. */
export const RESTORE_PER_SECOND = 500;
/** A mutation's points, whatever it selects: it writes, locks and wakes loops. */
const MUTATION_COST = 10;

/**
 * Points that a document may cost at most: one per object, a list's objects times its page. Scalars are free. The page is `ids`, `first` or
 * `last`, from the text or the variables, else the default; it is never more than the largest page.
 */
export function estimateCost(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Readonly<Record<string, unknown>>,
): number {
  const question: Question = { schema, document, variables, fragments: new Map() };
  const own = operation.operation === OperationTypeNode.MUTATION ? MUTATION_COST : 0;
  const cost = own + costOf(question, operation, new TypeInfo(schema));
  return Math.max(1, Math.min(cost, Number.MAX_SAFE_INTEGER));
}

interface Question {
  readonly schema: GraphQLSchema;
  readonly document: DocumentNode;
  readonly variables: Readonly<Record<string, unknown>>;
  /** Cost of each fragment for one object, computed once per document. */
  readonly fragments: Map<string, number>;
}

/** One point per object below the node, a list's times its page; `info` says what the node selects from. */
function costOf(question: Question, node: OperationDefinitionNode | SelectionSetNode, info: TypeInfo): number {
  const factors: number[] = [1];
  let cost = 0;
  visit(
    node,
    visitWithTypeInfo(info, {
      Field: {
        enter(field) {
          const factor = factors.at(-1) ?? 1;
          const type = info.getType();
          const named = namedIn(field, question.variables);
          if (type && isCompositeType(getNamedType(type))) cost += factor * (named ?? 1);
          const isConnection = getNamedType(type)?.name.endsWith('Connection') ?? false;
          factors.push(factor * (named ?? pageOf(field, question.variables, isConnection)));
        },
        leave: () => void factors.pop(),
      },
      FragmentSpread: (spread) => {
        cost += costOfFragment(question, spread.name.value) * (factors.at(-1) ?? 1);
      },
    }),
  );
  return cost;
}

function costOfFragment(question: Question, name: string): number {
  const { schema, document, fragments } = question;
  const known = fragments.get(name);
  if (known !== undefined) return known;
  // Against cycles, which another rule reports.
  fragments.set(name, 0);
  const fragment = document.definitions.find(
    (definition) => definition.kind === Kind.FRAGMENT_DEFINITION && definition.name.value === name,
  );
  if (fragment?.kind !== Kind.FRAGMENT_DEFINITION) return 0;
  const info = new TypeInfo(schema, schema.getType(fragment.typeCondition.name.value) as never);
  const cost = costOf(question, fragment.selectionSet, info);
  fragments.set(name, cost);
  return cost;
}

const PAGE_ARGUMENTS = new Set(['first', 'last']);

/** What a connection is, its type says: a list's items may well have a field `nodes` themselves. */
function pageOf(field: FieldNode, variables: Readonly<Record<string, unknown>>, isConnection: boolean): number {
  const argument = field.arguments?.find(({ name }) => PAGE_ARGUMENTS.has(name.value));
  if (!argument) return isConnection ? DEFAULT_PAGE : 1;
  const given =
    argument.value.kind === Kind.VARIABLE
      ? variables[argument.value.name.value]
      : 'value' in argument.value
        ? Number(argument.value.value)
        : DEFAULT_PAGE;
  return typeof given === 'number' && given >= 1 ? Math.min(given, MAX_PAGE) : DEFAULT_PAGE;
}

/** How many things `ids` names, at most a largest page; null for a field without it. */
function namedIn(field: FieldNode, variables: Readonly<Record<string, unknown>>): number | null {
  const value = field.arguments?.find(({ name }) => name.value === 'ids')?.value;
  if (!value) return null;
  const given = value.kind === Kind.VARIABLE ? variables[value.name.value] : value.kind === Kind.LIST ? value.values : [value];
  return Math.min(Array.isArray(given) ? given.length : 1, MAX_PAGE);
}

/** Points that an answer really cost: one per object in it. */
export function actualCost(value: unknown): number {
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + actualCost(item), 0);
  if (typeof value !== 'object' || value === null) return 0;
  let cost = 1;
  for (const key in value) cost += actualCost((value as Record<string, unknown>)[key]);
  return cost;
}

/** A caller's points at an instant. */
export interface CostBucket {
  readonly available: number;
  readonly at: Instant;
}

export const fullBucket = (now: Instant): CostBucket => ({ available: MAXIMUM_COST, at: now });

/** The bucket as it stands now. */
export const restored = (bucket: CostBucket, now: Instant): CostBucket => ({
  available: Math.min(MAXIMUM_COST, bucket.available + (Math.max(0, now - bucket.at) * RESTORE_PER_SECOND) / 1_000),
  at: now,
});

/** Takes points; null when there are too few. A negative number gives some back. */
export function take(bucket: CostBucket, cost: number, now: Instant): CostBucket | null {
  const present = restored(bucket, now);
  if (cost > present.available) return null;
  return { available: Math.min(MAXIMUM_COST, present.available - cost), at: now };
}

/** Milliseconds until that many points are there. */
export const waitFor = (bucket: CostBucket, cost: number, now: Instant): number =>
  Math.ceil((Math.max(0, cost - restored(bucket, now).available) * 1_000) / RESTORE_PER_SECOND);
