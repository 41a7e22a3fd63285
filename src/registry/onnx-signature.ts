import { failure, type Failure } from '../kernel/failure.ts';
import { err, ok, type Result } from '../kernel/result.ts';
import type { Signature, Tensor } from './model-version.ts';
import { Malformed, readMessage, readText, type Need, type Parser, type Position } from './wire-reader.ts';

/** ONNX `TensorProto.DataType` → Open Inference Protocol datatype. */
const DATATYPES: Readonly<Record<number, string>> = {
  1: 'FP32',
  2: 'UINT8',
  3: 'INT8',
  4: 'UINT16',
  5: 'INT16',
  6: 'INT32',
  7: 'INT64',
  8: 'BYTES',
  9: 'BOOL',
  10: 'FP16',
  11: 'FP64',
  12: 'UINT32',
  13: 'UINT64',
  16: 'BF16',
};
/** Sequences, maps and tensors of types that the protocol has no name for. */
const UNNAMED_TYPE = 'OTHER';

/** Higher lets a hostile file fill memory; real models have names below 300 bytes and fewer than 1,000 inputs. */
const MAX_NAME_BYTES = 4_096;
const MAX_VALUES = 10_000;
const MAX_RANK = 64;
/** Names of constants together. Higher lets a hostile file fill memory, lower refuses models of very many layers. */
const MAX_CONSTANT_NAMES_BYTES = 16 * 1024 * 1024;

// Field numbers of onnx.proto (onnx/onnx, IR version 3 and later).
const MODEL = { irVersion: 1, graph: 7, opsetImport: 8 } as const;
const OPSET = { domain: 1, version: 2 } as const;
const GRAPH = { initializer: 5, input: 11, output: 12 } as const;
const TENSOR_NAME = 8;
const VALUE = { name: 1, type: 2 } as const;
const TENSOR_TYPE = 1;
const TENSOR = { elemType: 1, shape: 2 } as const;
const DIM = 1;
const DIM_VALUE = 1;

interface Found {
  irVersion: number;
  opset: number;
  readonly inputs: Tensor[];
  readonly outputs: Tensor[];
  readonly initializers: Set<string>;
  initializerBytes: number;
}

/**
 * Reads what an ONNX model takes and gives from its bytes as they stream by; weights are passed over, never kept. Inputs that have an
 * initializer are constants and left out. `sizeBytes` is the size of the whole file.
 */
export class OnnxSignatureReader {
  readonly #found: Found = { irVersion: 0, opset: 0, inputs: [], outputs: [], initializers: new Set(), initializerBytes: 0 };
  readonly #parser: Parser<void>;
  #need: Need | null = null;
  #held = new Uint8Array();
  #reason: string | null = null;

  constructor(sizeBytes: number) {
    this.#parser = readModel({ at: 0 }, sizeBytes, this.#found);
    this.#step(() => this.#parser.next());
  }

