import type { EventDraft } from '../../src/kernel/event.ts';

/** An id that is easy to read. */
export const uuid = (n: number): string => `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`;
export const TEAMS = [uuid(1), uuid(2)] as const;

/** The event that raised a subject to this version. */
export const draft = (subject: number, version: number, more: Partial<EventDraft> = {}): EventDraft => ({
  type: 'deployment.updated',
  subjectKind: 'Deployment',
  subjectId: uuid(subject),
  subjectVersion: version,
  teamId: TEAMS[0],
  projectId: null,
  deploymentId: uuid(subject),
  severity: 'info',
  at: 1_000,
  principal: 'test',
  message: 'changed',
  before: { version: version - 1 },
  after: { version },
  ...more,
});
