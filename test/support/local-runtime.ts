import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import type { ReplicaRuntime, WorkloadSpec } from '../../src/deployments/cluster.port.ts';
import type { LocalCluster } from '../../src/local/local-cluster.adapter.ts';
import { runtimePaths } from '../../src/local/runtime-folder.ts';
import { ensureRuntime, stopRuntime } from '../../src/local/spawn-runtime.ts';
import { builtEntry, builtNode, ensureBuilt } from './build.ts';

/** A real runtime process with a data folder of its own. */
export interface TestRuntime {
  readonly dataDir: string;
  cluster: LocalCluster;
  /** Starts it again after it was ended. */
  start(): Promise<LocalCluster>;
  close(): Promise<void>;
}

export async function startTestRuntime(env: NodeJS.ProcessEnv = { PURSER_ALLOW_PROCESS: '1' }): Promise<TestRuntime> {
  await ensureBuilt();
  const dataDir = mkdtempSync(join(tmpdir(), 'purser-runtime-'));
  const start = () =>
    ensureRuntime({
      dataDir,
      node: builtNode,
      entry: builtEntry,
      env: { PATH: process.env.PATH, PURSER_LOG_LEVEL: 'warn', ...env },
    });
  const runtime: TestRuntime = {
    dataDir,
    cluster: await start(),
    start: async () => (runtime.cluster = await start()),
    close: async () => {
      await stopRuntime(dataDir);
      rmSync(runtimePaths(dataDir, process.getuid?.() === 0).homes, { recursive: true, force: true });
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
  return runtime;
}

/** An answering HTTP server in a few lines of JavaScript, as a user's command. */
export const httpCommand = (body: string): readonly string[] => [
  builtNode,
  '-e',
  `const http = require('http'); ${body}
   process.on('SIGTERM', () => process.exit(0));`,
];

export const answering = httpCommand(
  `http.createServer((q, s) => { console.log('asked', q.url); s.end('ok'); }).listen(process.env.PORT, '127.0.0.1');`,
);

export const processRuntime = (command: readonly string[], environment: Record<string, string> = {}): ReplicaRuntime => ({
  format: 'process',
  command,
  environment,
});

export function workload(runtime: ReplicaRuntime, more: Partial<WorkloadSpec> = {}): WorkloadSpec {
  return {
    workloadId: randomUUID(),
    generation: 1,
    deploymentId: randomUUID(),
    revisionId: randomUUID(),
    teamId: '00000000-0000-4000-8000-000000000001',
    projectId: '00000000-0000-4000-8000-0000000000a1',
    teamName: 'team',
    projectName: 'project',
    path: 'team/project/model',
    modelName: 'digits',
    modelVersion: '1',
    revisionNumber: 1,
    poolName: 'local',
    capacityType: 'on_demand',
    nodeSelector: {},
    replicas: 1,
    teamReplicaLimit: null,
    adopt: null,
    resources: { cpuMilli: 500, memoryMib: 512, accelerator: null },
    runtime,
    protocol: 'oip',
    port: null,
    healthPath: runtime.format === 'onnx' ? '/v2/health/ready' : '/',
    readinessTimeoutMs: 20_000,
    drainTimeoutMs: 3_000,
    concurrency: 4,
    ...more,
  };
}

const digits = readFileSync(join(import.meta.dirname, '..', '..', 'deploy', 'example', 'digits', 'digits.onnx'));

/** An artifact's source that wants a token. */
export async function serveArtifact(
  bytes: Buffer = digits,
): Promise<{ runtime: ReplicaRuntime & { format: 'onnx' }; close(): void }> {
  const server: Server = createServer((request, response) => {
    if (request.headers.authorization !== 'Bearer good') response.writeHead(404).end();
    else response.end(bytes);
  });
  const port = await new Promise<number>((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
  );
  const artifactDigest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  const runtime = {
    format: 'onnx' as const,
    artifactDigest,
    artifactUrl: `http://127.0.0.1:${port}/artifact`,
    artifactToken: 'good',
  };
  return { runtime, close: () => void server.close() };
}
