import { createSourceEventStream, execute, GraphQLError, type ExecutionArgs, type ExecutionResult } from 'graphql';
import type { Logger } from '../telemetry/logger.ts';
import { OperationContext, type OperationDeps } from './operation-context.ts';
import { problemOf } from './problem.ts';

/** What a socket or an event stream runs an operation with. */
export interface OperationSource extends Omit<OperationDeps, 'now'> {
  now(): number;
  readonly logger: Logger;
  /** Ends the operation at once, whatever it waits for. */
  readonly signal: AbortSignal;
}

/** Runs a query or mutation and closes its snapshot. */
export async function runOnce(args: ExecutionArgs, source: OperationSource): Promise<ExecutionResult> {
  const context = new OperationContext({ ...source, now: source.now() });
  try {
    return masked(await execute({ ...args, contextValue: context }), source);
  } finally {
    await context.close();
  }
}

/**
 * Runs a subscription. Every delivery is resolved in a context of its own, so that it shows the rows of its moment and holds no snapshot
 * between deliveries. `return()` ends it at once, also while it waits. `ended` is called when it is over, however that comes.
 */
export async function subscribeLive(
  args: ExecutionArgs,
  source: OperationSource,
  ended: () => void,
): Promise<AsyncGenerator<ExecutionResult, void, void> | ExecutionResult> {
  const stop = new AbortController();
  const signal = AbortSignal.any([source.signal, stop.signal]);
  signal.addEventListener('abort', ended, { once: true });
  if (signal.aborted) ended();
  const opening = new OperationContext({ ...source, now: source.now(), signal });
  const stream = await open({ ...args, contextValue: opening }, stop);
  await opening.changed();
  if (!(Symbol.asyncIterator in stream)) return masked(stream, source);
  const deliveries = stream[Symbol.asyncIterator]();
  const end = async (): Promise<IteratorResult<ExecutionResult, void>> => {
    stop.abort();
    await opening.close();
    // A generator that waits takes this when it wakes; nobody needs to wait for that.
    void deliveries.return?.().catch(() => undefined);
    return { done: true, value: undefined };
  };
  const next = async (): Promise<IteratorResult<ExecutionResult, void>> => {
    const delivery = await deliveries.next().catch(refusedAs);
    if (delivery instanceof GraphQLError) return { done: false, value: masked({ errors: [delivery] }, source) };
    if (delivery.done || signal.aborted) return end();
    return { done: false, value: await runOnce({ ...args, rootValue: delivery.value }, source) };
  };
  const live = {
    next,
    return: end,
    throw: end,
    [Symbol.asyncIterator]: () => live,
    [Symbol.asyncDispose]: async () => {
      await end();
    },
  };
  return live;
}

/** What the caller asked wrongly is the last item, with its reason; anything else breaks the stream, and the caller comes back. */
function refusedAs(error: unknown): GraphQLError {
  if (error instanceof GraphQLError) return error;
  throw error;
}

/** A subscription that does not begin is over at once. */
async function open(args: ExecutionArgs, stop: AbortController): Promise<AsyncIterable<unknown> | ExecutionResult> {
  const stream = await createSourceEventStream(args).catch((error: unknown) => {
    stop.abort();
    throw error;
  });
  if (!(Symbol.asyncIterator in stream)) stop.abort();
  return stream;
}

/** The answer with its errors as the caller may see them. */
const masked = (result: ExecutionResult, { requestId, logger }: OperationSource): ExecutionResult =>
  result.errors
    ? { ...result, errors: result.errors.map((error) => problemOf(error, requestId, logger) as GraphQLError) }
    : result;
