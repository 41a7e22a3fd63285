// etcd and an API server without nodes and without controllers, on ports of their own: as many as a test wants.
import { ApiClient } from './api.ts';
import { ClusterAccess } from './access.ts';
import { ControlPlane } from './control-plane.ts';
import { FakeNodes } from './fake-nodes.ts';
import { apiServiceAddress, serviceRange } from './network.ts';
import { kubeProgram } from './programs.ts';
import { takeBareFolder, type RunFolder } from './run-folder.ts';

export interface BareApiServerOptions {
  /** With controller manager and scheduler: deployments make pods, and endpoints follow pods. */
  readonly controllers?: boolean;
  /** With controllers and this many nodes that say of every pod that it runs; nothing runs, and nothing answers at a pod's address. */
  readonly pretendedNodes?: number;
}

export class BareApiServer extends ClusterAccess {
  readonly #plane: ControlPlane;
  readonly #folder: RunFolder;
  #nodes: FakeNodes | null = null;

  private constructor(plane: ControlPlane, folder: RunFolder, api: ApiClient) {
    super(plane.kubeconfig('admin'), api);
    this.#plane = plane;
    this.#folder = folder;
  }

  /** Ready in three seconds; lives until `stop()` or the end of this process. */
  static async start({ controllers = false, pretendedNodes = 0 }: BareApiServerOptions = {}): Promise<BareApiServer> {
    const kube = await kubeProgram();
    const folder = await takeBareFolder();
    const local = { address: '127.0.0.1', serviceRange: serviceRange(0), apiServiceAddress: apiServiceAddress(0) };
    const full = controllers || pretendedNodes > 0;
    try {
      const plane = await ControlPlane.start({ kube, folder, ...local, full, nodes: [] });
      const server = new BareApiServer(plane, folder, await ApiClient.of(plane.kubeconfig('admin')));
      const shapes = Array.from({ length: pretendedNodes }, () => ({}));
      if (pretendedNodes > 0) server.#nodes = await FakeNodes.start(server.kubeconfig, shapes);
      return server;
    } catch (error) {
      await folder.remove();
      throw error;
    }
  }

  /** "https://127.0.0.1:PORT". */
  get server(): string {
    return this.#plane.server;
  }

  /** The API server ends; its data stay. */
  async stopServing(): Promise<void> {
    await this.#plane.stopServing();
  }

  /** It comes back under the same address. */
  async startServing(): Promise<void> {
    await this.#plane.startServing();
  }

  /** Connections stay open and nothing answers. */
  freeze(): void {
    this.#plane.signal('SIGSTOP');
  }

  thaw(): void {
    this.#plane.signal('SIGCONT');
  }

  async stop(): Promise<void> {
    await this.#nodes?.stop();
    await this.api.close();
    await this.#plane.stop(0);
    await this.#folder.remove();
  }
}

export const startBareApiServer = (options?: BareApiServerOptions): Promise<BareApiServer> => BareApiServer.start(options);
