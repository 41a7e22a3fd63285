// Installs the chart on the run's cluster, with the image of this build, PostgreSQL and S3 outside, and looks at it from outside.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { artifactFile } from '../../clients/typescript/artifact-file.ts';
import { digestOf } from '../../src/kernel/digest.ts';
import { eventually } from '../support/eventually.ts';
import { hasS3Server } from '../support/s3-server.ts';
import { repository } from './cluster/cache.ts';
import { theCluster } from './cluster/testing.ts';
import { Installation, SOON_MS, Surroundings } from './install/installation.ts';
import { productImage } from './install/product-image.ts';

const cluster = await theCluster();
const NAMESPACE = `install-${process.pid}`;

describe.runIf(cluster.has('nodes') && hasS3Server())('Installation by the chart', () => {
  let surroundings: Surroundings;
  let installation: Installation;

  beforeAll(async () => {
    const image = await productImage();
    await cluster.control.importImage(image);
    surroundings = await Surroundings.start(cluster);
    installation = new Installation({ cluster, surroundings, namespace: NAMESPACE });
    await installation.prepare();
    await installation.apply({ 'image.digest': image.digest });
    await installation.settled();
  });

  afterAll(async () => {
    await installation.remove();
    await surroundings.stop();
  });

  const answer = async (url: string, token: string | null): Promise<number> => {
    const headers = token === null ? {} : { authorization: `Bearer ${token}` };
    return (await fetch(url, { headers })).status;
  };

  test('two control planes and two routers are ready, and none was started twice', async () => {
    for (const component of ['control-plane', 'router'] as const) {
      const pods = await installation.pods(component);
      expect(pods.map(({ ready, restarts }) => [ready, restarts])).toEqual([
        [true, 0],
        [true, 0],
      ]);
    }
  });

  test('each answers by itself; the administrator has the token of the secret', async () => {
    for (const { address } of await installation.pods('control-plane')) {
      const client = await installation.client(`http://${address}:4000`);
      expect(await client.request('{ viewer { principal { name } } }')).toEqual({ viewer: { principal: { name: 'admin' } } });
    }
  });

  test('metrics answer who has the routers’ token', async () => {
    const { routerToken } = installation;
    for (const { address } of await installation.pods('control-plane')) {
      expect(await answer(`http://${address}:4001/metrics`, routerToken)).toBe(200);
      expect(await answer(`http://${address}:4001/metrics`, null)).toBe(401);
    }
    for (const { address } of await installation.pods('router')) {
      expect(await answer(`http://${address}:8080/-/metrics`, routerToken)).toBe(200);
      expect(await answer(`http://${address}:8080/-/metrics`, null)).toBe(404);
    }
  });

  test('an artifact that one of them took is read from the other', async () => {
    const [one, other] = await Promise.all(
      (await installation.pods('control-plane')).map(({ address }) => installation.client(`http://${address}:4000`)),
    );
    await one!.request('mutation { createTeam(input: { name: "shared" }) { userErrors { message } } }');
    await one!.request('mutation { createProject(input: { team: { path: "shared" }, name: "p" }) { userErrors { message } } }');
    const model = await artifactFile(join(repository, 'deploy', 'example', 'digits', 'digits.onnx'));
    await one!.uploadArtifact('shared/p', model);
    const headers = { authorization: `Bearer ${installation.adminToken}` };
    const read = await fetch(`${other!.url}/projects/shared/p/artifacts/${model.digest}`, { headers });
    expect([read.status, digestOf(await read.bytes())]).toEqual([200, model.digest]);
  });

  test(
    'each loop has one leader; when its pod goes, another leads at once',
    async () => {
      const before = await eventually(async () => {
        const leaders = await installation.leaders();
        return leaders.has('costs') && leaders;
      }, SOON_MS);
      const seen = new Set([before.get('costs')]);
      for (const { name } of await installation.pods('control-plane')) {
        await installation.deletePod(name);
        const leader = await eventually(async () => (await installation.leaders()).get('costs') ?? false, SOON_MS);
        seen.add(leader);
        await installation.settled();
      }
      // Whichever led, it is gone; whoever did not lead has taken nothing away by going.
      expect(seen.size).toBeGreaterThan(1);
      expect(seen.size).toBeLessThanOrEqual(3);
      expect((await installation.leaders()).get('costs')).not.toBe(before.get('costs'));
    },
    2 * SOON_MS,
  );
});
