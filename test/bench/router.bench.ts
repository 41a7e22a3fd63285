import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeFlags } from '../../src/main/supervisor.ts';
import type { BenchRow } from './bench-row.ts';

const NGINX = '/usr/sbin/nginx';
const TOKEN = 'purser_service_of_the_bench';
const ID = '01890000-0000-7000-8000-00000000000';
const SIZES = [
  { name: '130 B', bytes: 130, requests: 3_000 },
  { name: '220 KB', bytes: 220_000, requests: 1_000 },
];
const PAIRS = 9;
const CALLERS = 16;

/** CPU µs per request of the router (routed, metered, authenticated) over nginx's pass-through, in interleaved pairs. */
export async function run(): Promise<readonly BenchRow[]> {
  const folder = mkdtempSync(join(tmpdir(), 'purser-bench-'));
  const upstream = await startUpstream();
  const replicaAddress = `127.0.0.1:${(upstream.address() as AddressInfo).port}`;
  const router = await startRouter(folder, replicaAddress);
  const nginx = await startNginx(folder, replicaAddress);
  try {
    const rows: BenchRow[] = [{ name: 'router idle RSS', value: rssMb(router.pid), unit: 'MB', goal: '≤ 90' }];
    for (const size of SIZES) rows.push(...(await compare(size, router, nginx)));
    return rows;
  } finally {
    await router.stop();
    await nginx?.stop();
    upstream.closeAllConnections();
    upstream.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Side {
  readonly pid: number;
  readonly url: string;
  stop(): Promise<unknown>;
}

async function compare(size: (typeof SIZES)[number], router: Side, nginx: Side | null): Promise<BenchRow[]> {
  const ours: number[] = [];
  const ratios: number[] = [];
  for (let pair = -1; pair < PAIRS; pair += 1) {
    const mine = await cpuPerRequest(router, size);
    const theirs = nginx ? await cpuPerRequest(nginx, size) : null;
    if (pair < 0) continue;
    ours.push(mine);
    if (theirs !== null) ratios.push(mine / theirs);
  }
  const rows: BenchRow[] = [{ name: `router CPU per request, ${size.name}`, value: Math.round(median(ours)), unit: 'µs' }];
  const ratio = ratios.length > 0 ? median(ratios).toFixed(2) : 'skipped: no nginx';
  return [...rows, { name: `router CPU over nginx, ${size.name}`, value: ratio, unit: '×', goal: '≤ 4' }];
}

async function cpuPerRequest(side: Side, size: { readonly bytes: number; readonly requests: number }): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: CALLERS });
  const body = Buffer.alloc(size.bytes, 'a');
  const before = cpuUs(side.pid);
  let left = size.requests;
  const caller = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await post(side.url, body, agent);
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  agent.destroy();
  return (cpuUs(side.pid) - before) / size.requests;
}

function post(url: string, body: Buffer, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${TOKEN}`,
      'content-type': 'application/octet-stream',
      'content-length': body.length,
    };
    const outgoing = request(url, { method: 'POST', agent, headers }, (answer) => {
      answer.resume();
      answer.once('end', () => (answer.statusCode === 200 ? resolve() : reject(new Error(`answered ${answer.statusCode}`))));
    });
    outgoing.once('error', reject);
    outgoing.end(body);
  });
}

/** CPU time of all threads of a process in µs, as the scheduler counts it. */
function cpuUs(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const ns = threads.map((thread) => Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]));
  return ns.reduce((sum, one) => sum + one, 0) / 1000;
}

function rssMb(pid: number): number {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024);
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

async function startUpstream(): Promise<Server> {
  const server = createServer({ keepAliveTimeout: 60_000 }, (incoming, answer) => {
    incoming.resume();
    incoming.once('end', () => answer.end('{"outputs":[]}'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

async function startRouter(folder: string, replicaAddress: string): Promise<Side> {
  const port = await freePort();
  mkdirSync(join(folder, 'router-router'), { recursive: true });
  writeFileSync(join(folder, 'router-token'), 'none');
  writeFileSync(join(folder, 'router-router', 'table.json'), JSON.stringify({ confirmedAt: 0, table: tableOf(replicaAddress) }));
  const env = {
    ...process.env,
    PURSER_DATA_DIR: folder,
    PURSER_ROUTER_PORT: String(port),
    PURSER_LINK_PORT: '1',
    PURSER_LOG_LEVEL: 'silent',
  };
  // As the supervisor starts it.
  const entry = join(import.meta.dirname, '..', '..', 'src', 'main', 'purser.js');
  const child = spawn(process.execPath, [...nodeFlags('router'), entry, 'router'], {
    env,
    stdio: 'inherit',
  });
  await listening(port);
  return side(child, `http://127.0.0.1:${port}/a/b/c/v2`);
}

