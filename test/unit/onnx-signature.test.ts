// The example model cut into pieces at every place, hand-made messages, and files that are something else.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../../src/main/package-root.ts';
import { OnnxSignatureReader } from '../../src/registry/onnx-signature.ts';
import { readArtifactGrant, signArtifactGrant } from '../../src/registry/artifact-grant.ts';

const digits = readFileSync(join(packageRoot, 'deploy', 'example', 'digits', 'digits.onnx'));

function read(bytes: Uint8Array, pieceBytes = bytes.length || 1) {
  const reader = new OnnxSignatureReader(bytes.length);
  for (let at = 0; at < bytes.length; at += pieceBytes) reader.push(bytes.subarray(at, at + pieceBytes));
  return reader.end();
}

const varint = (value: number): number[] => (value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))]);
const bytesField = (field: number, content: readonly number[]) => [
  ...varint(field * 8 + 2),
  ...varint(content.length),
  ...content,
];
const numberField = (field: number, value: number) => [...varint(field * 8), ...varint(value)];
const textField = (field: number, text: string) => bytesField(field, [...new TextEncoder().encode(text)]);
const tensor = (name: string, type: number, dims: readonly (number | string)[]) => {
  const shape = dims.flatMap((dim) => bytesField(1, typeof dim === 'number' ? numberField(1, dim) : textField(2, dim)));
  return [...textField(1, name), ...bytesField(2, bytesField(1, [...numberField(1, type), ...bytesField(2, shape)]))];
};
const graph = [
  ...bytesField(1, textField(4, 'Add')),
  ...bytesField(5, [...numberField(2, 1), ...bytesField(9, Array<number>(3000).fill(255)), ...textField(8, 'weights')]),
  ...bytesField(11, tensor('x', 1, ['batch', 64])),
  ...bytesField(11, tensor('weights', 1, [64, 10])),
  ...bytesField(12, tensor('label', 7, ['batch'])),
  ...bytesField(12, [...textField(1, 'scores'), ...bytesField(2, bytesField(4, []))]),
];
const model = Uint8Array.from([...numberField(1, 8), ...bytesField(8, numberField(2, 17)), ...bytesField(7, graph)]);

describe('Registry: the ONNX signature is read from the file itself', () => {
  test('the example model', () => {
    const result = read(digits);
    expect(result.ok).toBe(true);
    if (!result.ok) return;
    expect(result.value.inputs.map((input) => [input.datatype, input.shape])).toEqual([['FP32', [-1, 64]]]);
    expect(result.value.outputs.length).toBeGreaterThan(0);
    expect(result.value.irVersion).toBeGreaterThan(2);
    expect(result.value.opset).toBeGreaterThan(0);
  });

  test('free dimensions are -1, constants are no inputs, and what has no datatype is OTHER', () => {
    expect(read(model)).toEqual({
      ok: true,
      value: {
        inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 64] }],
        outputs: [
          { name: 'label', datatype: 'INT64', shape: [-1] },
          { name: 'scores', datatype: 'OTHER', shape: [] },
        ],
        irVersion: 8,
        opset: 17,
      },
    });
  });

  test('the size of the pieces does not matter', () => {
    for (const pieceBytes of [1, 2, 3, 7, 64, 1000]) expect(read(model, pieceBytes)).toEqual(read(model));
    expect(read(digits, 13)).toEqual(read(digits));
  });

  test.each([
    ['text', new TextEncoder().encode('this is not a model at all')],
    ['an image', Uint8Array.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13])],
    ['nothing', new Uint8Array()],
    ['zeros', new Uint8Array(1000)],
    ['a model that was cut', digits.subarray(0, digits.length - 1)],
    ['a model without outputs', Uint8Array.from([...numberField(1, 8), ...bytesField(7, [])])],
  ])('%s is refused with a reason', (_, bytes) => {
    const result = read(bytes);
    expect(result).toMatchObject({ ok: false, error: { code: 'INVALID_INPUT' } });
    expect(!result.ok && result.error.message).toMatch(/^The artifact is not an ONNX model: .+\.$/);
  });

  test('names of constants may fill 16 MiB and no more', () => {
    const constant = Uint8Array.from(bytesField(5, textField(8, 'x'.repeat(4_096))));
    const output = Uint8Array.from(bytesField(12, tensor('label', 7, ['batch'])));
    const withConstants = (count: number) => {
      const content = Buffer.concat([...Array<Uint8Array>(count).fill(constant), output]);
      return Buffer.concat([Uint8Array.from([...numberField(1, 8), 7 * 8 + 2, ...varint(content.length)]), content]);
    };
    expect(read(withConstants(4_096), 1_000_000).ok).toBe(true);
    expect(read(withConstants(4_097), 1_000_000)).toMatchObject({ ok: false, error: { code: 'INVALID_INPUT' } });
  });

  test('no bytes make it throw', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void read(bytes, 5)));
    const damaged = fc.tuple(fc.nat(model.length - 1), fc.nat(255));
    fc.assert(fc.property(damaged, ([at, value]) => void read(model.with(at, value), 50)));
  });
});

describe('Registry: permission to read one artifact', () => {
  const grant = {
    workloadId: '00000000-0000-7000-8000-000000000001',
    projectId: '00000000-0000-7000-8000-000000000002',
    digest: `sha256:${'a'.repeat(64)}`,
    expiresAt: 2000,
  };
  const token = signArtifactGrant(grant, 'secret');

  test('is read back until it expires', () => {
    expect(readArtifactGrant(token, 'secret', 1999)).toEqual(grant);
    expect(readArtifactGrant(token, 'secret', 2000)).toBeNull();
  });

  test('cannot be changed, extended or signed with another secret', () => {
    expect(readArtifactGrant(token, 'other', 0)).toBeNull();
    expect(readArtifactGrant(token.replace('_2000_', '_9000_'), 'secret', 0)).toBeNull();
    expect(readArtifactGrant(token.replace('a'.repeat(64), 'b'.repeat(64)), 'secret', 0)).toBeNull();
    expect(readArtifactGrant(`${token}x`, 'secret', 0)).toBeNull();
  });
});
