const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** A DNS label (RFC 1123): what teams, projects, models, deployments and aliases may be called. */
export const isName = (text: string): boolean => NAME.test(text);

export const NAME_RULE = 'must be 1 to 63 of a-z, 0-9 and "-", starting and ending with a letter or digit';
