/** The values of a GraphQL enum, named in upper case: `team_admin` is `TEAM_ADMIN` on the wire. */
export const upperCaseNames = <T extends string>(values: readonly T[]): Record<string, T> =>
  Object.fromEntries(values.map((value) => [value.toUpperCase(), value]));
