/**
 * Turns a container of a pod into the program, arguments and environment that run it here.
 *
 * As in Kubernetes, `$(NAME)` stands for a variable of the container in command, args and env, an
 * unknown one stays as it is, and `$$` is a dollar sign. A container gets its own environment and a
 * small base, nothing of the environment of `plumb`, which may hold secrets. Pure.
 */
import type { DesiredContainer } from '#common/control/desired.ts';

export interface ContainerCommand {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
}

export interface ContainerPlace {
  /** The directory of `plumb up DIR`, absolute. */
  readonly directory: string;
  readonly podName: string;
  /** Of programs, the pinned Node's first. */
  readonly path: string;
}

export function commandOf(container: DesiredContainer, place: ContainerPlace): ContainerCommand {
  const env: Record<string, string> = {
    PATH: place.path,
    HOME: '/root',
    LANG: 'C.UTF-8',
    HOSTNAME: place.podName,
  };
  for (const { name, value } of container.env) env[name] = expand(value, env);
  return {
    argv: [...container.command, ...container.args].map((word) => expand(word, env)),
    env,
    cwd: resolvePath(place.directory, container.workingDir),
  };
}

function expand(text: string, env: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\$|\$\(([^()]+)\)/g, (whole, name: string | undefined) => {
    if (name === undefined) return '$';
    return Object.hasOwn(env, name) ? (env[name] ?? '') : whole;
  });
}

function resolvePath(directory: string, path: string): string {
  if (path === '') return directory;
  return path.startsWith('/') ? path : `${directory}/${path}`;
}
