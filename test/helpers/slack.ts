/**
 * How much longer than its bar a thing may take in the everyday suite, which also runs on small machines
 * that do other work: a bar of time is met or missed by `npm run faults` and the benches, where
 * nothing is forgiven. `PLUMB_SLACK=1` asks the same of the suite.
 */
export const SLACK = Number(process.env['PLUMB_SLACK'] ?? 3);
