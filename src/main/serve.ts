import 'reflect-metadata';
import { join } from 'node:path';
import { keepRuntime } from '../local/spawn-runtime.ts';
import { installationSecret } from '../persistence/installation-secret.ts';
import { openDatabase } from '../persistence/open-database.ts';
import { makeLogger } from '../telemetry/logger.ts';
import { compose } from './compose.ts';
import { readConfig, type Config } from './config.ts';
import { ControlPlane, type StartOptions } from './control-plane.ts';
import { openClusters } from './open-cluster.ts';
import { prepareDataFolder } from './data-folder.ts';
import { provideTokens } from './first-tokens.ts';
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
    await provideTokens(config, parts.bootstrap);
    const local = config.localCluster ? await joinLocalCluster(config) : null;
    const plane = new ControlPlane(parts);
    await plane.start({ ...config, local, openCluster: openClusters({ clock: systemClock, random: systemRandom, logger }) });
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

/** This machine's runtime, started if need be. */
async function joinLocalCluster({ dataDir }: Config): Promise<StartOptions['local']> {
  const entry = join(packageRoot, 'dist', 'src', 'main', 'purser.js');
  const cluster = await keepRuntime({ dataDir, node: process.execPath, entry, env: process.env });
  return { machineId: machineId(join(dataDir, 'machine-id'), systemClock, systemRandom), cluster };
}
