/** What of a provider is looked at. */
export const CHECK_ASPECTS = ['credentials', 'permissions', 'quota', 'notices', 'prices', 'bill'] as const;

export type CheckAspect = (typeof CHECK_ASPECTS)[number];

/** `unknown`: the provider could not be asked, or does not say; never a reason to call something failed. */
export type CheckStatus = 'ok' | 'failed' | 'unknown';

export interface CheckFinding {
  readonly aspect: CheckAspect;
  readonly status: CheckStatus;
  /** One sentence: what was found and, unless it is ok, what to do about it: the permission to grant, the quota to raise. Never a secret. */
  readonly message: string;
}

/** Looks whether a provider can be used. */
export interface CloudCheck {
  /**
   * One or more findings for each aspect that the provider has. Changes nothing, rents nothing, and can be repeated. Never throws for what the
   * provider answers or does not answer: that is a finding.
   */
  check(): Promise<readonly CheckFinding[]>;
}
