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
  readonly byHost: ReadonlyMap<string, RouteDeployment>;
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
const ENCODED_SEPARATOR = /%2f|%5c|\\/i;

export function makeRouteIndex(deployments: readonly RouteDeployment[]): RouteIndex {
  return {
    byPath: new Map(deployments.map((deployment) => [deployment.path, deployment])),
    byHost: new Map(
      deployments.flatMap((deployment) => deployment.hosts.map((host) => [host.toLowerCase(), deployment] as const)),
    ),
  };
}

/**
 * Finds the deployment by path, `Host` and `Purser-Deployment`; all that are given must agree. A deployment that the caller may not
 * see counts as absent before anything is compared, so that no disagreement tells of it.
 */
export function matchRoute(index: RouteIndex, ask: RouteAsk, maySee: (deployment: RouteDeployment) => boolean): RouteMatch {
  if (hasDotSegment(pathOf(ask.target))) return malformed('Dot segments are not allowed in the path.');
  const see = (deployment: RouteDeployment | undefined): RouteDeployment | null =>
    deployment && maySee(deployment) ? deployment : null;
  const byHost = see(index.byHost.get(hostName(ask.host)));
  const route = splitPath(ask.target);
  const byPath = route ? see(index.byPath.get(route.key)) : null;
  const found = byPath && route ? { deployment: byPath, rest: route.rest } : null;
  if (ask.deployment !== undefined) {
    const byHeader = see(index.byPath.get(ask.deployment));
    if (!byHeader) return ABSENT;
    return byHost && byHost !== byHeader ? disagreement() : agreed(byHeader, found, ask.target);
  }
  return byHost ? agreed(byHost, found, ask.target) : matchPath(found, route !== null, pathOf(ask.target));
}

interface PathRoute {
  readonly deployment: RouteDeployment;
  readonly rest: string;
}

/** Named by Host or header: a path that begins with a visible endpoint must name the same; any other is the path below. */
function agreed(named: RouteDeployment, found: PathRoute | null, target: string): RouteMatch {
  if (!found) return { kind: 'found', deployment: named, rest: target };
  return found.deployment === named ? { kind: 'found', ...found } : disagreement();
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
