/** Header in which a router says its name where its token is good for several. */
export const ROUTER_NAME_HEADER = 'purser-router';

/** Also part of a folder's name, and of a report's source before a slash. */
const ROUTER_NAME = /^[A-Za-z0-9][\w.-]{0,99}$/;

export const isRouterName = (name: string): boolean => ROUTER_NAME.test(name);

/**
 * A router's token is good for the router of its name and for those whose names go on after a dash: the pods of one KubernetesDeployment
 * share a token, and each counts by itself when a minute waits for all routers to have told of it.
 */
export const mayBeCalled = (holder: string, name: string): boolean =>
  name === holder || (name.startsWith(`${holder}-`) && isRouterName(name));
