const KEY = 'purser-token';

/** The token of this tab only: it is gone when the tab is. */
export const readToken = (): string | null => sessionStorage.getItem(KEY);

export const keepToken = (token: string): void => sessionStorage.setItem(KEY, token);

export const forgetToken = (): void => sessionStorage.removeItem(KEY);
