import type { PackedCluster, PodKind } from './pack-cluster.ts';
import type { PodMix } from './pack-mix.ts';
import { isShare, WHOLE_GPU, type PodNeed } from './pack-room.ts';

/**
 * From this share of the devices allocated on, spoilers wait. Lower leaves more room to those that fit better, and keeps spoilers waiting while much is
 * free; above 0.7 what they strand by then cannot be made good.
 */
const CROWDED = 0.65;

/** With fewer than this many pods to share with, for each that wants to share, the rest of a device is taken to be lost. */
const SCARCE_COMPANY = 0.25;

/**
 * Pods that wait although they fit: those that would spoil a device, once the cluster is crowded. They are for who plans moves to seat when it is
 * known what else came; nobody waits for more than that.
 */
export const spoilersWait =
  (cluster: PackedCluster, mix: PodMix) =>
  ({ need }: PodKind): boolean =>
    cluster.allocatedGpuMilli >= CROWDED * cluster.gpuMilli && isSpoiler(need, mix);

/** Takes most of a device, and leaves less of it than nearly everybody asks for. */
function isSpoiler(need: PodNeed, mix: PodMix): boolean {
  if (!isShare(need) || need.gpuMilli <= WHOLE_GPU / 2) return false;
  const company = mix.sharesSeen(1, WHOLE_GPU - need.gpuMilli);
  return company < SCARCE_COMPANY * mix.sharesSeen(need.gpuMilli, WHOLE_GPU - 1);
}
