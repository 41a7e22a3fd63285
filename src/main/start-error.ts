/** Why a process cannot start, as one sentence that names the mend. */
export class StartError extends Error {
  override readonly name = 'StartError';
}

/** Turns the system's words about a listening socket into ours. */
export function listenError(error: NodeJS.ErrnoException, what: string, port: number, variable: string): Error {
  if (error.code === 'EADDRINUSE')
    return new StartError(`Port ${port} for ${what} is in use: stop what listens there or set ${variable} to another port.`);
  if (error.code === 'EACCES')
    return new StartError(`Port ${port} for ${what} needs more rights than this user has: set ${variable} to a port above 1023.`);
  if (error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND')
    return new StartError(
      `The address for ${what} is not one of this machine: set ${variable === 'PURSER_LINK_PORT' ? 'PURSER_LINK_HOST' : 'PURSER_HOST'} to one that is.`,
    );
  return error;
}
