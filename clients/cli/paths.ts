import { CommandFailure, EXIT } from './exit-codes.ts';

export interface ThingPath {
  readonly team: string;
  readonly project: string;
  readonly name: string;
  /** `team/project`. */
  readonly projectPath: string;
}

/** Reads `team/project/name`. */
export function parsePath(path: string): ThingPath {
  const [team, project, name, ...rest] = path.split('/');
  if (!team || !project || !name || rest.length > 0) throw new CommandFailure(`"${path}" must be team/project/name.`, EXIT.USAGE);
  return { team, project, name, projectPath: `${team}/${project}` };
}
