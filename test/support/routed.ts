import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { mkdtempSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RouterLink, type RouterLinkDeps } from '../../src/api/router-link.ts';
import { Router, type RouterLimits } from '../../src/dataplane/router.ts';
import { newId } from '../../src/kernel/id.ts';
import type { Principal } from '../../src/kernel/principal.ts';
import { makeMetricRegistry } from '../../src/telemetry/metrics.ts';
import type { RouteDeployment, RouteReplica, RouteRevision, RouteTable } from '../../src/traffic/router-contract/route-table.ts';
import type { UsageReport } from '../../src/traffic/router-contract/usage-report.ts';
import { systemRandom } from '../../src/main/system-clock.ts';
import { eventually } from './eventually.ts';
import { quietLogger } from './quiet-logger.ts';

export const TOKEN = 'purser_service_of_a_test';
export const CALLER = newId(1, systemRandom);
export const id = (): string => newId(Date.now(), systemRandom);
export const steadyClock = { nowUs: () => Math.round((performance.timeOrigin + performance.now()) * 1000) };

export async function upstream(handler: Parameters<typeof createServer>[1]): Promise<{ server: Server; address: string }> {
  const server = createServer({ keepAliveTimeout: 60_000 }, handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, address: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

export const replica = (address: string, rate: string | null = '3600000000000'): RouteReplica => ({
  replicaId: id(),
  address,
  ratePicoUsdPerHour: rate,
});

export const revision = (replicas: readonly RouteReplica[], more: Partial<RouteRevision> = {}): RouteRevision => ({
  revisionId: id(),
  number: 1,
  weight: 100,
  concurrency: 16,
  protocol: 'oip',
  retryable: false,
  replicas,
  ...more,
});

export const deployment = (
  path: string,
  revisions: readonly RouteRevision[],
  more: Partial<RouteDeployment> = {},
): RouteDeployment => ({
  deploymentId: id(),
  teamId: id(),
  projectId: id(),
  path,
  hosts: [],
  deadlineMs: 10_000,
  queueLimit: 64,
  revisions,
  ...more,
});

export const table = (n: number, deployments: readonly RouteDeployment[], more: Partial<RouteTable> = {}): RouteTable => ({
  version: { epoch: 'e', n },
  madeAt: Date.now(),
  deployments,
  deleted: [],
  credentials: [
    {
      tokenSha256: createHash('sha256').update(TOKEN).digest('hex'),
      principalId: CALLER,
      callerTeamId: null,
      expiresAt: null,
      access: { all: true, teamIds: [], projectIds: [] },
    },
  ],
  issuers: [],
  ...more,
});

/** A control plane as far as a router can see: a table that tests set, and a book of reports counted once. */
export class TestControlPlane {
  current: RouteTable | null = null;
  readonly reports: UsageReport[] = [];
  #listeners = new Set<() => void>();
  #link: RouterLink | null = null;
  port = 0;

  async start(port = 0, tls: RouterLinkDeps['tls'] = null): Promise<void> {
    const router: Principal = { id: id(), kind: 'router', name: 'router', grants: [], platformActions: [], tokenId: null };
    this.#link = new RouterLink({
      authenticate: (token) => Promise.resolve(token === 'router-token' ? router : null),
      tables: {
        current: () => this.current,
        changed: (listener) => {
          this.#listeners.add(listener);
          return () => this.#listeners.delete(listener);
        },
        everRouted: (ids) => Promise.resolve(new Set(ids)),
      },
      usage: {
        joined: () => Promise.resolve(),
        accept: (report) => {
          const repeated = this.reports.some((one) => one.source === report.source && one.sequence === report.sequence);
          if (!repeated) this.reports.push(report);
          return Promise.resolve({ accepted: true, repeated, refusedRows: 0 });
        },
      },
      registry: makeMetricRegistry(),
      logger: quietLogger,
      tls,
    });
    this.port = await this.#link.listen('127.0.0.1', port);
  }

  set(next: RouteTable): void {
    this.current = next;
    for (const listener of this.#listeners) listener();
  }

  stop = (): Promise<void> => this.#link?.close() ?? Promise.resolve();

  sum(field: 'requests' | 'attempts' | 'errors' | 'busyUs'): number {
    return this.reports.flatMap((report) => report.rows).reduce((sum, row) => sum + row[field], 0);
  }
}

export function dataFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'purser-router-'));
  writeFileSync(join(folder, 'router-token'), 'router-token', { mode: 0o600 });
  return folder;
}

export async function startRouter(
  folder: string,
  linkPort: number,
  {
    name = 'router',
    clock = steadyClock,
    limits = {},
    maxTableAgeMs = null,
    host = '127.0.0.1',
    link = { url: `http://127.0.0.1:${linkPort}`, ca: null },
  }: {
    readonly name?: string;
    readonly clock?: { nowUs(): number };
    readonly limits?: RouterLimits;
    readonly maxTableAgeMs?: number | null;
    readonly host?: string;
    readonly link?: { readonly url: string; readonly ca: string | null };
  } = {},
): Promise<{ router: Router; url: string }> {
  const router = new Router({
    name,
    folder: join(folder, `router-${name}`),
    linkUrl: link.url,
    linkCa: link.ca,
    tokenFile: join(folder, 'router-token'),
    maxTableAgeMs,
    clock,
    random: systemRandom,
    logger: quietLogger,
    registry: makeMetricRegistry(),
    limits,
  });
  return { router, url: `http://127.0.0.1:${await router.listen(host, 0)}` };
}

export const bearer = { authorization: `Bearer ${TOKEN}` };

export interface Routed {
  readonly plane: TestControlPlane;
  readonly url: string;
  readonly folder: string;
  /** Stops the router after its last report; a second call does nothing. */
  readonly drain: () => Promise<void>;
  /** Router and control plane. */
  readonly stop: () => Promise<void>;
}

/** A router that serves these deployments from a link of its own. */
export async function routed(deployments: readonly RouteDeployment[], limits: RouterLimits = {}): Promise<Routed> {
  const plane = new TestControlPlane();
  await plane.start();
  plane.set(table(1, deployments));
  const folder = dataFolder();
  const { router, url } = await startRouter(folder, plane.port, { limits });
  await eventually(async () => (await fetch(`${url}/-/readyz`)).status === 200);
  let drained: Promise<void> | null = null;
  const drain = (): Promise<void> => (drained ??= router.drain());
  const stop = async (): Promise<void> => {
    await drain();
    await plane.stop();
  };
  return { plane, url, folder, drain, stop };
}
