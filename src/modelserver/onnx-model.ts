import * as ort from 'onnxruntime-node';
import { isBatchable, planBatch, stack, unstack } from './batch.ts';
import type { Datatype, InferRequest, Tensor, TensorSpec } from './tensor.ts';

/** ONNX Runtime's element type for each datatype; what is missing here this server does not speak. */
const ELEMENT_TYPES = {
  BOOL: 'bool',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  FP32: 'float32',
  FP64: 'float64',
  BYTES: 'string',
} as const satisfies Record<Datatype, ort.Tensor.Type>;

/** Requests that may wait for a run. Higher: memory and latency under overload; lower: bursts are refused. */
const MAX_WAITING = 1_024;

/** More requests wait than the server keeps. */
export class ModelBusy extends Error {
  override readonly name = 'ModelBusy';
}

interface Waiting {
  readonly request: InferRequest;
  readonly resolve: (outputs: readonly Tensor[]) => void;
  readonly reject: (error: Error) => void;
}

/**
 * One ONNX model. Batching adapts by itself: an idle model runs a request at once, and what arrives during a run shares the next one,
 * so that batches grow with the load and nobody ever waits for a timer.
 */
export class OnnxModel {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly #session: ort.InferenceSession;
  #batchable: boolean;
  #waiting: Waiting[] = [];
  #running = false;
  #runs = 0;

  private constructor(session: ort.InferenceSession) {
    this.#session = session;
    this.inputs = session.inputMetadata.map(toSpec);
    this.outputs = session.outputMetadata.map(toSpec);
    this.#batchable = isBatchable([...this.inputs, ...this.outputs]);
  }

  /** Throws ONNX Runtime's own words if the file is not a model that it can run. */
  static async load(path: string, threads: number): Promise<OnnxModel> {
    const session = await ort.InferenceSession.create(path, {
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      logSeverityLevel: 3,
    });
    return new OnnxModel(session);
  }

  /** How often the model was run; fewer than requests where they came together. */
  get runs(): number {
    return this.#runs;
  }

  /** Runs the model on one request, possibly in one batch with others. Throws `ModelBusy` when too many wait. */
  infer(request: InferRequest): Promise<readonly Tensor[]> {
    if (this.#waiting.length >= MAX_WAITING)
      return Promise.reject(new ModelBusy(`More than ${MAX_WAITING} requests are waiting.`));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, resolve, reject });
      void this.#drain();
    });
  }

  async #drain(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    while (this.#waiting.length > 0) await this.#runBatch();
    this.#running = false;
  }

  async #runBatch(): Promise<void> {
    const batch = planBatch(this.#waiting, this.#batchable);
    this.#waiting = this.#waiting.filter((waiting) => !batch.includes(waiting));
    try {
      const requests = batch.map(({ request }) => request);
      const parts = unstack(await this.#run(stack(requests)), requests);
      if (parts) batch.forEach(({ resolve }, i) => resolve(parts[i] ?? []));
      else this.#goAlone(batch);
    } catch (error) {
      // One request may have spoiled the others' run: each is tried alone, so that only the culprit fails.
      if (batch.length > 1) this.#requeueAlone(batch);
      else batch[0]?.reject(error as Error);
    }
  }

  /** The signature promised free rows but the outputs cannot be cut: never batch this model again. */
  #goAlone(batch: readonly Waiting[]): void {
    this.#batchable = false;
    this.#waiting.unshift(...batch);
  }

  #requeueAlone(batch: readonly Waiting[]): void {
    for (const { request, resolve, reject } of batch) this.#run(request.inputs).then(resolve, reject);
  }

  async #run(inputs: readonly Tensor[]): Promise<readonly Tensor[]> {
    const feeds = Object.fromEntries(inputs.map((input) => [input.name, toOrt(input)]));
    this.#runs += 1;
    const results = await this.#session.run(feeds);
    return this.outputs.flatMap(({ name, datatype }) => {
      const value = results[name];
      return value ? [{ name, datatype, shape: value.dims, data: Array.from(value.data as ArrayLike<number>) }] : [];
    });
  }
}

function toSpec(metadata: ort.InferenceSession.ValueMetadata): TensorSpec {
  if (!metadata.isTensor) throw new Error(`"${metadata.name}" is not a tensor; this server speaks tensors only.`);
  const datatype = (Object.keys(ELEMENT_TYPES) as Datatype[]).find((name) => ELEMENT_TYPES[name] === metadata.type);
  if (!datatype) throw new Error(`"${metadata.name}" has the element type ${metadata.type}, which this server does not speak.`);
  return {
    name: metadata.name,
    datatype,
    shape: metadata.shape.map((dimension) => (typeof dimension === 'number' && dimension >= 0 ? dimension : -1)),
  };
}

function toOrt({ datatype, data, shape }: Tensor): ort.Tensor {
  const type = ELEMENT_TYPES[datatype];
  if (type === 'string') return new ort.Tensor(type, data as string[], shape);
  if (type === 'int64' || type === 'uint64')
    return new ort.Tensor(type, (type === 'int64' ? BigInt64Array : BigUint64Array).from(data as bigint[]), shape);
  return new ort.Tensor(type, data as number[], shape);
}
