import type { Id } from '../kernel/id.ts';
import type { ArtifactSource } from './make-workload-spec.ts';

/** Where a replica fetches its artifact, and the permission to. */
export interface ArtifactGrants {
  /** A token bound to this workload and digest; safe to ask for again, an older one stays good until it expires. */
  grant(wanted: {
    readonly workloadId: Id;
    readonly projectId: Id;
    readonly teamName: string;
    readonly projectName: string;
    readonly digest: string;
  }): ArtifactSource;
}
