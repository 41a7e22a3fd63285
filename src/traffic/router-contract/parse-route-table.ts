import { count, countOrNull, fieldsOf, flag, listOf, oneOf, text, textOrNull, wholeText } from './fields.ts';
import type {
  RouteAccess,
  RouteCredential,
  RouteDeployment,
  RouteGroup,
  RouteIssuer,
  RouteReplica,
  RouteRevision,
  RouteTable,
  RouteWake,
  TableVersion,
} from './route-table.ts';

/**
 * Reads a table from JSON; throws `ContractError` naming the first field that is wrong. Unknown fields are ignored, and fields that were
 * added later may be missing: either side, and the table on a router's disk, may be of another release.
 */
export function parseRouteTable(value: unknown): RouteTable {
  const table = fieldsOf(value, 'table');
  return {
    version: parseTableVersion(table.version, 'version'),
    madeAt: count(table.madeAt, 'madeAt'),
    deployments: listOf(table.deployments, 'deployments', deployment),
    deleted: listOf(table.deleted, 'deleted', deletion),
    credentials: listOf(table.credentials, 'credentials', credential),
    issuers: listOf(table.issuers, 'issuers', issuer),
  };
}

export function parseTableVersion(value: unknown, where: string): TableVersion {
  const version = fieldsOf(value, where);
  return { epoch: text(version.epoch, `${where}.epoch`), n: count(version.n, `${where}.n`) };
}

function deployment(value: unknown, where: string): RouteDeployment {
  const row = fieldsOf(value, where);
  return {
    deploymentId: text(row.deploymentId, `${where}.deploymentId`),
    teamId: text(row.teamId, `${where}.teamId`),
    projectId: text(row.projectId, `${where}.projectId`),
    path: text(row.path, `${where}.path`),
    hosts: listOf(row.hosts, `${where}.hosts`, text),
    deadlineMs: count(row.deadlineMs, `${where}.deadlineMs`),
    queueLimit: count(row.queueLimit, `${where}.queueLimit`),
    revisions: listOf(row.revisions, `${where}.revisions`, revision),
    ...(isGiven(row.groups) ? { groups: listOf(row.groups, `${where}.groups`, group) } : {}),
    ...(isGiven(row.wake) ? { wake: wake(row.wake, `${where}.wake`) } : {}),
  };
}

const isGiven = (value: unknown): boolean => value !== undefined && value !== null;

function group(value: unknown, where: string): RouteGroup {
  const row = fieldsOf(value, where);
  return {
    name: text(row.name, `${where}.name`),
    weight: count(row.weight, `${where}.weight`),
    order: count(row.order, `${where}.order`),
  };
}

function wake(value: unknown, where: string): RouteWake {
  const row = fieldsOf(value, where);
  return {
    wished: count(row.wished, `${where}.wished`),
    since: countOrNull(row.since, `${where}.since`),
    etaMs: countOrNull(row.etaMs, `${where}.etaMs`),
  };
}

function revision(value: unknown, where: string): RouteRevision {
  const row = fieldsOf(value, where);
  return {
    revisionId: text(row.revisionId, `${where}.revisionId`),
    number: count(row.number, `${where}.number`),
    weight: count(row.weight, `${where}.weight`),
    concurrency: count(row.concurrency, `${where}.concurrency`),
    protocol: oneOf(['oip', 'openai', 'http'], row.protocol, `${where}.protocol`),
    retryable: flag(row.retryable, `${where}.retryable`),
    replicas: listOf(row.replicas, `${where}.replicas`, replica),
  };
}

function replica(value: unknown, where: string): RouteReplica {
  const row = fieldsOf(value, where);
  const rate = row.ratePicoUsdPerHour;
  return {
    replicaId: text(row.replicaId, `${where}.replicaId`),
    address: text(row.address, `${where}.address`),
    ratePicoUsdPerHour: rate === null ? null : wholeText(rate, `${where}.ratePicoUsdPerHour`),
    ...(isGiven(row.group) ? { group: text(row.group, `${where}.group`) } : {}),
  };
}

function deletion(value: unknown, where: string): RouteTable['deleted'][number] {
  const row = fieldsOf(value, where);
  return { deploymentId: text(row.deploymentId, `${where}.deploymentId`), at: count(row.at, `${where}.at`) };
}

function credential(value: unknown, where: string): RouteCredential {
  const row = fieldsOf(value, where);
  return {
    tokenSha256: text(row.tokenSha256, `${where}.tokenSha256`),
    principalId: text(row.principalId, `${where}.principalId`),
    callerTeamId: textOrNull(row.callerTeamId, `${where}.callerTeamId`),
    expiresAt: countOrNull(row.expiresAt, `${where}.expiresAt`),
    access: access(row.access, `${where}.access`),
  };
}

function access(value: unknown, where: string): RouteAccess {
  const row = fieldsOf(value, where);
  return {
    all: flag(row.all, `${where}.all`),
    teamIds: listOf(row.teamIds, `${where}.teamIds`, text),
    projectIds: listOf(row.projectIds, `${where}.projectIds`, text),
  };
}

function issuer(value: unknown, where: string): RouteIssuer {
  const row = fieldsOf(value, where);
  return {
    issuer: text(row.issuer, `${where}.issuer`),
    audience: text(row.audience, `${where}.audience`),
    jwks: text(row.jwks, `${where}.jwks`),
    people: listOf(row.people, `${where}.people`, (item, place) => {
      const person = fieldsOf(item, place);
      return {
        subject: text(person.subject, `${place}.subject`),
        principalId: text(person.principalId, `${place}.principalId`),
        callerTeamId: textOrNull(person.callerTeamId, `${place}.callerTeamId`),
        access: access(person.access, `${place}.access`),
      };
    }),
  };
}
