/** Pods by the names that kubelet and runtimes give their cgroups. */
import { test } from 'tap';
import { podUidIn } from '../../../node-agent/pods/cgroup.ts';

const UID = '8d1c5c4e-4c1e-4d7a-9f0e-0123456789ab';
const SYSTEMD = UID.replaceAll('-', '_');
const STATIC = '1b0c3a5d7e9f1b0c3a5d7e9f1b0c3a5d';
const ID = '1f2e3d4c5b6a79881f2e3d4c5b6a79881f2e3d4c5b6a79881f2e3d4c5b6a7988';

test('podUidIn() knows the names of both cgroup versions, both drivers and all runtimes', async (t) => {
  const rows: readonly (readonly [string, string])[] = [
    [UID, `0::/kubepods/burstable/pod${UID}/${ID}\n`],
    [UID, `0::/kubepods/pod${UID}\n`],
    [UID, `0::/../../pod${UID}/${ID}\n`],
    [
      UID,
      `0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${SYSTEMD}.slice/cri-containerd-${ID}.scope\n`,
    ],
    [UID, `0::/kubepods.slice/kubepods-pod${SYSTEMD}.slice/crio-${ID}.scope/container\n`],
    [
      UID,
      `12:cpuset:/kubepods/besteffort/pod${UID}/crio-${ID}\n11:memory:/kubepods/besteffort/pod${UID}/crio-${ID}\n`,
    ],
    [
      UID,
      `1:name=systemd:/system.slice/containerd.service/kubepods-besteffort-pod${SYSTEMD}.slice:cri-containerd:${ID}\n2:cpu:/kubepods-besteffort-pod${SYSTEMD}.slice/x\n`,
    ],
    [
      UID,
      `0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod${SYSTEMD}.slice/x.scope\n`,
    ],
    [STATIC, `0::/kubepods/burstable/pod${STATIC}/${ID}\n`],
    [STATIC, `0::/kubepods.slice/kubepods-burstable-pod${STATIC}.slice/x.scope\n`],
  ];
  for (const [uid, text] of rows) t.equal(podUidIn(text), uid, text.slice(0, 60));
});

test('podUidIn() takes nothing else for a pod', async (t) => {
  for (const text of [
    '',
    '0::/\n',
    '0::/system.slice/containerd.service\n',
    `0::/docker/${ID}\n`,
    `0::/user/pod${UID.slice(0, 30)}/x\n`,
    `0::/mypod${UID}/x\n`,
    `0::/kubepods/pod${UID}x/y\n`,
    `0::/kubepods/pod${UID.replace('-', '_')}/y\n`,
  ]) {
    t.equal(podUidIn(text), undefined, text);
  }
});
