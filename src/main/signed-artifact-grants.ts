import type { ArtifactGrants } from '../deployments/artifact-grants.port.ts';
import type { Clock } from '../kernel/clock.ts';
import { DAY_MS } from '../kernel/instant.ts';
import { signArtifactGrant } from '../registry/artifact-grant.ts';

/** How long a replica's permission lasts. Higher: a leaked one is good for longer; lower: a long outage ends with unreadable artifacts. */
const GRANT_MS = 7 * DAY_MS;

/** Permissions signed with the installation's secret; the API checks them without a look-up. */
export const signedArtifactGrants = (deps: {
  readonly apiUrl: string;
  readonly secret: string;
  readonly clock: Clock;
}): ArtifactGrants => ({
  grant: ({ workloadId, projectId, teamName, projectName, digest }) => ({
    artifactUrl: `${deps.apiUrl}/projects/${teamName}/${projectName}/artifacts/${digest}`,
    artifactToken: signArtifactGrant({ workloadId, projectId, digest, expiresAt: deps.clock.now() + GRANT_MS }, deps.secret),
  }),
});
