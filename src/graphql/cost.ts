import {
  getNamedType,
  isCompositeType,
  Kind,
  OperationTypeNode,
  TypeInfo,
  valueFromASTUntyped,
  visit,
  visitWithTypeInfo,
  type DocumentNode,
  type FieldNode,
  type GraphQLNamedType,
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

/** What a field costs besides the objects that it answers with: `@Extensions(priced({ … }))` beside the resolver. A point is about a millisecond of work. */
export interface FieldPrice {
  /** For what it does, however little it answers. */
  readonly points?: number;
  /** The same where this argument is true. */
  readonly when?: { readonly argument: string; readonly points: number };
  /** Objects of a list without pages, as many as are to be expected. */
  readonly list?: number;
}

export const priced = (price: FieldPrice): { readonly price: FieldPrice } => ({ price });

/** What an operation may cost. */
export interface Estimate {
  /** In all. */
  readonly most: number;
  /** Of that what it does, which no small answer gives back. */
  readonly work: number;
}

/**
 * Points that a document may cost at most: one per object, a list's objects times its page, and what fields do besides. Scalars are free. The page
 * is `ids`, `first` or `last`, from the text or the variables, else the default; it is never more than the largest page.
 */
export function estimateCost(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Readonly<Record<string, unknown>>,
): Estimate {
  const question: Question = { schema, document, variables: { ...defaultsOf(operation), ...variables }, fragments: new Map() };
  const own = operation.operation === OperationTypeNode.MUTATION ? MUTATION_COST : 0;
  const { objects, work } = costOf(question, operation, new TypeInfo(schema));
  const bounded = (points: number): number => Math.min(points, Number.MAX_SAFE_INTEGER);
  return { most: Math.max(1, bounded(own + work + objects)), work: bounded(own + work) };
}

/** What variables are that nobody gives. */
const defaultsOf = ({ variableDefinitions = [] }: OperationDefinitionNode): Record<string, unknown> =>
  Object.fromEntries(
    variableDefinitions.flatMap(({ variable, defaultValue }) =>
      defaultValue ? [[variable.name.value, valueFromASTUntyped(defaultValue)]] : [],
    ),
  );

interface Cost {
  readonly objects: number;
  readonly work: number;
}

const NO_COST: Cost = { objects: 0, work: 0 };

interface Question {
  readonly schema: GraphQLSchema;
  readonly document: DocumentNode;
  readonly variables: Readonly<Record<string, unknown>>;
  /** Cost of each fragment for one object, computed once per document. */
  readonly fragments: Map<string, Cost>;
}

/** One point per object below the node, a list's times its page, and what fields do; `info` says what the node selects from. */
function costOf(question: Question, node: OperationDefinitionNode | SelectionSetNode, info: TypeInfo): Cost {
  const factors: number[] = [1];
  let [objects, work] = [0, 0];
  visit(
    node,
    visitWithTypeInfo(info, {
      Field: {
        enter(field) {
          const factor = factors.at(-1) ?? 1;
          const type = getNamedType(info.getType());
          const price = info.getFieldDef()?.extensions['price'] as FieldPrice | undefined;
          const many = namedIn(field, question.variables) ?? price?.list;
          if (isCompositeType(type)) objects += factor * (many ?? 1);
          if (price) work += factor * workOf(price, field, question.variables);
          factors.push(factor * (many ?? pageOf(field, question.variables, isConnection(type))));
        },
        leave: () => void factors.pop(),
      },
      FragmentSpread: (spread) => {
        const cost = costOfFragment(question, spread.name.value);
        const factor = factors.at(-1) ?? 1;
        objects += cost.objects * factor;
        work += cost.work * factor;
      },
    }),
  );
  return { objects, work };
}

const isConnection = (type: GraphQLNamedType | undefined): boolean => type?.name.endsWith('Connection') ?? false;

function workOf({ points = 0, when }: FieldPrice, field: FieldNode, variables: Question['variables']): number {
  const value = field.arguments?.find(({ name }) => name.value === when?.argument)?.value;
  const given = value && valueFromASTUntyped(value, variables);
  return when && given === true ? when.points : points;
}

function costOfFragment(question: Question, name: string): Cost {
  const { schema, document, fragments } = question;
  const known = fragments.get(name);
  if (known !== undefined) return known;
  // Against cycles, which another rule reports.
  fragments.set(name, NO_COST);
  const fragment = document.definitions.find(
    (definition) => definition.kind === Kind.FRAGMENT_DEFINITION && definition.name.value === name,
  );
  if (fragment?.kind !== Kind.FRAGMENT_DEFINITION) return NO_COST;
  const info = new TypeInfo(schema, schema.getType(fragment.typeCondition.name.value) as never);
  const cost = costOf(question, fragment.selectionSet, info);
  fragments.set(name, cost);
  return cost;
}

const PAGE_ARGUMENTS = new Set(['first', 'last']);

/** What a connection is, its type says: a list's items may well have a field `nodes` themselves. */
function pageOf(field: FieldNode, variables: Readonly<Record<string, unknown>>, isPaged: boolean): number {
  const argument = field.arguments?.find(({ name }) => PAGE_ARGUMENTS.has(name.value));
  if (!argument) return isPaged ? DEFAULT_PAGE : 1;
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
