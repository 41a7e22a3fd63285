/** Names a pool for good: the same cluster and pool of another installation is another pool, also where both rent in one account. */
export const poolKeyOf = (installation: string, cluster: string, pool: string): string => `${installation}/${cluster}/${pool}`;

/** Whose it is. */
export const installationIn = (key: string): string => key.split('/', 1)[0] ?? '';
