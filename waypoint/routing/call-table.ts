/**
 * Which match of a GRPCRoute takes a call: service and method exactly, the service alone, patterns,
 * then the method alone and what takes every call. A longer service or pattern goes first.
 */
import { compilePattern } from '#common/decide/pattern.ts';
import type { GrpcMatch } from '#common/mesh/route.ts';
import { passes } from './compiled.ts';
import type { Candidate } from './compiled.ts';
import { byPrecedence, Group } from './group.ts';
import type { RequestView } from './request.ts';

interface Loose {
  readonly fits: (path: string) => boolean;
  readonly candidate: Candidate;
}

export class CallTable {
  readonly #calls: ReadonlyMap<string, Group>;
  readonly #services: ReadonlyMap<string, Group>;
  readonly #loose: readonly Loose[];

  constructor(candidates: readonly Candidate[]) {
    const calls = new Map<string, Candidate[]>();
    const services = new Map<string, Candidate[]>();
    const loose: Candidate[] = [];
    for (const one of candidates) {
      const { grpc } = one.match;
      if (grpc?.kind !== 'exact' || grpc.service === '') loose.push(one);
      else if (grpc.method === '') file(services, grpc.service, one);
      else file(calls, `/${grpc.service}/${grpc.method}`, one);
    }
    this.#calls = groups(calls);
    this.#services = groups(services);
    this.#loose = loose
      .toSorted(byTightness)
      .map((candidate) => ({ candidate, fits: fitsOf(candidate.match.grpc) }));
  }

  find(request: RequestView): Candidate | undefined {
    const { path } = request;
    const slash = path.indexOf('/', 1);
    if (slash === -1 || !path.startsWith('/')) return undefined;
    const exact = this.#calls.get(path)?.find(request);
    if (exact !== undefined) return exact;
    if (this.#services.size > 0) {
      const found = this.#services.get(path.slice(1, slash))?.find(request);
      if (found !== undefined) return found;
    }
    for (const { fits, candidate } of this.#loose) {
      if (fits(path) && passes(candidate, request)) return candidate;
    }
    return undefined;
  }
}

function byTightness(a: Candidate, b: Candidate): number {
  const [one, other] = [a.match.grpc, b.match.grpc];
  const service = (other?.service.length ?? 0) - (one?.service.length ?? 0);
  if (service !== 0) return service;
  const method = (other?.method.length ?? 0) - (one?.method.length ?? 0);
  return method === 0 ? byPrecedence(a, b) : method;
}

function fitsOf(grpc: GrpcMatch | undefined): (path: string) => boolean {
  if (grpc === undefined) return () => true;
  const service = partOf(grpc.kind, grpc.service);
  const method = partOf(grpc.kind, grpc.method);
  return (path) => {
    const slash = path.indexOf('/', 1);
    return service(path.slice(1, slash)) && method(path.slice(slash + 1));
  };
}

function partOf(kind: GrpcMatch['kind'], text: string): (given: string) => boolean {
  if (text === '') return () => true;
  if (kind === 'exact') return (given) => given === text;
  const pattern = compilePattern(text);
  return (given) => pattern.test(given);
}

function file(into: Map<string, Candidate[]>, key: string, one: Candidate): void {
  const members = into.get(key);
  if (members === undefined) into.set(key, [one]);
  else members.push(one);
}

function groups(from: ReadonlyMap<string, Candidate[]>): Map<string, Group> {
  return new Map(Array.from(from, ([key, members]) => [key, new Group(members)]));
}
