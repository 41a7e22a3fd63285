import type { EventDraft } from '../kernel/event.ts';
import type { Instant } from '../kernel/instant.ts';
import { formatUsd } from '../kernel/money.ts';
import type { CostedReplica } from './cost-store.port.ts';
import type { Violation } from './settle.ts';

const WHAT: Record<Violation['promise'], string> = {
  minute: 'The lines of the minute',
  group: 'The lines of one caller in the minute',
  hour: 'The sums of the hour from',
};

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
  message: `${WHAT[violation.promise]} ${new Date(violation.minute).toISOString()} sum to ${formatUsd(violation.found)} USD and ${violation.promise === 'group' ? 'should not be negative' : `should be ${formatUsd(violation.expected)} USD`}.`,
  before: { minute: violation.minute, expected: formatUsd(violation.expected) },
  after: { minute: violation.minute, found: formatUsd(violation.found) },
});