function tableOf(address: string): unknown {
  const replicas = [{ replicaId: `${ID}1`, address, ratePicoUsdPerHour: '500000000000' }];
  const revision = { revisionId: `${ID}2`, number: 1, weight: 100, concurrency: 64, protocol: 'oip', retryable: false, replicas };
  const access = { all: true, teamIds: [], projectIds: [] };
  return {
    version: { epoch: 'bench', n: 1 },
    madeAt: 0,
    deployments: [
      {
        deploymentId: `${ID}3`,
        teamId: `${ID}4`,
        projectId: `${ID}5`,
        path: 'a/b/c',
        hosts: [],
        deadlineMs: 60_000,
        queueLimit: 64,
        revisions: [revision],
      },
    ],
    deleted: [],
    credentials: [
      {
        tokenSha256: createHash('sha256').update(TOKEN).digest('hex'),
        principalId: `${ID}6`,
        callerTeamId: null,
        expiresAt: null,
        access,
      },
    ],
    issuers: [],
  };
}

/** Null where nginx is absent and cannot be installed. */
async function startNginx(folder: string, replicaAddress: string): Promise<Side | null> {
  if (!installNginx()) return null;
  const port = await freePort();
  const config = join(folder, 'nginx.conf');
  writeFileSync(config, nginxConfig(folder, port, replicaAddress));
  const child = spawn(NGINX, ['-c', config, '-g', 'daemon off;'], { stdio: 'ignore' });
  await listening(port);
  return side(child, `http://127.0.0.1:${port}/a/b/c/v2`);
}

function installNginx(): boolean {
  if (existsSync(NGINX)) return true;
  if (process.getuid?.() !== 0) console.log('skipped: nginx is not installed, and only root could install it');
  else {
    try {
      execFileSync('apt-get', ['install', '-y', 'nginx-light'], {
        stdio: 'ignore',
        env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      });
    } catch {
      console.log('skipped: nginx could not be installed');
    }
  }
  return existsSync(NGINX);
}

/** One process, so that its CPU time is all of it; requests are buffered as nginx does by default. */
const nginxConfig = (folder: string, port: number, replicaAddress: string): string => `
master_process off; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/nginx.err;
events { worker_connections 1024; }
http {
  access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; client_max_body_size 10m;
  fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  client_body_buffer_size 512k; keepalive_requests 1000000;
  upstream replica { server ${replicaAddress}; keepalive 64; keepalive_requests 1000000; }
  server { listen 127.0.0.1:${port}; location / { proxy_pass http://replica; proxy_http_version 1.1; proxy_set_header Connection ""; } }
}
`;

function side(child: ChildProcess, url: string): Side {
  return {
    pid: child.pid ?? 0,
    url,
    stop: () => {
      child.kill('SIGKILL');
      return once(child, 'exit');
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function listening(port: number): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    const up = await fetch(`http://127.0.0.1:${port}/-/healthz`).then(
      () => true,
      () => false,
    );
    if (up) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nothing listens on port ${port}`);
}
