// How tests ask the owner of a cluster for what needs its rights and its hands: JSON over a unix socket beside the kubeconfig.
import { rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { Client } from 'undici';
import type { CutPart } from './network.ts';
import type { NodeShape } from './node-settings.ts';
import type { BuiltImage } from './oci-image.ts';

export interface NodeState {
  readonly name: string;
  readonly address: string;
  readonly running: boolean;
}

/** Each returns when it is done; a started node is Ready. */
export interface ClusterControl {
  nodes(): Promise<readonly NodeState[]>;
  addNode(shape: NodeShape): Promise<string>;
  removeNode(name: string): Promise<void>;
  stopNode(name: string): Promise<void>;
  startNode(name: string): Promise<void>;
  killKubelet(name: string): Promise<void>;
  startKubelet(name: string): Promise<void>;
  /** Of the whole node unless only its pods are meant. */
  cutNetwork(name: string, part?: CutPart): Promise<void>;
  healNetwork(name: string): Promise<void>;
  killContainer(node: string, containerId: string): Promise<void>;
  importImage(image: BuiltImage): Promise<void>;
}

const OPERATIONS = [
  'nodes',
  'addNode',
  'removeNode',
  'stopNode',
  'startNode',
  'killKubelet',
  'startKubelet',
  'cutNetwork',
  'healNetwork',
  'killContainer',
  'importImage',
] as const satisfies readonly (keyof ClusterControl)[];

type Operation = (...args: unknown[]) => Promise<unknown>;

/** A new node on a busy machine takes a minute. */
const TIMEOUT_MS = 240_000;

export class ControlServer {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async listen(path: string, control: ClusterControl): Promise<ControlServer> {
    rmSync(path, { force: true });
    const server = createServer((request, response) => {
      void answer(request, control).then((outcome) => response.end(JSON.stringify(outcome)));
    });
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve));
    return new ControlServer(server);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

type Outcome = { readonly value: unknown } | { readonly error: string };

async function answer(request: IncomingMessage, control: ClusterControl): Promise<Outcome> {
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { operation, args } = JSON.parse(Buffer.concat(chunks).toString()) as { operation: string; args: unknown[] };
    const name = OPERATIONS.find((known) => known === operation);
    if (name === undefined) throw new Error(`there is no ${operation}`);
    return { value: await (control[name].bind(control) as Operation)(...args) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

/** The owner's operations, from any process of the same user. */
export function controlAt(path: string): ClusterControl {
  const call = async (operation: string, args: unknown[]): Promise<unknown> => {
    const client = new Client('http://cluster', { socketPath: path, headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS });
    try {
      const reply = await client.request({ method: 'POST', path: '/', body: JSON.stringify({ operation, args }) });
      const outcome = (await reply.body.json()) as Outcome;
      if ('error' in outcome) throw new Error(outcome.error);
      return outcome.value;
    } finally {
      await client.close();
    }
  };
  const entries = OPERATIONS.map((name) => [name, (...args: unknown[]) => call(name, args)] as const);
  return Object.fromEntries(entries) as Record<(typeof OPERATIONS)[number], Operation> as ClusterControl;
}
