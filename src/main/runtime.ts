import { join } from 'node:path';
import { ArtifactCache } from '../local/artifact-cache.ts';
import { holdLock } from '../local/hold-lock.ts';
import { LocalRuntime } from '../local/local-runtime.ts';
import { memoryLimit } from '../local/memory-limit.ts';
import { userOfProject } from '../local/project-users.ts';
import { runtimePaths } from '../local/runtime-folder.ts';
import { RuntimeServer } from '../local/runtime-server.ts';
import { stageProgram } from '../local/stage-program.ts';
import { findConfinement, type Confinement } from '../local/start-replica.ts';
import { makeLogger } from '../telemetry/logger.ts';
import { readConfig } from './config.ts';
import { prepareDataFolder } from './data-folder.ts';
import { packageRoot, packageVersion } from './package-root.ts';
import { systemClock, systemRandom } from './system-clock.ts';

/** `purser runtime`: owns the replicas of this machine until SIGTERM, which leaves them to its successor. */
export async function runtime(): Promise<void> {
  const config = readConfig(process.env, process.cwd());
  prepareDataFolder(config.dataDir);
  const logger = makeLogger('runtime', config.logLevel);
  const isRoot = process.getuid?.() === 0;
  const paths = runtimePaths(config.dataDir, isRoot);
  if ((await holdLock(paths.folder, 'runtime.pid')) !== null) {
    logger.info('another runtime holds this folder');
    return;
  }
  const confinement = findConfinement();
  const memory = memoryLimit();
  const source = { root: packageRoot, node: process.execPath, entry: join(packageRoot, 'dist', 'src', 'main', 'purser.js') };
  const local = new LocalRuntime({
    paths,
    clock: systemClock,
    random: systemRandom,
    logger,
    artifacts: new ArtifactCache(join(paths.folder, 'artifacts')),
    memory,
    program: () => (isRoot ? stageProgram(source, paths.programs) : Promise.resolve(source)),
    confinement,
    userOf: (projectId) => (isRoot ? userOfProject(paths.users, projectId) : Promise.resolve(null)),
    admission: { allowProcess: config.allowProcess, isRoot },
  });
  const missing = missingIn(confinement);
  if (missing.length > 0) logger.warn({ missing }, 'replicas are less confined here than they could be');
  const info = {
    pid: process.pid,
    version: packageVersion,
    memoryLimit: memory.kind,
    user: isRoot ? ('per-project' as const) : ('own' as const),
    allowProcess: config.allowProcess,
    missing,
  };
  const end = () => {
    local.stop();
    server.close();
    process.exit(0);
  };
  const server = new RuntimeServer({
    runtime: local,
    info,
    logger,
    shutdown: async (andReplicas) => {
      if (andReplicas) await local.drainAll();
      // The answer goes out before the end.
      setTimeout(end, 50);
    },
  });
  local.start();
  await server.listen(paths.socket);
  logger.info(info, 'runtime is up');
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
}

const missingIn = ({ setpriv, prlimit }: Confinement): readonly string[] => [
  ...(setpriv === null ? ['setpriv (util-linux): replicas run without no_new_privs'] : []),
  ...(prlimit === null ? ['prlimit (util-linux): replicas run without limits on files and processes'] : []),
];
