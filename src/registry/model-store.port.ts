import type { Visible } from '../identity/authorize.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { AliasChange, Model, ModelAlias } from './model.ts';
import type { ModelVersion, VersionTarget } from './model-version.ts';

export interface ModelPath {
  readonly teamName: string;
  readonly projectName: string;
  readonly name: string;
}

export interface ModelsQuestion {
  readonly projectId: Id | null;
  /** Part of the name; null = any. */
  readonly nameContains: string | null;
  /** Teams and projects that the caller may read; null = all. */
  readonly visible: Visible | null;
  /** `team/project/name` of the last one seen. */
  readonly after: string | null;
  readonly limit: number;
}

/** A page of versions of each of several models, newest first. */
export interface VersionsQuestion {
  readonly modelIds: readonly Id[];
  readonly limit: number;
  /** Only numbers below this; null = from the newest. */
  readonly below: number | null;
}

/** Models, versions and aliases. Reads see what the transaction's scope sees; each is one statement. */
export interface ModelStore {
  model(
    tx: Transaction,
    by: { readonly id: Id } | ModelPath | { readonly projectId: Id; readonly name: string },
  ): Promise<Model | null>;
  /** The same, locked until the transaction ends: numbers and aliases of a model are given one at a time. */
  lockModel(tx: Transaction, id: Id): Promise<Model | null>;
  modelsByIds(tx: Transaction, ids: readonly Id[]): Promise<Model[]>;
  /** By path, one more than asked where there are more. */
  models(tx: Transaction, question: ModelsQuestion): Promise<Model[]>;
  insertModel(tx: Transaction, model: Model): Promise<void>;
  raiseVersion(tx: Transaction, modelId: Id): Promise<void>;

  versionsByIds(tx: Transaction, ids: readonly Id[]): Promise<ModelVersion[]>;
  version(tx: Transaction, modelId: Id, which: VersionTarget): Promise<ModelVersion | null>;
  versions(tx: Transaction, question: VersionsQuestion): Promise<ModelVersion[]>;
  /** The highest number given so far; 0 = none. */
  lastNumber(tx: Transaction, modelId: Id): Promise<number>;
  insertVersion(tx: Transaction, version: ModelVersion): Promise<void>;
  archiveVersion(tx: Transaction, id: Id, at: Instant): Promise<void>;

  aliases(tx: Transaction, modelIds: readonly Id[]): Promise<ModelAlias[]>;
  /** Points the alias there and appends to its history, with the next generation. */
  setAlias(tx: Transaction, change: AliasChange & { readonly versionId: Id }): Promise<void>;
  aliasHistory(tx: Transaction, modelIds: readonly Id[]): Promise<AliasChange[]>;
}
