import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BootstrapService } from '../identity/bootstrap.service.ts';
import { ConfigError, readSetting, type Config } from './config.ts';

/**
 * The first administrator's and the router's token. Each is what somebody keeps in a file of their own, or is made here and kept in
 * the data folder, where only this user can read it.
 */
export async function provideTokens(config: Config, bootstrap: BootstrapService): Promise<void> {
  const { adminTokenFile, routerTokenFile, routerName, dataDir } = config;
  if (adminTokenFile !== null) {
    const text = readGiven('PURSER_ADMIN_TOKEN_FILE', adminTokenFile);
    refuseUnless(await bootstrap.acceptAdminToken(text), 'PURSER_ADMIN_TOKEN_FILE', 'admin');
  } else {
    const file = join(dataDir, 'admin-token');
    writeSecret(file, await bootstrap.adminToken(readSecret(file)));
  }
  if (routerTokenFile !== null) {
    const text = readGiven('PURSER_ROUTER_TOKEN_FILE', routerTokenFile);
    refuseUnless(await bootstrap.acceptRouterToken(routerName, text), 'PURSER_ROUTER_TOKEN_FILE', 'router');
  } else {
    const file = join(dataDir, 'router-token');
    writeSecret(file, await bootstrap.routerToken(routerName, readSecret(file)));
  }
}

const readGiven = (setting: string, path: string): string => readSetting(setting, path).trim();

function refuseUnless(good: boolean, setting: string, type: 'admin' | 'router'): void {
  if (good) return;
  throw new ConfigError(
    `${setting} names a file without a usable ${type} token (another kind, mistyped, revoked or expired): ` +
      `put the output of \`purser new-token ${type}\` there.`,
  );
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