  /** Takes the next bytes of the file. */
  push(chunk: Uint8Array): void {
    let rest = this.#held.length > 0 ? concat(this.#held, chunk) : chunk;
    this.#held = new Uint8Array();
    while (this.#need && this.#reason === null && rest.length > 0) {
      if ('skip' in this.#need) {
        const skipped = Math.min(this.#need.skip, rest.length);
        rest = rest.subarray(skipped);
        this.#skip(this.#need.skip - skipped);
      } else if (rest.length >= this.#need.take) {
        const bytes = rest.subarray(0, this.#need.take);
        rest = rest.subarray(this.#need.take);
        this.#step(() => this.#parser.next(bytes));
      } else {
        this.#held = rest.slice();
        return;
      }
    }
  }

  /** The signature; INVALID_INPUT with the reason when the bytes were not a whole ONNX model. */
  end(): Result<Signature, Failure> {
    const { irVersion, opset, outputs, initializers } = this.#found;
    const reason = this.#reason ?? (this.#need ? 'it is cut off' : missingPart(this.#found));
    if (reason !== null)
      return err(
        failure('INVALID_INPUT', `The artifact is not an ONNX model: ${reason}.`, {
          hint: 'Export the model again and upload that file.',
        }),
      );
    return ok({ inputs: this.#found.inputs.filter((input) => !initializers.has(input.name)), outputs, irVersion, opset });
  }

  #skip(left: number): void {
    if (left > 0) this.#need = { skip: left };
    else this.#step(() => this.#parser.next(new Uint8Array()));
  }

  #step(next: () => IteratorResult<Need, void>): void {
    try {
      const result = next();
      this.#need = result.done === true ? null : result.value;
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.#reason = error.message;
    }
  }
}

function missingPart(found: Found): string | null {
  if (found.irVersion < 1) return 'it has no IR version';
  return found.outputs.length === 0 ? 'its graph has no outputs' : null;
}

const readModel = (position: Position, end: number, found: Found): Parser<void> =>
  readMessage(position, end, {
    number: (field, value) => {
      if (field === MODEL.irVersion) found.irVersion = Number(value);
    },
    bytes: (field, length) => {
      if (field === MODEL.graph) return readGraph(position, position.at + length, found);
      return field === MODEL.opsetImport ? readOpset(position, position.at + length, found) : null;
    },
  });

/** Only the default domain counts; its name is empty or absent. */
function* readOpset(position: Position, end: number, found: Found): Parser<void> {
  let domain = 0;
  let version = 0;
  yield* readMessage(position, end, {
    number: (field, value) => {
      if (field === OPSET.version) version = Number(value);
    },
    bytes: (field, length) => {
      if (field === OPSET.domain) domain = length;
      return null;
    },
  });
  if (domain === 0) found.opset = version;
}

const readGraph = (position: Position, end: number, found: Found): Parser<void> =>
  readMessage(position, end, {
    bytes: (field, length) => {
      if (field === GRAPH.initializer) return readInitializer(position, position.at + length, found);
      if (field === GRAPH.input) return readValue(position, position.at + length, found.inputs);
      return field === GRAPH.output ? readValue(position, position.at + length, found.outputs) : null;
    },
  });

const readInitializer = (position: Position, end: number, found: Found): Parser<void> =>
  readMessage(position, end, {
    bytes: (field, length) => {
      if (field !== TENSOR_NAME) return null;
      found.initializerBytes += length;
      if (found.initializerBytes > MAX_CONSTANT_NAMES_BYTES) throw new Malformed('its constants have too many or too long names');
      return keepText(position, length, (name) => found.initializers.add(name));
    },
  });

function* keepText(position: Position, length: number, keep: (text: string) => void): Parser<void> {
  keep(yield* readText(position, length, MAX_NAME_BYTES));
}

interface Draft {
  name: string;
  datatype: string;
  shape: number[];
}

function* readValue(position: Position, end: number, values: Tensor[]): Parser<void> {
  if (values.length >= MAX_VALUES) throw new Malformed(`it has more than ${MAX_VALUES} inputs or outputs`);
  const draft: Draft = { name: '', datatype: UNNAMED_TYPE, shape: [] };
  yield* readMessage(position, end, {
    bytes: (field, length) => {
      if (field === VALUE.name) return keepText(position, length, (name) => (draft.name = name));
      return field === VALUE.type ? readType(position, position.at + length, draft) : null;
    },
  });
  if (draft.name === '') throw new Malformed('it has an input or output without a name');
  values.push(draft);
}

const readType = (position: Position, end: number, draft: Draft): Parser<void> =>
  readMessage(position, end, {
    bytes: (field, length) => (field === TENSOR_TYPE ? readTensorType(position, position.at + length, draft) : null),
  });

const readTensorType = (position: Position, end: number, draft: Draft): Parser<void> =>
  readMessage(position, end, {
    number: (field, value) => {
      if (field === TENSOR.elemType) draft.datatype = DATATYPES[Number(value)] ?? UNNAMED_TYPE;
    },
    bytes: (field, length) => (field === TENSOR.shape ? readShape(position, position.at + length, draft) : null),
  });

const readShape = (position: Position, end: number, draft: Draft): Parser<void> =>
  readMessage(position, end, {
    bytes: (field, length) => (field === DIM ? readDim(position, position.at + length, draft) : null),
  });

/** A dimension with a name instead of a number (`dim_param`), or with neither, is free: -1. */
function* readDim(position: Position, end: number, draft: Draft): Parser<void> {
  if (draft.shape.length >= MAX_RANK) throw new Malformed(`it has a tensor of more than ${MAX_RANK} dimensions`);
  let size = -1;
  yield* readMessage(position, end, {
    number: (field, value) => {
      if (field === DIM_VALUE) size = Number(value);
    },
  });
  draft.shape.push(size);
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}
