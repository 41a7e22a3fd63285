import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import type { S3Options } from '../../src/registry/s3-blob-store.adapter.ts';
import { findMoto, startMoto } from './moto.ts';

const BUCKET = 'purser';

/** True where moto can be run: a real S3 server, only not Amazon's. */
export const hasS3Server = (): boolean => findMoto() !== null;

/** An empty S3 server with one bucket, on a free port of an address of this machine. */
export async function startS3Server(address = '127.0.0.1'): Promise<{ readonly options: S3Options; stop(): void }> {
  const moto = await startMoto(findMoto() ?? '', address);
  const { url } = moto;
  const options: S3Options = { endpoint: url, bucket: BUCKET, region: 'us-east-1', accessKey: 'test', secretKey: 'test' };
  const client = new S3Client({
    endpoint: url,
    region: options.region,
    forcePathStyle: true,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  client.destroy();
  return { options, stop: () => moto.stop() };
}
