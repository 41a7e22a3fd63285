import { join } from 'node:path';
import { Router } from '../dataplane/router.ts';
import type { MicroClock } from '../dataplane/micro-clock.ts';
import { makeLogger } from '../telemetry/logger.ts';
import { makeMetricRegistry } from '../telemetry/metrics.ts';
import { readConfig, readSetting } from './config.ts';
import { prepareDataFolder } from './data-folder.ts';
import { listenError } from './start-error.ts';
import { PooledRandom } from './pooled-random.ts';
import { systemRandom } from './system-clock.ts';

/** `purser router`: serves until SIGTERM or SIGINT, with or without a control plane. */
export async function router(): Promise<void> {
  const config = readConfig(process.env, process.cwd());
  const logger = makeLogger('router', config.logLevel);
  prepareDataFolder(config.dataDir);
  const instance = new Router({
    name: config.routerName,
    folder: join(config.dataDir, `router-${config.routerName}`),
    linkUrl: config.linkUrl,
    linkCa: config.linkCaFile === null ? null : readSetting('PURSER_LINK_TLS_CA', config.linkCaFile),
    tokenFile: config.routerTokenFile ?? join(config.dataDir, 'router-token'),
    maxTableAgeMs: config.maxTableAgeMs,
    clock: steadyClock,
    random: new PooledRandom(systemRandom),
    logger,
    registry: makeMetricRegistry(),
  });
  const port = await instance.listen(config.host, config.routerPort).catch((error: unknown) => {
    throw listenError(error as NodeJS.ErrnoException, 'the router', config.routerPort, 'PURSER_ROUTER_PORT');
  });
  logger.info(
    { port, lossBoundMs: 1000 },
    'the router serves; a crash loses at most one second of usage, which becomes idle time',
  );
  const stop = (): void => void instance.drain(config.stopDelayMs).then(() => process.exit(0));
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}

const steadyClock: MicroClock = { nowUs: () => Math.round((performance.timeOrigin + performance.now()) * 1000) };
