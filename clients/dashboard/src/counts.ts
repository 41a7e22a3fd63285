/** Counts for reading; nothing here touches money. */
export const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

export const servingOf = ({ replicas }: { readonly replicas: readonly { readonly state: string }[] }): number =>
  replicas.filter(({ state }) => state === 'SERVING').length;

export const requestsOf = ({ rows }: { readonly rows: readonly { readonly requests: number }[] }): number =>
  sum(rows.map(({ requests }) => requests));
