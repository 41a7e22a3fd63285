import { isId } from '../../kernel/id.ts';
import { MINUTE_MS } from '../../kernel/instant.ts';
import { ContractError, count, fieldsOf, listOf, oneOf, text, wholeText } from './fields.ts';
import { parseTableVersion } from './parse-route-table.ts';
import type { UsageReport, UsageRow } from './usage-report.ts';

/** A report in bytes of JSON. Higher: one slow statement at the control plane; lower: more round trips after an outage. */
export const MAX_REPORT_BYTES = 1024 * 1024;

/** Of one row. Higher: a few rows of a router gone wrong overflow the sums of all others; lower: nothing, a busy router is far below in a minute. */
const MAX_QUANTITY = 1e15;
const MAX_STAMP_DIGITS = 24;
/** An experiment is part of a key in the ledger, which holds short text without NUL. */
const MAX_EXPERIMENT = 200;

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
    experiment: experiment(row.experiment, `${where}.experiment`),
    busyUs: quantity(row.busyUs, `${where}.busyUs`),
    attempts: quantity(row.attempts, `${where}.attempts`),
    requests: quantity(row.requests, `${where}.requests`),
    errors: quantity(row.errors, `${where}.errors`),
    bytesIn: quantity(row.bytesIn, `${where}.bytesIn`),
    bytesOut: quantity(row.bytesOut, `${where}.bytesOut`),
    inputTokens: quantity(row.inputTokens, `${where}.inputTokens`),
    outputTokens: quantity(row.outputTokens, `${where}.outputTokens`),
    stampedPicoUsd: stamp(row.stampedPicoUsd, `${where}.stampedPicoUsd`),
  };
}

function id(value: unknown, where: string): string {
  const id = text(value, where);
  if (!isId(id)) throw new ContractError(`${where} must be a UUID`);
  return id;
}

function quantity(value: unknown, where: string): number {
  const found = count(value, where);
  if (found > MAX_QUANTITY) throw new ContractError(`${where} must be at most ${MAX_QUANTITY}`);
  return found;
}

function stamp(value: unknown, where: string): string {
  const digits = wholeText(value, where);
  if (digits.length > MAX_STAMP_DIGITS) throw new ContractError(`${where} must have at most ${MAX_STAMP_DIGITS} digits`);
  return digits;
}

function experiment(value: unknown, where: string): string {
  const name = text(value, where);
  if (name.length > MAX_EXPERIMENT || !name.isWellFormed())
    throw new ContractError(`${where} must be text of at most ${MAX_EXPERIMENT} characters`);
  return name;
}
