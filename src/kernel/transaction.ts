declare const transaction: unique symbol;

/** An open database transaction, opaque outside `persistence/`. Holding one is the only way to read or write. */
export interface Transaction {
  readonly [transaction]: true;
}

/** Which rows the database lets a transaction touch: the second wall behind `identity/authorize.ts`. */
export type Scope =
  /** Rows of these teams only. An empty list sees nothing of any team. */
  | { readonly kind: 'tenant'; readonly teamIds: readonly string[] }
  /** A platform principal (administrators): every team. */
  | { readonly kind: 'platform' }
  /** A loop of the control plane, by its name; also first-start bootstrap. */
  | { readonly kind: 'reconciler'; readonly loop: string };
