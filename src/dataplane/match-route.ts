import { isName } from '../kernel/name.ts';
import type { RouteDeployment } from '../traffic/router-contract/route-table.ts';

/** What a request says about where it wants to go, still untouched. */
export interface RouteAsk {
  /** The request target as received: path and query. */
  readonly target: string;
  readonly host: string | undefined;
  /** `Purser-Deployment`. */
  readonly deployment: string | undefined;
}

export interface RouteIndex {
  readonly byPath: ReadonlyMap<string, RouteDeployment>;
  /** A host may be claimed more than once, by several teams too: the oldest claim that the caller may see counts. */
  readonly byHost: ReadonlyMap<string, readonly RouteDeployment[]>;
}

export type RouteMatch =
  | {
      readonly kind: 'found';
      readonly deployment: RouteDeployment;
      /** Path below and query, as received. */ readonly rest: string;
    }
  | { readonly kind: 'absent' }
  | { readonly kind: 'malformed'; readonly message: string };

const ABSENT: RouteMatch = { kind: 'absent' };
const NOBODY: readonly RouteDeployment[] = [];
const ENCODED_SEPARATOR = /%2f|%5c|\\/i;

export function makeRouteIndex(deployments: readonly RouteDeployment[]): RouteIndex {
  const byHost = new Map<string, RouteDeployment[]>();
  for (const deployment of [...deployments].sort(byAge)) {
    for (const host of new Set(deployment.hosts.map((name) => name.toLowerCase()))) {
      byHost.set(host, [...(byHost.get(host) ?? []), deployment]);
    }
  }
  return { byPath: new Map(deployments.map((deployment) => [deployment.path, deployment])), byHost };
}

/** Ids are made in the order of time. */
const byAge = (a: RouteDeployment, b: RouteDeployment): number => (a.deploymentId < b.deploymentId ? -1 : 1);

/**
 * Finds the deployment by path, `Host` and `Purser-Deployment`; all that are given must agree. A deployment that the caller may not
 * see counts as absent before anything is compared, so that no disagreement tells of it.
 */
export function matchRoute(index: RouteIndex, asked: RouteAsk, maySee: (deployment: RouteDeployment) => boolean): RouteMatch {
  const ask = asked.target.startsWith('/') ? asked : originForm(asked);
  if (!ask) return malformed('The request target must be a path.');
  if (hasDotSegment(pathOf(ask.target))) return malformed('Dot segments are not allowed in the path.');
  const see = (path: string): RouteDeployment | null => {
    const deployment = index.byPath.get(path);
    return deployment && maySee(deployment) ? deployment : null;
  };
  const byHost = (index.byHost.get(hostName(ask.host)) ?? NOBODY).filter(maySee);
  const route = splitPath(ask.target);
  const byPath = route && see(route.key);
  const found = byPath && { deployment: byPath, rest: route.rest };
  if (ask.deployment !== undefined) return matchHeader(see(ask.deployment), byHost, { found, target: ask.target });
  return byHost.length > 0 ? agreed(byHost, found, ask.target) : matchPath(found, route !== null, pathOf(ask.target));
}

function matchHeader(
  byHeader: RouteDeployment | null,
  byHost: readonly RouteDeployment[],
  { found, target }: { readonly found: PathRoute | null; readonly target: string },
): RouteMatch {
  if (!byHeader) return ABSENT;
  return byHost.length > 0 && !byHost.includes(byHeader) ? disagreement() : agreed([byHeader], found, target);
}

/** The absolute form names the host itself, and `Host` counts no more (RFC 9112 §3.2.2); no replica is sent it. Null for what is no URL. */
function originForm(ask: RouteAsk): RouteAsk | null {
  const match = /^https?:\/\/([^/?#@]+)(\/.*)?$/i.exec(ask.target);
  return match ? { ...ask, host: match[1], target: match[2] ?? '/' } : null;
}

interface PathRoute {
  readonly deployment: RouteDeployment;
  readonly rest: string;
}

/** Named by Host or header: a path that begins with a visible endpoint must name the same; any other is the path below. */
function agreed(named: readonly RouteDeployment[], found: PathRoute | null, target: string): RouteMatch {
  const [oldest] = named;
  if (found) return named.includes(found.deployment) ? { kind: 'found', ...found } : disagreement();
  return oldest ? { kind: 'found', deployment: oldest, rest: target } : ABSENT;
}

function matchPath(found: PathRoute | null, wellFormed: boolean, path: string): RouteMatch {
  if (found) return { kind: 'found', ...found };
  if (wellFormed) return ABSENT;
  const segments = path.split('/').slice(1, 4);
  if (segments.some((segment) => ENCODED_SEPARATOR.test(segment)))
    return malformed('Encoded slashes are not allowed in the endpoint.');
  if (path.startsWith('//') || segments.slice(0, -1).includes(''))
    return malformed('Empty segments are not allowed in the endpoint.');
  return ABSENT;
}

function pathOf(target: string): string {
  const end = target.indexOf('?');
  return end < 0 ? target : target.slice(0, end);
}

/** `/team/project/deployment/rest?query` → key and rest; null when the first three segments are not names. */
function splitPath(target: string): { readonly key: string; readonly rest: string } | null {
  const first = target.indexOf('/', 1);
  const second = first < 0 ? -1 : target.indexOf('/', first + 1);
  if (second < 0) return null;
  const end = endOfSegment(target, second + 1);
  const key = target.slice(1, end);
  if (!key.split('/').every(isName)) return null;
  const rest = target.slice(end);
  return { key, rest: rest.startsWith('/') ? rest : `/${rest}` };
}

function endOfSegment(target: string, from: number): number {
  for (let i = from; i < target.length; i += 1) if (target[i] === '/' || target[i] === '?') return i;
  return target.length;
}

/** `.` and `..`, plain or percent-encoded, also between encoded slashes: whoever decodes later could climb out. */
function hasDotSegment(path: string): boolean {
  if (!path.includes('.') && !/%2e/i.test(path)) return false;
  const decoded = path.replace(/%2e/gi, '.').replace(/%2f|%5c|\\/gi, '/');
  return decoded.split('/').some((segment) => segment === '.' || segment === '..');
}

function hostName(host: string | undefined): string {
  const colon = host?.lastIndexOf(':') ?? -1;
  return (colon > 0 && !host?.endsWith(']') ? (host ?? '').slice(0, colon) : (host ?? '')).toLowerCase();
}

const malformed = (message: string): RouteMatch => ({ kind: 'malformed', message });
const disagreement = (): RouteMatch => malformed('Path, Host and Purser-Deployment name different deployments.');
