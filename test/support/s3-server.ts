import { spawn, spawnSync } from 'node:child_process';
import { createServer, type AddressInfo } from 'node:net';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { eventually } from './eventually.ts';
import type { S3Options } from '../../src/registry/s3-blob-store.adapter.ts';

const BUCKET = 'purser';
const START_DEADLINE_MS = 60_000;

/** True where `moto_server` (pip install "moto[server]") can be run: a real S3 server, only not Amazon's. */
export const hasS3Server = (): boolean => spawnSync('moto_server', ['--help'], { stdio: 'ignore' }).status === 0;

/** An empty S3 server with one bucket, on a free port of an address of this machine. */
export async function startS3Server(address = '127.0.0.1'): Promise<{ readonly options: S3Options; stop(): void }> {
  const port = await freePort(address);
  const child = spawn('moto_server', ['-H', address, '-p', String(port)], { stdio: 'ignore', detached: true });
  const options: S3Options = {
    endpoint: `http://${address}:${port}`,
    bucket: BUCKET,
    region: 'us-east-1',
    accessKey: 'test',
    secretKey: 'test',
  };
  const client = new S3Client({
    endpoint: `http://${address}:${port}`,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  await eventually(() => client.send(new CreateBucketCommand({ Bucket: BUCKET })), START_DEADLINE_MS);
  client.destroy();
  return {
    options,
    stop: () => {
      // The shim that starts it may have a child of its own: the group ends as one.
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGTERM');
    },
  };
}

function freePort(address: string): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, address, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
