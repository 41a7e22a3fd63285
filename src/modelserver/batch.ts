import type { InferRequest, Tensor, TensorSpec } from './tensor.ts';

/** Rows of one run. Higher: one slow run delays all that wait for it; lower: less is gained by batching. */
export const MAX_BATCH_ROWS = 64;

/** True if the model takes any number of rows: the first dimension of every input and output is free. */
export const isBatchable = (specs: readonly TensorSpec[]): boolean =>
  specs.length > 0 && specs.every((spec) => spec.shape[0] === -1);

/** Requests with equal keys may share a run: same inputs, same trailing shapes, one row count across inputs. Null = alone. */
function batchKey(request: InferRequest): string | null {
  const [first] = request.inputs;
  const rows = first?.shape[0];
  if (!rows || request.inputs.some((input) => input.shape[0] !== rows)) return null;
  const parts = request.inputs.map((input) => `${input.name}:${input.datatype}:${input.shape.slice(1).join('x')}`);
  return parts.sort().join('|');
}

const rowsOf = (request: InferRequest): number => request.inputs[0]?.shape[0] ?? 0;

/**
 * Which of the waiting requests the next run takes: the oldest, and all others with its key that fit into `MAX_BATCH_ROWS`, in order. A
 * request without a key runs alone.
 */
export function planBatch<T extends { readonly request: InferRequest }>(waiting: readonly T[], batchable: boolean): T[] {
  const [oldest] = waiting;
  if (!oldest) return [];
  const key = batchable ? batchKey(oldest.request) : null;
  if (key === null) return [oldest];
  const taken = [oldest];
  let rows = rowsOf(oldest.request);
  for (const candidate of waiting.slice(1)) {
    const fits = batchKey(candidate.request) === key && rows + rowsOf(candidate.request) <= MAX_BATCH_ROWS;
    if (!fits) continue;
    taken.push(candidate);
    rows += rowsOf(candidate.request);
  }
  return taken;
}

/** The requests of a batch stacked along the first dimension. */
export function stack(requests: readonly InferRequest[]): readonly Tensor[] {
  const [first] = requests;
  if (!first || requests.length === 1) return first?.inputs ?? [];
  const rows = requests.reduce((sum, request) => sum + rowsOf(request), 0);
  return first.inputs.map((input) => ({
    ...input,
    shape: [rows, ...input.shape.slice(1)],
    data: requests.flatMap((request) => request.inputs.find((other) => other.name === input.name)?.data ?? []),
  }));
}

/** Each request's own rows of the outputs; null if an output has not one row per input row, so that it cannot be cut. */
export function unstack(outputs: readonly Tensor[], requests: readonly InferRequest[]): readonly (readonly Tensor[])[] | null {
  if (requests.length === 1) return [outputs];
  const rows = requests.reduce((sum, request) => sum + rowsOf(request), 0);
  if (outputs.some((output) => output.shape[0] !== rows)) return null;
  let from = 0;
  return requests.map((request) => {
    const count = rowsOf(request);
    const start = from;
    from += count;
    return outputs.map((output) => cut(output, start, count, rows));
  });
}

function cut(output: Tensor, start: number, count: number, rows: number): Tensor {
  const width = output.data.length / rows;
  return { ...output, shape: [count, ...output.shape.slice(1)], data: output.data.slice(start * width, (start + count) * width) };
}
