/** Reads Prometheus text as far as the tour needs it: samples with their labels. Pure. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export function parseMetrics(text: string): Sample[] {
  const samples: Sample[] = [];
  for (const line of text.split('\n')) {
    const found = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ([-+\d.eE]+|NaN|[-+]Inf)(?: \d+)?$/.exec(line);
    if (found === null) continue;
    const [, name = '', labelText = '', value = ''] = found;
    const labels = Object.fromEntries(
      Array.from(labelText.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g), ([, key = '', one = '']) => [
        key,
        one.replaceAll(/\\(.)/g, (_, letter: string) => (letter === 'n' ? '\n' : letter)),
      ]),
    );
    samples.push({ name, labels, value: Number(value) });
  }
  return samples;
}

/** Adds up the samples of one name whose labels are as wanted. */
export function sumOf(
  samples: readonly Sample[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  return samples
    .filter((sample) => sample.name === name)
    .filter((sample) => Object.entries(labels).every(([key, one]) => sample.labels[key] === one))
    .reduce((sum, { value }) => sum + value, 0);
}
