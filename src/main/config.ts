import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
import { VELOCITY_LIMITS, type VelocityLimits } from '../fleet/velocity-breaker.ts';
import { HOUR_MS, MINUTE_MS } from '../kernel/instant.ts';
import { formatUsd, parseUsd } from '../kernel/money.ts';
import { isRouterName } from '../traffic/router-contract/router-name.ts';
import { settingWords } from './settings-words.ts';

const PORT = 'must be a port from 1 to 65535';
const port = (fallback: number) => z.coerce.number(PORT).int(PORT).min(1, PORT).max(65_535, PORT).default(fallback);

const flag = (otherwise: '0' | '1') =>
  z
    .enum(['0', '1'])
    .default(otherwise)
    .transform((text) => text === '1');

const nodes = (fallback: number) => z.coerce.number().int().min(1).default(fallback);

const AMOUNT = 'must be an amount above 0, such as 250 or 0.5';
const amount = (fallback: bigint) =>
  z
    .string()
    .default(formatUsd(fallback))
    .transform((text) => parseUsd(text) ?? 0n)
    .refine((usd) => usd > 0n, AMOUNT);

const REGIONS = 'must be regions like aws/us-east-1, with commas between them';

const ROUTER_NAME_RULE = 'must be letters, digits, dots, dashes and underscores, at most 100, and begin with a letter or digit';

/** Every environment variable that Purser reads, with its default; `docs/operations.md` explains each. */
const Environment = z.object({
  PURSER_HOST: z.string().min(1).default('127.0.0.1'),
  PURSER_PORT: port(4000),
  PURSER_API_URL: z.url({ protocol: /^https?$/ }).optional(),
  PURSER_ROUTER_PORT: port(8080),
  PURSER_ROUTER_URL: z.url({ protocol: /^https?$/ }).optional(),
  PURSER_LINK_PORT: port(4001),
  PURSER_LINK_HOST: z.string().min(1).default('127.0.0.1'),
  PURSER_LINK_TLS_CERT: z.string().optional(),
  PURSER_LINK_TLS_KEY: z.string().optional(),
  PURSER_LINK_TLS_CA: z.string().optional(),
  PURSER_TOKEN_FILE: z.string().optional(),
  PURSER_KUBECONFIG: z.string().optional(),
  PURSER_CLUSTER_NAME: z.string().min(1).max(63).default('kubernetes'),
  PURSER_EXTENDER_PORT: port(8890),
  PURSER_EXTENDER_TLS_CERT: z.string().optional(),
  PURSER_EXTENDER_TLS_KEY: z.string().optional(),
  PURSER_DATA_DIR: z.string().min(1).default('.purser'),
  PURSER_ADMIN_TOKEN_FILE: z.string().optional(),
  PURSER_ROUTER_TOKEN_FILE: z.string().optional(),
  PURSER_DATABASE_URL: z.string().startsWith('postgres').optional(),
  PURSER_DATABASE_OWNER_URL: z.string().startsWith('postgres').optional(),
  PURSER_CLOUDS_FILE: z.string().optional(),
  PURSER_NODE_COMMAND: z.string().optional(),
  PURSER_STALE_PRICES_HOURS: z.coerce.number().positive().max(8760).default(24),
  PURSER_GROWTH_WINDOW_MINUTES: z.coerce
    .number()
    .min(1)
    .max(10_080)
    .default(VELOCITY_LIMITS.windowMs / MINUTE_MS),
  PURSER_GROWTH_POOL_NODES: nodes(VELOCITY_LIMITS.poolNodes),
  PURSER_GROWTH_NODES: nodes(VELOCITY_LIMITS.nodes),
  PURSER_GROWTH_USD_PER_HOUR: amount(VELOCITY_LIMITS.hourly),
  PURSER_LOCAL_CLUSTER: flag('1'),
  PURSER_ALLOW_PROCESS: flag('0'),
  PURSER_REGIONS: z
    .string()
    .default('aws/us-east-1')
    .transform((text) => text.split(',').map((region) => region.trim()))
    .refine((regions) => regions.every((region) => /^[^/]+\/[^/]+$/.test(region)), REGIONS),
  PURSER_OIDC_ISSUER: z.url().optional(),
  PURSER_OIDC_AUDIENCE: z.string().min(1).default('purser'),
  PURSER_BLOB_STORE: z.enum(['disk', 's3']).default('disk'),
  PURSER_S3_ENDPOINT: z.url().optional(),
  PURSER_S3_BUCKET: z.string().optional(),
  PURSER_S3_REGION: z.string().default('us-east-1'),
  PURSER_S3_ACCESS_KEY: z.string().optional(),
  PURSER_S3_SECRET_KEY: z.string().optional(),
  PURSER_ROUTER_NAME: z.string().refine(isRouterName, ROUTER_NAME_RULE).default('router'),
  PURSER_STOP_DELAY_SECONDS: z.coerce.number().int().min(0).max(3600).default(0),
  PURSER_MAX_TABLE_AGE_SECONDS: z.coerce.number().int().min(10).optional(),
  PURSER_LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
});

