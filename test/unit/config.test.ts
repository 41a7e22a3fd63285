// Reads made-up environments; no file and no port is touched.
import { describe, expect, test } from 'vitest';
import { VELOCITY_LIMITS } from '../../src/fleet/velocity-breaker.ts';
import { readConfig } from '../../src/main/config.ts';

describe('Configuration', () => {
  test('has a default for every setting', () => {
    const config = readConfig({}, '/srv/purser');
    expect(config).toMatchObject({
      port: 4000,
      routerPort: 8080,
      linkPort: 4001,
      dataDir: '/srv/purser/.purser',
      databaseUrl: undefined,
      allowProcess: false,
      regions: ['aws/us-east-1'],
    });
  });

  test.each([
    [{ PURSER_PORT: '70000' }, 'PURSER_PORT'],
    [{ PURSER_PORT: 'http' }, 'PURSER_PORT'],
    [{ PURSER_LINK_PORT: '0' }, 'PURSER_LINK_PORT: must be a port from 1 to 65535'],
    [{ PURSER_LINK_PORT: '8080' }, 'PURSER_ROUTER_PORT and PURSER_LINK_PORT are both 8080'],
    [{ PURSER_ALLOW_PROCESS: 'yes' }, 'PURSER_ALLOW_PROCESS'],
    [{ PURSER_LOCAL_CLUSTER: 'no' }, 'PURSER_LOCAL_CLUSTER'],
    [{ PURSER_API_URL: 'ftp://x' }, 'PURSER_API_URL'],
    [{ PURSER_DATABASE_URL: 'mysql://x' }, 'PURSER_DATABASE_URL'],
    [{ PURSER_DATABASE_OWNER_URL: 'postgres://x/y' }, 'PURSER_DATABASE_OWNER_URL is set without PURSER_DATABASE_URL'],
    [{ PURSER_BLOB_STORE: 's3' }, 'PURSER_S3_BUCKET'],
    [{ PURSER_LINK_TLS_KEY: 'key.pem' }, 'PURSER_LINK_TLS_CERT and PURSER_LINK_TLS_KEY go together'],
    [{ PURSER_ROUTER_URL: 'ftp://x' }, 'PURSER_ROUTER_URL'],
    [{ PURSER_OIDC_ISSUER: 'not a url' }, 'PURSER_OIDC_ISSUER'],
    [{ PURSER_GROWTH_POOL_NODES: '0' }, 'PURSER_GROWTH_POOL_NODES'],
    [{ PURSER_GROWTH_WINDOW_MINUTES: '0' }, 'PURSER_GROWTH_WINDOW_MINUTES'],
    [{ PURSER_GROWTH_USD_PER_HOUR: '-5' }, 'PURSER_GROWTH_USD_PER_HOUR: must be an amount above 0'],
    [{ PURSER_GROWTH_USD_PER_HOUR: '1e3' }, 'PURSER_GROWTH_USD_PER_HOUR: must be an amount above 0'],
  ])('refuses %o in a sentence that names the variable', (env, variable) => {
    expect(() => readConfig(env, '/')).toThrow(variable);
  });

  test.each([
    [{ PURSER_HOST: '0.0.0.0' }, 'http://127.0.0.1:8080', 'http://127.0.0.1:8080'],
    [{ PURSER_HOST: '::1', PURSER_ROUTER_PORT: '81' }, 'http://[::1]:81', 'http://[::1]:81'],
    [{ PURSER_ROUTER_URL: 'https://models.example.com/' }, 'http://127.0.0.1:8080', 'https://models.example.com'],
  ])('tells where the router is reached from here and by callers: %o', (env, routerUrl, publicRouterUrl) => {
    expect(readConfig(env, '/')).toMatchObject({ routerUrl, publicRouterUrl });
  });

  test('how fast pools may grow before a person is asked', () => {
    expect(readConfig({}, '/').velocity).toEqual(VELOCITY_LIMITS);
    const slow = { PURSER_GROWTH_WINDOW_MINUTES: '30', PURSER_GROWTH_POOL_NODES: '5', PURSER_GROWTH_USD_PER_HOUR: '12.5' };
    expect(readConfig(slow, '/').velocity).toEqual({
      ...{ windowMs: 1_800_000, poolNodes: 5, nodes: 300, hourly: 12_500_000_000_000n },
    });
  });

  test('replicas fetch from this machine, or from where a setting says', () => {
    expect(readConfig({ PURSER_PORT: '81' }, '/').publicApiUrl).toBe('http://127.0.0.1:81');
    expect(readConfig({ PURSER_API_URL: 'https://purser.example/' }, '/').publicApiUrl).toBe('https://purser.example');
  });

  test('tokens that somebody else keeps are found from the working folder', () => {
    expect(readConfig({}, '/srv')).toMatchObject({ adminTokenFile: null, routerTokenFile: null, localCluster: true });
    expect(
      readConfig({ PURSER_ADMIN_TOKEN_FILE: 'a', PURSER_ROUTER_TOKEN_FILE: '/b', PURSER_LOCAL_CLUSTER: '0' }, '/srv'),
    ).toMatchObject({ adminTokenFile: '/srv/a', routerTokenFile: '/b', localCluster: false });
  });

  test('a router trusts the certificate of the control plane beside it, or whom it is told to trust', () => {
    const files = { PURSER_LINK_TLS_CERT: 'cert.pem', PURSER_LINK_TLS_KEY: 'key.pem' };
    expect(readConfig(files, '/etc')).toMatchObject({ linkUrl: 'https://127.0.0.1:4001', linkCaFile: '/etc/cert.pem' });
    expect(readConfig({ PURSER_LINK_TLS_CA: 'ca.pem', PURSER_LINK_HOST: 'plane' }, '/etc')).toMatchObject({
      linkUrl: 'https://plane:4001',
      linkTls: null,
      linkCaFile: '/etc/ca.pem',
    });
  });

  test.each([
    [{ PURSER_LOG_LEVEL: 'loud' }, 'PURSER_LOG_LEVEL: must be fatal, error, warn, info, debug, trace or silent.'],
    [{ PURSER_REGIONS: 'us-east-1' }, 'PURSER_REGIONS: must be regions like aws/us-east-1, with commas between them.'],
    [{ PURSER_STALE_PRICES_HOURS: '0' }, 'PURSER_STALE_PRICES_HOURS: must be above 0.'],
    [{ PURSER_GROWTH_NODES: 'many' }, 'PURSER_GROWTH_NODES: must be a number.'],
    [{ PURSER_API_URL: 'plane:4000' }, 'PURSER_API_URL: must be a URL like https://'],
  ])('%j is told by what it must be', (env, words) => {
    expect(() => readConfig(env, '/')).toThrow(words);
  });

  test('takes an empty variable for one that is not set', () => {
    expect(readConfig({ PURSER_PORT: '', PURSER_DATABASE_URL: '' }, '/')).toMatchObject({ port: 4000, databaseUrl: undefined });
  });
});
