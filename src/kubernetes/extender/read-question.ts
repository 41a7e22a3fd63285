import { z } from 'zod';
import type { CapacityType } from '../../clouds/offering.ts';
import { parseUsd } from '../../kernel/money.ts';
import { err, ok, type Result } from '../../kernel/result.ts';
import { requestsOf } from '../nodes/node-resources.ts';
import type { PodAsk } from './rate-nodes.ts';

/** Of a pod: `spot`, `on_demand`, `reserved`, or several with commas. */
export const CAPACITY_TYPE_ANNOTATION = 'purser.dev/capacity-type';
/** Of a pod: what its share of a node may cost at most, in US dollars per hour. */
export const MAX_PRICE_ANNOTATION = 'purser.dev/max-price-per-hour';

const CAPACITY_TYPES: readonly CapacityType[] = ['on_demand', 'spot', 'reserved'];

/** Of one kind in a pod. Higher: a question that is none takes long to refuse; lower: odd pods are refused. */
const MAX_CONTAINERS = 1_000;

const isText = (value: unknown): boolean => typeof value === 'string';
const isTexts = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.values(value).every(isText);

// Wrong as a whole or not at all: a million wrong entries are no million sentences.
const Texts = z.custom<Record<string, string>>(isTexts, 'must be texts by name');
const Names = z.custom<string[]>((value) => Array.isArray(value) && value.every(isText), 'must be a list of texts');
const Container = z.object({
  name: z.string(),
  restartPolicy: z.string().optional(),
  resources: z.object({ requests: Texts.optional(), limits: Texts.optional() }).optional(),
});
const Containers = z.array(z.unknown()).max(MAX_CONTAINERS).pipe(z.array(Container));

/** What the scheduler sends (`k8s.io/kube-scheduler/extender/v1`, ExtenderArgs), as far as it is read. */
const Question = z.object({
  Pod: z.object({
    metadata: z.object({ name: z.string().default(''), annotations: Texts.optional() }),
    spec: z.object({
      priority: z.number().optional(),
      containers: Containers,
      initContainers: Containers.optional(),
      overhead: Texts.optional(),
    }),
  }),
  NodeNames: Names.nullish(),
});

export interface NodesQuestion {
  /** A sentence instead where the pod's wishes cannot be read: then it may go nowhere, and says why. */
  readonly ask: Result<PodAsk, string>;
  readonly names: readonly string[];
}

/** Fails with a sentence where the scheduler's question itself cannot be read. */
export function readQuestion(json: unknown): Result<NodesQuestion, string> {
  const parsed = Question.safeParse(json);
  if (!parsed.success) return err(`The question is none: ${z.prettifyError(parsed.error)}.`);
  const { Pod: pod, NodeNames: names } = parsed.data;
  if (!names) return err('The question names no nodes: set nodeCacheCapable: true for this extender.');
  return ok({ ask: askOf(pod), names });
}

function askOf({ metadata: { annotations = {} }, spec }: z.infer<typeof Question>['Pod']): Result<PodAsk, string> {
  const types = annotations[CAPACITY_TYPE_ANNOTATION];
  const price = annotations[MAX_PRICE_ANNOTATION];
  const capacityTypes = types === undefined ? null : readTypes(types);
  const maxPricePerHour = price === undefined ? null : parseUsd(price);
  if (types !== undefined && capacityTypes === null)
    return err(`The annotation ${CAPACITY_TYPE_ANNOTATION} of the pod takes ${CAPACITY_TYPES.join(', ')}.`);
  if (price !== undefined && maxPricePerHour === null)
    return err(`The annotation ${MAX_PRICE_ANNOTATION} of the pod takes US dollars per hour such as 0.25.`);
  return ok({ resources: requestsOf({ spec }), capacityTypes, maxPricePerHour, priority: spec.priority ?? 0 });
}

function readTypes(text: string): CapacityType[] | null {
  const words = text.split(',').map((word) => word.trim());
  const types = CAPACITY_TYPES.filter((type) => words.includes(type));
  return types.length > 0 && words.every((word) => CAPACITY_TYPES.some((type) => type === word)) ? types : null;
}