export interface S3Config {
  readonly endpoint: string | undefined;
  readonly bucket: string;
  readonly region: string;
  readonly accessKey: string | undefined;
  readonly secretKey: string | undefined;
}

export interface Config {
  /** Address that the API and the router listen on. */
  readonly host: string;
  readonly port: number;
  readonly routerPort: number;
  /** Where this machine reaches them. */
  readonly apiUrl: string;
  readonly routerUrl: string;
  /** Where replicas on clusters reach the API, without a slash at its end. */
  readonly publicApiUrl: string;
  /** Where callers reach the router, without a slash at its end. */
  readonly publicRouterUrl: string;
  readonly linkHost: string;
  readonly linkPort: number;
  /** What routers call. */
  readonly linkUrl: string;
  /** Files with what the link shows; null = plain HTTP. */
  readonly linkTls: { readonly certFile: string; readonly keyFile: string } | null;
  /** File with what a router trusts at the link; null = plain HTTP. */
  readonly linkCaFile: string | null;
  /** Absolute. */
  readonly dataDir: string;
  /** Undefined = the embedded database. */
  readonly databaseUrl: string | undefined;
  readonly databaseOwnerUrl: string | undefined;
  /** Files with tokens that somebody else keeps; null = the ones of the data folder, which Purser makes. */
  readonly adminTokenFile: string | null;
  readonly routerTokenFile: string | null;
  /** File with the operator's token; null = the administrator's of the data folder. */
  readonly tokenFile: string | null;
  /** The operator's kubeconfig; null = the account of its pod. */
  readonly kubeconfigFile: string | null;
  /** How the operator names its cluster to the API. */
  readonly clusterName: string;
  /** Where the extender answers another scheduler, and with which certificate; null = plain HTTP. */
  readonly extenderPort: number;
  readonly extenderTls: { readonly certFile: string; readonly keyFile: string } | null;
  /** File that names who rents machines, and who says prices; null = none but `nodeCommand`. */
  readonly cloudsFile: string | null;
  /** A price feed that is silent for longer decides nothing any more. */
  readonly stalePricesMs: number;
  /** How fast pools may grow before a person is asked. */
  readonly velocity: VelocityLimits;
  /** Program that rents machines for pools; null = nobody does. */
  readonly nodeCommand: string | null;
  /** False: this machine runs no replicas. */
  readonly localCluster: boolean;
  readonly allowProcess: boolean;
  /** `provider/region`, cheapest wins. */
  readonly regions: readonly string[];
  readonly oidc: { readonly issuer: string; readonly audience: string } | null;
  readonly s3: S3Config | null;
  readonly routerName: string;
  /** Between not being ready any more and taking no new connection, when the router stops. */
  readonly stopDelayMs: number;
  /** A router whose table is older answers 503; null = it serves the last one for ever. */
  readonly maxTableAgeMs: number | null;
  readonly logLevel: string;
}

