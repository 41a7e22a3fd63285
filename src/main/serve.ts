import 'reflect-metadata';
import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { keepRuntime } from '../local/spawn-runtime.ts';
import { installationSecret } from '../persistence/installation-secret.ts';
import { openDatabase } from '../persistence/open-database.ts';
import { makeLogger } from '../telemetry/logger.ts';
import { compose, type Parts } from './compose.ts';
import { readConfig, type Config } from './config.ts';
import { ControlPlane } from './control-plane.ts';
import { prepareDataFolder } from './data-folder.ts';
import { machineId } from './machine-id.ts';
import { packageRoot } from './package-root.ts';
import { systemClock, systemRandom } from './system-clock.ts';

/** `purser serve`: one instance of the control plane, until SIGTERM or SIGINT. Replicas outlive it. */
export async function serve(): Promise<void> {
  // From the beginning: whoever is asked to stop while it starts still gives back what it has started, the database above all.
  const asked = terminated();
  const config = readConfig(process.env, process.cwd());
  const logger = makeLogger('control-plane', config.logLevel);
  prepareDataFolder(config.dataDir);
  const opened = await openDatabase({
    url: config.databaseUrl,
    ownerUrl: config.databaseOwnerUrl,
    dataDir: config.dataDir,
  });
  const { database } = opened;
  try {
    const secret = await installationSecret(database, systemRandom);
    const parts = compose({ config, database, secret, clock: systemClock, random: systemRandom, logger });
    await writeTokens(config, parts.bootstrap);
    const entry = join(packageRoot, 'dist', 'src', 'main', 'purser.js');
    const cluster = await keepRuntime({ dataDir: config.dataDir, node: process.execPath, entry, env: process.env });
    const plane = new ControlPlane(parts);
    const machine = machineId(join(config.dataDir, 'machine-id'), systemClock, systemRandom);
    await plane.start({ ...config, machineId: machine, cluster });
    logger.info({ port: config.port, migrated: opened.migrated }, 'the control plane serves');
    await asked;
    logger.info('stopping');
    await plane.stop();
  } finally {
    await opened.close();
  }
  process.exit(0);
}

/** Resolves at the first SIGTERM or SIGINT; later ones change nothing. */
const terminated = (): Promise<void> =>
  new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve());
  });

/** The first administrator's and the router's token, each in a file that only this user can read. */
async function writeTokens(config: Config, bootstrap: Parts['bootstrap']): Promise<void> {
  const admin = join(config.dataDir, 'admin-token');
  writeSecret(admin, await bootstrap.adminToken(readSecret(admin)));
  const router = join(config.dataDir, 'router-token');
  writeSecret(router, await bootstrap.routerToken(config.routerName, readSecret(router)));
}

const readSecret = (path: string): string | null => (existsSync(path) ? readFileSync(path, 'utf8').trim() : null);

function writeSecret(path: string, text: string): void {
  if (readSecret(path) === text) {
    // Copied or restored files come with the rights of whoever copied them.
    chmodSync(path, 0o600);
    return;
  }
  writeFileSync(`${path}.new`, `${text}\n`, { mode: 0o600 });
  chmodSync(`${path}.new`, 0o600);
  renameSync(`${path}.new`, path);
}
