import { isId } from '../../kernel/id.ts';
import { MINUTE_MS } from '../../kernel/instant.ts';
import { ContractError, count, fieldsOf, listOf, oneOf, text, wholeText } from './fields.ts';
import { parseTableVersion } from './parse-route-table.ts';
import type { UsageReport, UsageRow } from './usage-report.ts';

/** A report in bytes of JSON. Higher: one slow statement at the control plane; lower: more round trips after an outage. */
export const MAX_REPORT_BYTES = 1024 * 1024;

const SOURCE = /^[^/\s]{1,100}\/[0-9a-f-]{36}$/;

/** Reads a report from JSON; throws `ContractError` naming the first field that is wrong. */
export function parseUsageReport(value: unknown): UsageReport {
  const report = fieldsOf(value, 'report');
  const source = text(report.source, 'source');
  if (!SOURCE.test(source)) throw new ContractError('source must be <router name>/<incarnation>');
  const sequence = count(report.sequence, 'sequence');
  if (sequence === 0) throw new ContractError('sequence starts at 1');
  return {
    source,
    sequence,
    through: count(report.through, 'through'),
    tableVersion: parseTableVersion(report.tableVersion, 'tableVersion'),
    rows: listOf(report.rows, 'rows', usageRow),
  };
}

function usageRow(value: unknown, where: string): UsageRow {
  const row = fieldsOf(value, where);
  const minute = count(row.minute, `${where}.minute`);
  if (minute % MINUTE_MS !== 0) throw new ContractError(`${where}.minute must be the start of a minute`);
  return {
    replicaId: id(row.replicaId, `${where}.replicaId`),
    minute,
    callerTeamId: id(row.callerTeamId, `${where}.callerTeamId`),
    caller: id(row.caller, `${where}.caller`),
    kind: oneOf(['inference', 'mirror', 'warmup', 'batch'], row.kind, `${where}.kind`),
    experiment: text(row.experiment, `${where}.experiment`),
    busyUs: count(row.busyUs, `${where}.busyUs`),
    attempts: count(row.attempts, `${where}.attempts`),
    requests: count(row.requests, `${where}.requests`),
    errors: count(row.errors, `${where}.errors`),
    bytesIn: count(row.bytesIn, `${where}.bytesIn`),
    bytesOut: count(row.bytesOut, `${where}.bytesOut`),
    inputTokens: count(row.inputTokens, `${where}.inputTokens`),
    outputTokens: count(row.outputTokens, `${where}.outputTokens`),
    stampedPicoUsd: wholeText(row.stampedPicoUsd, `${where}.stampedPicoUsd`),
  };
}

function id(value: unknown, where: string): string {
  const id = text(value, where);
  if (!isId(id)) throw new ContractError(`${where} must be a UUID`);
  return id;
}
