import type { Cause, EventDraft, Json } from '../kernel/event.ts';
import { modelPath, type Model } from './model.ts';
import type { ModelVersion } from './model-version.ts';

/** `model` is as it is after the change. */
export interface RegistryChange extends Cause {
  readonly model: Model;
}

export const modelRegistered = (change: RegistryChange): EventDraft =>
  draft(change, 'model.registered', `Model ${modelPath(change.model)} was registered.`, {
    before: null,
    after: { name: change.model.name, description: change.model.description },
  });

export const versionRegistered = (change: RegistryChange, version: ModelVersion): EventDraft =>
  draft(change, 'model_version.registered', `Version ${version.number} of ${modelPath(change.model)} was registered.`, {
    before: null,
    after: versionSnapshot(version),
  });

export const versionArchived = (change: RegistryChange, before: ModelVersion): EventDraft =>
  draft(change, 'model_version.archived', `Version ${before.number} of ${modelPath(change.model)} was archived.`, {
    before: versionSnapshot(before),
    after: { ...versionSnapshot(before), archivedAt: change.at },
  });

export const aliasChanged = (
  change: RegistryChange,
  alias: { readonly name: string; readonly before: number | null; readonly after: number },
): EventDraft =>
  draft(
    change,
    'alias.changed',
    `${modelPath(change.model)}@${alias.name} is now version ${alias.after}${wasVersion(alias.before)}.`,
    {
      before: alias.before === null ? null : { alias: alias.name, number: alias.before },
      after: { alias: alias.name, number: alias.after },
    },
  );

const wasVersion = (before: number | null): string => (before === null ? '' : `; it was ${before}`);

const versionSnapshot = (version: ModelVersion): { readonly [key: string]: Json } => ({
  number: version.number,
  format: version.format,
  digest: version.artifact?.digest ?? null,
  archivedAt: version.archivedAt,
});

function draft(
  change: RegistryChange,
  type: string,
  message: string,
  facts: { readonly before: Json; readonly after: Json },
): EventDraft {
  const { model, at, principal } = change;
  const subject = { subjectKind: 'Model', subjectId: model.id, subjectVersion: model.version };
  return {
    type,
    ...subject,
    teamId: model.teamId,
    projectId: model.projectId,
    deploymentId: null,
    severity: 'info',
    at,
    principal,
    message,
    ...facts,
  };
}
