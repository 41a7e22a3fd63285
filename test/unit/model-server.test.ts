// The real example model in the real server on a loopback port; only HTTP is used.
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ModelServer } from '../../src/modelserver/model-server.ts';
import { ModelBusy, OnnxModel } from '../../src/modelserver/onnx-model.ts';
import { parseInferRequest } from '../../src/modelserver/tensor.ts';

const folder = join(import.meta.dirname, '..', '..', 'deploy', 'example', 'digits');
const cases = JSON.parse(readFileSync(join(folder, 'cases.json'), 'utf8')) as { input: number[]; probabilities: number[] }[];
let server: ModelServer;
let base: string;

beforeAll(async () => {
  const model = await OnnxModel.load(join(folder, 'digits.onnx'), 1);
  server = new ModelServer({ model, name: 'digits', version: '3', serverVersion: 'test' });
  base = `http://127.0.0.1:${await server.listen('127.0.0.1', 0)}`;
});
afterAll(() => server.drain());

const bodyOf = (input: readonly number[]) => ({ inputs: [{ name: 'pixels', datatype: 'FP32', shape: [1, 64], data: input }] });
const infer = (body: unknown) => fetch(`${base}/v2/models/digits/infer`, { method: 'POST', body: JSON.stringify(body) });

interface Inference {
  readonly outputs: { name: string; shape: number[]; data: number[] }[];
}

describe('Model server: Open Inference Protocol v2', () => {
  test.each([
    ['/v2', 200],
    ['/v2/health/live', 200],
    ['/v2/health/ready', 200],
    ['/v2/models/digits', 200],
    ['/v2/models/digits/versions/3', 200],
    ['/v2/models/digits/ready', 200],
    ['/v2/models/digits/versions/3/ready', 200],
    ['/v2/models/other', 404],
    ['/v2/models/digits/versions/4', 404],
    ['/v1/models', 404],
    ['/v2/models/%zz', 400],
    ['/v2/models/digits/infer', 405],
  ])('GET %s answers %i', async (path, status) => {
    const response = await fetch(base + path);
    expect(response.status).toBe(status);
    expect(response.headers.get('connection')).toBe('keep-alive');
    const body = (await response.json()) as { error?: string };
    expect(typeof body.error).toBe(status === 200 ? 'undefined' : 'string');
  });

  test('metadata tells the signature that the file has', async () => {
    expect(await (await fetch(`${base}/v2/models/digits`)).json()).toMatchObject({
      name: 'digits',
      versions: ['3'],
      inputs: [{ name: 'pixels', datatype: 'FP32', shape: [-1, 64] }],
      outputs: [
        { name: 'probabilities', datatype: 'FP32', shape: [-1, 10] },
        { name: 'label', datatype: 'INT64', shape: [-1] },
      ],
    });
  });

  test('fifty pictures sent at once each get the probabilities that training expected', async () => {
    const answers = await Promise.all(cases.map(async ({ input }) => (await (await infer(bodyOf(input))).json()) as Inference));
    answers.forEach((answer, i) => {
      const probabilities = answer.outputs.find((output) => output.name === 'probabilities')!;
      expect(probabilities.shape).toEqual([1, 10]);
      probabilities.data.forEach((p, digit) => expect(p).toBeCloseTo(cases[i]!.probabilities[digit]!, 3));
    });
  });

  test('the id comes back and only the wanted outputs are sent', async () => {
    const answer = (await (
      await infer({ ...bodyOf(cases[0]!.input), id: 'a-1', outputs: [{ name: 'label' }] })
    ).json()) as Inference;
    expect(answer).toMatchObject({ id: 'a-1', model_name: 'digits', model_version: '3' });
    expect(answer.outputs.map((output) => output.name)).toEqual(['label']);
  });

  test('a wrong request is a 400 that names the field', async () => {
    const response = await infer({ inputs: [{ name: 'pixels', datatype: 'FP32', shape: [1, 63], data: [] }] });
    expect([response.status, response.headers.get('connection')]).toEqual([400, 'keep-alive']);
    expect(await response.json()).toEqual({ error: 'inputs[0].shape must be [-1, 64] (-1 = any).' });
  });

  test('a body that is not JSON is a 400', async () => {
    const response = await fetch(`${base}/v2/models/digits/infer`, { method: 'POST', body: 'pixels=1' });
    expect(response.status).toBe(400);
  });

  test('inference with a version in the path: of this version only', async () => {
    const at = (version: string) =>
      fetch(`${base}/v2/models/digits/versions/${version}/infer`, {
        method: 'POST',
        body: JSON.stringify(bodyOf(cases[0]!.input)),
      });
    expect(await (await at('3')).json()).toMatchObject({ model_name: 'digits', model_version: '3' });
    const other = await at('4');
    expect([other.status, await other.json()]).toEqual([404, { error: 'This replica serves version 3.' }]);
  });

  test('a body beyond the limit is a 413 and a path that is none a 404, both in the error form of the protocol', async () => {
    const large = await fetch(`${base}/v2/models/digits/infer`, { method: 'POST', body: Buffer.alloc(40 * 1024 * 1024, 32) });
    expect([large.status, large.headers.get('connection')]).toEqual([413, 'close']);
    expect(typeof ((await large.json()) as { error: unknown }).error).toBe('string');
    const { port } = new URL(base);
    const status = await new Promise<number>((resolve, reject) => {
      request({ host: '127.0.0.1', port, path: '//' }, (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
      })
        .once('error', reject)
        .end();
    });
    expect(status).toBe(404);
  });

  test('what comes while the model runs shares the next runs, and everybody gets their own rows', async () => {
    const model = await OnnxModel.load(join(folder, 'digits.onnx'), 1);
    const parsed = cases.map(({ input }) => parseInferRequest(bodyOf(input), model));
    const answers = await Promise.all(parsed.map((one) => model.infer(one)));
    answers.forEach((outputs, i) => {
      const { data, shape } = outputs.find(({ name }) => name === 'probabilities')!;
      expect(shape).toEqual([1, 10]);
      (data as number[]).forEach((p, digit) => expect(p).toBeCloseTo(cases[i]!.probabilities[digit]!, 3));
    });
    // The first alone, for nobody waits; the other forty-nine together.
    expect(model.runs).toBe(2);
  });

  test('more than may wait are refused at once, and those that wait are answered', async () => {
    const model = await OnnxModel.load(join(folder, 'digits.onnx'), 1);
    const one = parseInferRequest(bodyOf(cases[0]!.input), model);
    const settled = await Promise.allSettled(Array.from({ length: 1_100 }, () => model.infer(one)));
    const refused = settled.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.every((reason) => reason instanceof ModelBusy)).toBe(true);
    expect(settled.length - refused.length).toBeGreaterThanOrEqual(1_024);
  });

  test('a file that is not a model is refused in words', async () => {
    await expect(OnnxModel.load(join(folder, 'cases.json'), 1)).rejects.toThrow(/protobuf|load|parse/i);
  });
});
