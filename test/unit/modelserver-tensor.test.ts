// Tables of request bodies against one signature; properties over random batches.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MAX_BATCH_ROWS, planBatch, stack, unstack } from '../../src/modelserver/batch.ts';
import { parseInferRequest, type InferRequest } from '../../src/modelserver/tensor.ts';

const signature = {
  inputs: [{ name: 'x', datatype: 'FP32' as const, shape: [-1, 2] }],
  outputs: [{ name: 'y', datatype: 'INT64' as const, shape: [-1] }],
};
const x = { name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] };

describe('Model server: a request is checked against the signature', () => {
  test('flat and nested data are the same', () => {
    const flat = parseInferRequest({ inputs: [x] }, signature);
    expect(parseInferRequest({ inputs: [{ ...x, data: [[1, 2]] }] }, signature)).toEqual(flat);
  });

  test.each([
    [null, 'the body must be a JSON object'],
    [{}, '"inputs" must be an array'],
    [{ inputs: [] }, 'Input "x" is missing'],
    [{ inputs: [x, x] }, 'given 2 times'],
    [{ inputs: [{ ...x, name: 'z' }] }, 'inputs[0].name must be one of: x'],
    [{ inputs: [{ ...x, datatype: 'INT64' }] }, 'datatype must be FP32'],
    [{ inputs: [{ ...x, shape: [1, 3] }] }, 'shape must be [-1, 2]'],
    [{ inputs: [{ ...x, shape: [-1, 2] }] }, 'non-negative integers'],
    [{ inputs: [{ ...x, shape: [100_000_000, 2] }] }, 'more than'],
    [{ inputs: [{ ...x, data: [1] }] }, 'has 1 elements where its shape asks for 2'],
    [{ inputs: [{ ...x, data: [1, 'a'] }] }, 'no FP32'],
    [{ inputs: [{ ...x, data: [1, null] }] }, 'no FP32'],
    [{ inputs: [x], id: 5 }, '"id" must be a string'],
    [{ inputs: [x], outputs: [{ name: 'nope' }] }, 'is not an output'],
  ])('refuses %j: %s', (body, message) => {
    expect(() => parseInferRequest(body, signature)).toThrow(message);
  });
});

const request = (rows: number, width: number, seed: number): InferRequest => ({
  id: null,
  outputs: [],
  inputs: [
    { name: 'x', datatype: 'FP32', shape: [rows, width], data: Array.from({ length: rows * width }, (_v, i) => seed * 1000 + i) },
  ],
});
const requests = fc.array(fc.record({ rows: fc.integer({ min: 1, max: 40 }), width: fc.integer({ min: 1, max: 2 }) }), {
  minLength: 1,
  maxLength: 12,
});

describe('Model server: batches', () => {
  test('a batch takes the oldest, mixes no shapes and keeps to the row limit', () => {
    fc.assert(
      fc.property(requests, (shapes) => {
        const waiting = shapes.map(({ rows, width }, i) => ({ request: request(rows, width, i) }));
        const batch = planBatch(waiting, true);
        expect(batch[0]).toBe(waiting[0]);
        expect(new Set(batch.map((item) => item.request.inputs[0]!.shape[1])).size).toBe(1);
        const rows = batch.reduce((sum, item) => sum + item.request.inputs[0]!.shape[0]!, 0);
        if (batch.length > 1) expect(rows).toBeLessThanOrEqual(MAX_BATCH_ROWS);
      }),
    );
  });

  test('stacking and cutting gives everybody their own rows back', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 8 }), (rows) => {
        const all = rows.map((count, i) => request(count, 2, i));
        expect(unstack(stack(all), all)).toEqual(all.map((one) => one.inputs));
      }),
    );
  });

  test('an output without one row per input row is not cut', () => {
    const all = [request(1, 2, 0), request(1, 2, 1)];
    expect(unstack([{ name: 'sum', datatype: 'FP32', shape: [1], data: [3] }], all)).toBeNull();
  });

  test('a model with fixed rows runs every request alone', () => {
    const waiting = [{ request: request(1, 2, 0) }, { request: request(1, 2, 1) }];
    expect(planBatch(waiting, false)).toHaveLength(1);
  });
});
