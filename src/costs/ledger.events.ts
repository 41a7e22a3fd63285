import type { EventDraft } from '../kernel/event.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import { formatUsd } from '../kernel/money.ts';
import type { CostedReplica } from './cost-store.port.ts';
import type { Violation } from './settle.ts';

const WHAT: Record<Violation['promise'], string> = {
  minute: 'The lines of the minute',
  group: 'The lines of one caller in the minute',
  hour: 'The sums of the hour from',
};

/** The same of a node, whose lines are its replicas', other people's pods' and nobody's. */
export const nodeInvariantViolated = (
  { nodeId, clusterId, name }: { readonly nodeId: Id; readonly clusterId: Id; readonly name: string },
  violation: Violation,
  at: Instant,
): EventDraft => ({
  type: 'ledger.invariant_violated',
  subjectKind: 'Cluster',
  subjectId: clusterId,
  subjectVersion: at,
  teamId: null,
  projectId: null,
  deploymentId: null,
  severity: 'error',
  at,
  principal: 'reconciler:costs',
  message: `Node ${name}: ${messageOf(violation)}`,
  before: { node: nodeId, minute: violation.minute, expected: formatUsd(violation.expected) },
  after: { node: nodeId, minute: violation.minute, found: formatUsd(violation.found) },
});

/** Lines of a closed minute do not sum to what its replica cost: a bug or a meddled table, never an operating state. */
export const invariantViolated = (replica: CostedReplica, violation: Violation, at: Instant): EventDraft => ({
  type: 'ledger.invariant_violated',
  subjectKind: 'Replica',
  subjectId: replica.replicaId,
  subjectVersion: at,
  teamId: replica.teamId,
  projectId: replica.projectId,
  deploymentId: replica.deploymentId,
  severity: 'error',
  at,
  principal: 'reconciler:costs',
  message: messageOf(violation),
  before: { minute: violation.minute, expected: formatUsd(violation.expected) },
  after: { minute: violation.minute, found: formatUsd(violation.found) },
});

const messageOf = ({ promise, minute, expected, found }: Violation): string =>
  `${WHAT[promise]} ${new Date(minute).toISOString()} sum to ${formatUsd(found)} USD and ${promise === 'group' ? 'should not be negative' : `should be ${formatUsd(expected)} USD`}.`;
