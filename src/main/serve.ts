import 'reflect-metadata';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openDatabase } from '../persistence/open-database.ts';
import { makeLogger } from '../telemetry/logger.ts';
import { compose } from './compose.ts';
import { readConfig, type Config } from './config.ts';
import { ENTITIES } from './entities.ts';
import { listenError } from './start-error.ts';
import { systemClock, systemRandom } from './system-clock.ts';

/** `purser serve`: one instance of the control plane, until SIGTERM or SIGINT. Replicas outlive it. */
export async function serve(): Promise<void> {
  const config = readConfig(process.env, process.cwd());
  const logger = makeLogger('control-plane', config.logLevel);
  mkdirSync(config.dataDir, { recursive: true, mode: 0o700 });
  const opened = await openDatabase({ url: config.databaseUrl, ownerUrl: config.databaseOwnerUrl, dataDir: config.dataDir, entities: ENTITIES });
  const plane = compose({ config, database: opened.database, clock: systemClock, random: systemRandom, logger });
  const stop = async () => {
    logger.info('stopping');
    await plane.stop();
    await opened.close();
  };
  try {
    await writeTokens(config, plane.bootstrap);
    await plane.start();
    await plane.api.listen(config.host, config.port).catch((error: unknown) => {
      throw listenError(error as NodeJS.ErrnoException, 'the API', config.port, 'PURSER_PORT');
    });
    await plane.link.listen(config.linkHost, config.linkPort).catch((error: unknown) => {
      throw listenError(error as NodeJS.ErrnoException, 'the router link', config.linkPort, 'PURSER_LINK_PORT');
    });
    plane.setReady(true);
    logger.info({ port: config.port, migrated: opened.migrated }, 'the control plane serves');
  } catch (error) {
    await stop().catch(() => undefined);
    throw error;
  }
  const stopOnce = () => void (stopping ??= stop().then(() => process.exit(0)));
  let stopping: Promise<never> | null = null;
  process.on('SIGTERM', stopOnce);
  process.on('SIGINT', stopOnce);
}

/** The first administrator's and the router's token, each in a file that only this user can read. */
async function writeTokens(config: Config, bootstrap: ReturnType<typeof compose>['bootstrap']): Promise<void> {
  const admin = join(config.dataDir, 'admin-token');
  writeSecret(admin, await bootstrap.adminToken(readSecret(admin)));
  const router = join(config.dataDir, 'router-token');
  writeSecret(router, await bootstrap.routerToken(config.routerName, readSecret(router)));
}

const readSecret = (path: string): string | null => (existsSync(path) ? readFileSync(path, 'utf8').trim() : null);

function writeSecret(path: string, text: string): void {
  if (readSecret(path) === text) return;
  writeFileSync(`${path}.new`, `${text}\n`, { mode: 0o600 });
  chmodSync(`${path}.new`, 0o600);
  renameSync(`${path}.new`, path);
}
