import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ModelBusy, type OnnxModel } from './onnx-model.ts';
import { InvalidRequest, parseInferRequest, type Tensor, type TensorSpec } from './tensor.ts';

declare global {
  interface JSON {
    /** ECMAScript's raw JSON text, which Node has and the compiler's library does not know yet: exact 64-bit integers. */
    rawJSON(text: string): object;
  }
}

/** Bytes of one request. Higher: a request can exhaust memory; lower: large inputs are refused. */
const MAX_BODY_BYTES = 32 * 1024 * 1024;
/** Idle connections are kept longer than any client keeps its own, so that the client closes first and no request meets a reset. */
const KEEP_ALIVE_MS = 120_000;

export interface ModelServerOptions {
  /** Null while it is still on its way; `serve` brings it. Until then this is alive and not ready. */
  readonly model: OnnxModel | null;
  /** The name in the protocol's routes: the deployment's. */
  readonly name: string;
  readonly version: string;
  readonly serverVersion: string;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** Serves one model by the Open Inference Protocol v2 (REST): health, metadata, readiness and inference, with or without a version. */
export class ModelServer {
  readonly #options: ModelServerOptions;
  readonly #server: Server;
  #model: OnnxModel | null;
  #draining = false;

  constructor(options: ModelServerOptions) {
    this.#options = options;
    this.#model = options.model;
    this.#server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => void this.#handle(request, response));
  }

  /** Resolves with the port; 0 asks for any. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => resolve((this.#server.address() as AddressInfo).port));
    });
  }

  /** The model has come: from now on it is ready. */
  serve(model: OnnxModel): void {
    this.#model = model;
  }

  /** Answers what it has, takes nothing new, resolves when the last connection is closed. */
  drain(): Promise<void> {
    this.#draining = true;
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeIdleConnections();
    });
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const answer = await this.#answer(request).catch(toErrorAnswer);
    // What is left of a body that was not read ends with the connection.
    if (this.#draining || !request.complete) response.setHeader('connection', 'close');
    const text = JSON.stringify(answer.body, (_key, value: unknown) =>
      typeof value === 'bigint' ? JSON.rawJSON(value.toString()) : value,
    );
    response
      .writeHead(answer.status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
      .end(text);
  }

  async #answer(request: IncomingMessage): Promise<Answer> {
    const path = pathOf(request);
    if (path === '/v2' || path === '/v2/')
      return get(request, { name: 'purser-model-server', version: this.#options.serverVersion, extensions: [] });
    if (path === '/v2/health/live') return get(request, { live: true });
    if (path === '/v2/health/ready')
      return this.#draining || !this.#model ? { status: 503, body: { ready: false } } : get(request, { ready: true });
    const match = /^\/v2\/models\/([^/]+)(?:\/versions\/([^/]+))?(?:\/(ready|infer))?$/.exec(path);
    if (!match) return { status: 404, body: { error: 'No such route. See the Open Inference Protocol v2.' } };
    return this.#answerModel(request, {
      name: decode(match[1]),
      version: match[2] === undefined ? null : decode(match[2]),
      verb: match[3] ?? 'metadata',
    });
  }

  async #answerModel(request: IncomingMessage, asked: { name: string; version: string | null; verb: string }): Promise<Answer> {
    const { name, version } = this.#options;
    const model = this.#model;
    if (asked.name !== name) return { status: 404, body: { error: `This replica serves "${name}".` } };
    if (asked.version !== null && asked.version !== version)
      return { status: 404, body: { error: `This replica serves version ${version}.` } };
    if (!model) return { status: 503, body: { error: 'The model is being loaded.' } };
    if (asked.verb === 'ready') return get(request, { name, ready: true });
    if (asked.verb === 'infer') return this.#infer(request, model);
    return get(request, {
      name,
      versions: [version],
      platform: 'onnxruntime_onnx',
      inputs: model.inputs.map(describe),
      outputs: model.outputs.map(describe),
    });
  }

  async #infer(request: IncomingMessage, model: OnnxModel): Promise<Answer> {
    if (request.method !== 'POST') return methodNotAllowed('POST');
    const { name, version } = this.#options;
    const parsed = parseInferRequest(parseJson(await readBody(request)), model);
    const outputs = await model.infer(parsed);
    const wanted = parsed.outputs.length === 0 ? outputs : outputs.filter((output) => parsed.outputs.includes(output.name));
    return {
      status: 200,
      body: {
        model_name: name,
        model_version: version,
        ...(parsed.id === null ? {} : { id: parsed.id }),
        outputs: wanted.map(toWire),
      },
    };
  }
}

const pathOf = (request: IncomingMessage): string => (request.url ?? '/').split('?', 1)[0] ?? '/';

const describe = ({ name, datatype, shape }: TensorSpec) => ({ name, datatype, shape });

/** JSON has no NaN and no infinity; the protocol's JSON form cannot carry them, so they become null. */
const toWire = ({ name, datatype, shape, data }: Tensor) => ({
  name,
  datatype,
  shape,
  data: datatype === 'BOOL' ? data.map(Boolean) : data,
});

const get = (request: IncomingMessage, body: unknown): Answer =>
  request.method === 'GET' || request.method === 'HEAD' ? { status: 200, body } : methodNotAllowed('GET');

const methodNotAllowed = (allowed: string): Answer => ({ status: 405, body: { error: `Use ${allowed}.` } });

function decode(segment: string | undefined): string {
  try {
    return decodeURIComponent(segment ?? '');
  } catch {
    throw new InvalidRequest('The path is not valid percent-encoding.');
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  // Left early it is not destroyed: the refusal must still go out.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new BodyTooLarge(`The body is larger than ${MAX_BODY_BYTES} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

class BodyTooLarge extends Error {
  override readonly name = 'BodyTooLarge';
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new InvalidRequest('The body is not JSON.');
  }
}

/** The protocol's error form: `{"error": "…"}`. A failing run is the model's fault and says so. */
function toErrorAnswer(error: unknown): Answer {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof InvalidRequest) return { status: 400, body: { error: message } };
  if (error instanceof BodyTooLarge) return { status: 413, body: { error: message } };
  if (error instanceof ModelBusy) return { status: 429, body: { error: message } };
  return { status: 500, body: { error: `The model failed: ${message}` } };
}
