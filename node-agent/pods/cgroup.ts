/**
 * Which pod a process belongs to, by the names of its cgroups: those of both versions, of both drivers of
 * kubelet (cgroupfs and systemd) and of every runtime. Pure: text in, uid out.
 *
 *     0::/kubepods/burstable/pod8d1c5c4e-4c1e-4d7a-9f0e-0123456789ab/1f2e…
 *     4:memory:/kubepods.slice/kubepods-pod8d1c5c4e_4c1e_4d7a_9f0e_0123456789ab.slice/crio-1f2e….scope
 */

/** A uid of the API server, in systemd's spelling too; or that of a static pod, without hyphens. */
const POD =
  /[/-]pod([0-9a-f]{8}([-_])[0-9a-f]{4}\2[0-9a-f]{4}\2[0-9a-f]{4}\2[0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?(?:\/|$)/m;

/** Reads the text of `/proc/PID/cgroup`; undefined when the process is of no pod. */
export function podUidIn(cgroup: string): string | undefined {
  return POD.exec(cgroup)?.[1]?.replaceAll('_', '-');
}
