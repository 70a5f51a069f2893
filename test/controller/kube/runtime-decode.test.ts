import { test } from 'tap';
import { decodeRuntimePatch } from '../../../controller/kube/runtime-decode.ts';

const POD = { podUid: 'abc-1', phase: 'Running' };

test('decodeRuntimePatch() reads a report and canonicalises its addresses', async (t) => {
  t.strictSame(
    decodeRuntimePatch({
      pods: [{ ...POD, addresses: ['10.0.0.1', 'FD00::01'], ready: true, terminating: false }],
      gone: ['x'],
    }),
    {
      pods: [{ ...POD, addresses: ['10.0.0.1', 'fd00::1'], ready: true, terminating: false }],
      gone: ['x'],
    },
  );
  t.strictSame(decodeRuntimePatch({ pods: [POD] }), {
    pods: [{ ...POD, addresses: [], ready: false, terminating: false }],
    gone: [],
  });
});

test('decodeRuntimePatch() refuses everything else, with the path', async (t) => {
  const many = Array.from({ length: 10_001 }, () => 'x');
  const table: readonly (readonly [unknown, RegExp])[] = [
    [null, /expected a mapping/],
    [[], /expected a mapping/],
    [{ pod: [] }, /pod: unknown field "pod"; .*did you mean "pods"/],
    [{ pods: [{ ...POD, podUid: '../x' }] }, /pods\[0\]\.podUid: "\.\.\/x"; expected/],
    [{ pods: [{ ...POD, podUid: undefined }] }, /pods\[0\]\.podUid: missing/],
    [{ pods: [{ ...POD, addresses: ['1.2.3'] }] }, /pods\[0\]\.addresses\[0\]: "1\.2\.3"/],
    [{ pods: [{ ...POD, phase: 'running' }] }, /phase: "running"; .*did you mean "Running"/],
    [{ pods: [{ ...POD, ready: 1 }] }, /ready: the number 1; expected true or false/],
    [{ gone: many }, /gone: 10001 items/],
  ];
  for (const [body, message] of table) {
    t.throws(() => decodeRuntimePatch(body), { code: 'MESSAGE_INVALID', message }, String(message));
  }
});