/** A setting that cannot be used; the message names the variable and the mend. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** Reads the configuration; relative paths are taken from `cwd`. */
export function readConfig(env: NodeJS.ProcessEnv, cwd: string): Config {
  // An empty variable is how compose files and shells say "not set".
  const parsed = Environment.safeParse(Object.fromEntries(Object.entries(env).filter(([, value]) => value !== '')), {
    error: settingWords,
  });
  if (!parsed.success) throw new ConfigError(describe(parsed.error));
  const values = parsed.data;
  refuseSamePort(values);
  if (values.PURSER_DATABASE_OWNER_URL && !values.PURSER_DATABASE_URL)
    throw new ConfigError('PURSER_DATABASE_OWNER_URL is set without PURSER_DATABASE_URL: name the role that serves as well.');
  return {
    host: values.PURSER_HOST,
    port: values.PURSER_PORT,
    routerPort: values.PURSER_ROUTER_PORT,
    apiUrl: localUrl(values.PURSER_HOST, values.PURSER_PORT),
    routerUrl: localUrl(values.PURSER_HOST, values.PURSER_ROUTER_PORT),
    publicRouterUrl: (values.PURSER_ROUTER_URL ?? localUrl(values.PURSER_HOST, values.PURSER_ROUTER_PORT)).replace(/\/+$/, ''),
    publicApiUrl: (values.PURSER_API_URL ?? localUrl(values.PURSER_HOST, values.PURSER_PORT)).replace(/\/+$/, ''),
    linkHost: values.PURSER_LINK_HOST,
    linkPort: values.PURSER_LINK_PORT,
    ...linkOf(values, cwd),
    dataDir: resolve(cwd, values.PURSER_DATA_DIR),
    databaseUrl: values.PURSER_DATABASE_URL,
    databaseOwnerUrl: values.PURSER_DATABASE_OWNER_URL,
    tokenFile: fileOf(values.PURSER_TOKEN_FILE, cwd),
    kubeconfigFile: fileOf(values.PURSER_KUBECONFIG, cwd),
    clusterName: values.PURSER_CLUSTER_NAME,
    extenderPort: values.PURSER_EXTENDER_PORT,
    extenderTls: tlsOf('PURSER_EXTENDER_TLS', values.PURSER_EXTENDER_TLS_CERT, values.PURSER_EXTENDER_TLS_KEY, cwd),
    adminTokenFile: fileOf(values.PURSER_ADMIN_TOKEN_FILE, cwd),
    routerTokenFile: fileOf(values.PURSER_ROUTER_TOKEN_FILE, cwd),
    cloudsFile: fileOf(values.PURSER_CLOUDS_FILE, cwd),
    stalePricesMs: Math.round(values.PURSER_STALE_PRICES_HOURS * HOUR_MS),
    velocity: {
      windowMs: Math.round(values.PURSER_GROWTH_WINDOW_MINUTES * MINUTE_MS),
      poolNodes: values.PURSER_GROWTH_POOL_NODES,
      nodes: values.PURSER_GROWTH_NODES,
      hourly: values.PURSER_GROWTH_USD_PER_HOUR,
    },
    nodeCommand: fileOf(values.PURSER_NODE_COMMAND, cwd),
    localCluster: values.PURSER_LOCAL_CLUSTER,
    allowProcess: values.PURSER_ALLOW_PROCESS,
    regions: values.PURSER_REGIONS,
    oidc: values.PURSER_OIDC_ISSUER ? { issuer: values.PURSER_OIDC_ISSUER, audience: values.PURSER_OIDC_AUDIENCE } : null,
    s3: s3Of(values),
    routerName: values.PURSER_ROUTER_NAME,
    stopDelayMs: values.PURSER_STOP_DELAY_SECONDS * 1000,
    maxTableAgeMs: values.PURSER_MAX_TABLE_AGE_SECONDS === undefined ? null : values.PURSER_MAX_TABLE_AGE_SECONDS * 1000,
    logLevel: values.PURSER_LOG_LEVEL,
  };
}

const fileOf = (path: string | undefined, cwd: string): string | null => (path === undefined ? null : resolve(cwd, path));

/** A file that a setting names, read when the process starts. */
export function readSetting(name: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(`${name} names ${path}, which cannot be read: ${(error as Error).message}.`);
  }
}

/** Who listens on every address is reached on loopback. */
function localUrl(host: string, port: number): string {
  const name = ['0.0.0.0', '::'].includes(host) ? '127.0.0.1' : host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
}

/** A router beside the control plane trusts the certificate itself unless it is told whom to trust. */
function linkOf(values: z.output<typeof Environment>, cwd: string): Pick<Config, 'linkUrl' | 'linkTls' | 'linkCaFile'> {
  const { PURSER_LINK_TLS_CERT: cert, PURSER_LINK_TLS_KEY: key } = values;
  const linkTls = tlsOf('PURSER_LINK_TLS', cert, key, cwd);
  const ca = values.PURSER_LINK_TLS_CA ?? cert;
  const plain = localUrl(values.PURSER_LINK_HOST, values.PURSER_LINK_PORT);
  return {
    linkUrl: ca ? plain.replace('http:', 'https:') : plain,
    linkTls,
    linkCaFile: ca ? resolve(cwd, ca) : null,
  };
}

function tlsOf(name: string, cert: string | undefined, key: string | undefined, cwd: string): Config['linkTls'] {
  if ((cert === undefined) !== (key === undefined))
    throw new ConfigError(`${name}_CERT and ${name}_KEY go together: set both or neither.`);
  return cert && key ? { certFile: resolve(cwd, cert), keyFile: resolve(cwd, key) } : null;
}

const PORTS = ['PURSER_PORT', 'PURSER_ROUTER_PORT', 'PURSER_LINK_PORT'] as const;

function refuseSamePort(values: z.output<typeof Environment>): void {
  for (const [i, name] of PORTS.entries()) {
    const twin = PORTS.slice(0, i).find((other) => values[other] === values[name]);
    if (twin) throw new ConfigError(`${twin} and ${name} are both ${values[name]}: give each a port of its own.`);
  }
}

function s3Of(values: z.output<typeof Environment>): S3Config | null {
  if (values.PURSER_BLOB_STORE === 'disk') return null;
  if (!values.PURSER_S3_BUCKET) throw new ConfigError('PURSER_S3_BUCKET must name the bucket when PURSER_BLOB_STORE is s3.');
  return {
    endpoint: values.PURSER_S3_ENDPOINT,
    bucket: values.PURSER_S3_BUCKET,
    region: values.PURSER_S3_REGION,
    accessKey: values.PURSER_S3_ACCESS_KEY,
    secretKey: values.PURSER_S3_SECRET_KEY,
  };
}

const describe = (error: z.ZodError): string =>
  error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ') + '. See docs/operations.md.';
