/** A controller on a directory of YAML: one process, agents by a file of tokens, the CA in a file. */
import { mkdirSync } from 'node:fs';
import type { AdminRoute } from '#common/admin.ts';
import type { Part } from '#common/lifecycle.ts';
import type { Logger } from '#common/log.ts';
import { runnerRoutes } from './api/runner.ts';
import type { Backing } from './backing.ts';
import type { CertificateAuthority } from './ca/certificate-authority.ts';
import { FileCaStore } from './ca/file-store.ts';
import type { DirectoryConfig } from './config.ts';
import { DirectorySource } from './kube/directory-source.ts';
import type { OnChanges } from './kube/source.ts';
import { DEFAULT_MODEL_OPTIONS } from './model/diff.ts';
import { TokenFile } from './push/tokens.ts';

export class OnDirectory implements Backing {
  readonly modelOptions = {};
  readonly admit = undefined;
  readonly authenticate;
  readonly #config: DirectoryConfig;
  readonly #log: Logger;
  #source: DirectorySource | undefined;

  constructor(config: DirectoryConfig, log: Logger) {
    this.#config = config;
    this.#log = log;
    mkdirSync(config.stateDir, { recursive: true, mode: 0o700 });
    this.authenticate = new TokenFile(config.tokens, log).authenticate;
  }

  caOptions() {
    return { store: new FileCaStore(`${this.#config.stateDir}/ca`) };
  }

  openCa(ca: CertificateAuthority): Part[] {
    return [{ name: 'ca', start: async () => ca.start(), stop: async () => {} }];
  }

  source(onChanges: OnChanges): Part {
    const source = new DirectorySource({
      directory: this.#config.directory,
      stateFile: `${this.#config.stateDir}/pods.json`,
      domain: DEFAULT_MODEL_OPTIONS.domain,
      log: this.#log,
      onChanges,
    });
    this.#source = source;
    return {
      name: 'source',
      start: async () => source.start(),
      stop: async () => source.stop(),
    };
  }

  routes(): AdminRoute[] {
    return this.#source === undefined ? [] : runnerRoutes(this.#source);
  }

  beside(): Part[] {
    return [];
  }

  otherAgents(): [] {
    return [];
  }

  registerMetrics(): void {}
  noteChanges(): void {}
  noteProof(): void {}
  noteStatus(): void {}
  noteTrust(): void {}
}
