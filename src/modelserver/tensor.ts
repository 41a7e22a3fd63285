/** Open Inference Protocol v2 datatypes that this server speaks. */
export const DATATYPES = [
  'BOOL',
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'FP32',
  'FP64',
  'BYTES',
] as const;

export type Datatype = (typeof DATATYPES)[number];

export interface TensorSpec {
  readonly name: string;
  readonly datatype: Datatype;
  /** -1 = free. */
  readonly shape: readonly number[];
}

export type TensorData = readonly (number | bigint | boolean | string)[];

export interface Tensor extends TensorSpec {
  /** Row-major, as many as the product of the shape. */
  readonly data: TensorData;
}

export interface InferRequest {
  readonly id: string | null;
  readonly inputs: readonly Tensor[];
  /** Names of the wanted outputs; empty = all. */
  readonly outputs: readonly string[];
}

/** A request that the protocol or the model's signature refuses; `message` names the field and the mend. */
export class InvalidRequest extends Error {
  override readonly name = 'InvalidRequest';
}

/** Elements of one tensor. Higher: one request can exhaust the replica's memory; lower: large batches are refused. */
const MAX_ELEMENTS = 16_777_216;

/** Checks a request body against the model's signature. Throws `InvalidRequest`. */
export function parseInferRequest(
  body: unknown,
  signature: { inputs: readonly TensorSpec[]; outputs: readonly TensorSpec[] },
): InferRequest {
  const request = asObject(body, 'the body');
  if (!Array.isArray(request.inputs)) throw new InvalidRequest('"inputs" must be an array of tensors.');
  const inputs = request.inputs.map((input, i) => parseTensor(input, `inputs[${i}]`, signature.inputs));
  for (const { name } of signature.inputs) {
    const given = inputs.filter((input) => input.name === name).length;
    if (given !== 1)
      throw new InvalidRequest(given === 0 ? `Input "${name}" is missing.` : `Input "${name}" is given ${given} times.`);
  }
  return { id: parseId(request.id), inputs, outputs: parseOutputs(request.outputs, signature.outputs) };
}

function parseId(id: unknown): string | null {
  if (id === undefined || id === null) return null;
  if (typeof id !== 'string') throw new InvalidRequest('"id" must be a string.');
  return id;
}

function parseOutputs(outputs: unknown, known: readonly TensorSpec[]): string[] {
  if (outputs === undefined) return [];
  if (!Array.isArray(outputs)) throw new InvalidRequest('"outputs" must be an array.');
  return outputs.map((output, i) => {
    const { name } = asObject(output, `outputs[${i}]`);
    if (typeof name !== 'string' || !known.some((spec) => spec.name === name))
      throw new InvalidRequest(`outputs[${i}].name is not an output of this model.`);
    return name;
  });
}

function parseTensor(value: unknown, path: string, specs: readonly TensorSpec[]): Tensor {
  const { name, datatype, shape, data } = asObject(value, path);
  const spec = specs.find((candidate) => candidate.name === name);
  if (!spec) throw new InvalidRequest(`${path}.name must be one of: ${specs.map((candidate) => candidate.name).join(', ')}.`);
  if (datatype !== spec.datatype) throw new InvalidRequest(`${path}.datatype must be ${spec.datatype}.`);
  const dimensions = parseShape(shape, path, spec);
  const count = dimensions.reduce((product, dimension) => product * dimension, 1);
  if (count > MAX_ELEMENTS) throw new InvalidRequest(`${path}.shape has more than ${MAX_ELEMENTS} elements.`);
  if (!Array.isArray(data)) throw new InvalidRequest(`${path}.data must be an array.`);
  const flat = data.flat(Number.POSITIVE_INFINITY) as unknown[];
  if (flat.length !== count)
    throw new InvalidRequest(`${path}.data has ${flat.length} elements where its shape asks for ${count}.`);
  return {
    name: spec.name,
    datatype: spec.datatype,
    shape: dimensions,
    data: flat.map((element) => parseElement(element, spec.datatype, path)),
  };
}

function parseShape(shape: unknown, path: string, spec: TensorSpec): number[] {
  if (!Array.isArray(shape) || !shape.every((dimension) => Number.isSafeInteger(dimension) && dimension >= 0)) {
    throw new InvalidRequest(`${path}.shape must be an array of non-negative integers.`);
  }
  const dimensions = shape as number[];
  const fits = dimensions.length === spec.shape.length && spec.shape.every((wanted, i) => wanted < 0 || wanted === dimensions[i]);
  if (!fits) throw new InvalidRequest(`${path}.shape must be [${spec.shape.join(', ')}] (-1 = any).`);
  return dimensions;
}

const INTEGER_RANGES: Readonly<Partial<Record<Datatype, readonly [number, number]>>> = {
  UINT8: [0, 255],
  UINT16: [0, 65_535],
  UINT32: [0, 4_294_967_295],
  INT8: [-128, 127],
  INT16: [-32_768, 32_767],
  INT32: [-2_147_483_648, 2_147_483_647],
};

function parseElement(element: unknown, datatype: Datatype, path: string): number | bigint | boolean | string {
  const wrong = () => new InvalidRequest(`${path}.data has an element that is no ${datatype}.`);
  if (datatype === 'BYTES') {
    if (typeof element !== 'string') throw wrong();
    return element;
  }
  if (datatype === 'BOOL') {
    if (typeof element !== 'boolean') throw wrong();
    return element;
  }
  if (typeof element !== 'number' || !Number.isFinite(element)) throw wrong();
  if (datatype === 'FP32' || datatype === 'FP64') return element;
  if (!Number.isSafeInteger(element)) throw wrong();
  return integer(element, datatype, wrong);
}

function integer(element: number, datatype: Datatype, wrong: () => InvalidRequest): number | bigint {
  const range = INTEGER_RANGES[datatype];
  if (range && (element < range[0] || element > range[1])) throw wrong();
  if (datatype === 'UINT64' && element < 0) throw wrong();
  return datatype === 'INT64' || datatype === 'UINT64' ? BigInt(element) : element;
}

function asObject(value: unknown, path: string): Record<string, unknown> {
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw new InvalidRequest(`${path} must be a JSON object.`);
  return value as Record<string, unknown>;
}
