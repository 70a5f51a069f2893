/**
 * Headers as an ordered list, and what filters do to them.
 *
 * `HeaderEdits` is all that filters need, so a codec may edit its own form; `HeaderList` is a plain
 * one. Names are lower case throughout. Names that frame a message or that the mesh itself writes
 * (`FIXED`) are out of reach of filters: the model refuses them, and they are skipped here.
 */
import type { HeaderFilter } from '#common/mesh/route.ts';
import { isFixedHeader } from '#common/mesh/route-limits.ts';

export interface HeaderEdits {
  /** Several values of one name are joined by `, `; undefined when there is none. */
  get(name: string): string | undefined;
  set(name: string, value: string): void;
  /** Appends to the value that is there. */
  add(name: string, value: string): void;
  remove(name: string): void;
}

export class HeaderList implements HeaderEdits {
  readonly #names: string[] = [];
  readonly #values: string[] = [];

  static of(entries: Iterable<readonly [name: string, value: string]>): HeaderList {
    const list = new HeaderList();
    for (const [name, value] of entries) list.append(name, value);
    return list;
  }

  /** Adds a line of its own, as `set-cookie` needs it. */
  append(name: string, value: string): void {
    this.#names.push(name);
    this.#values.push(value);
  }

  get(name: string): string | undefined {
    let found: string | undefined;
    for (let i = this.#names.indexOf(name); i !== -1; i = this.#names.indexOf(name, i + 1)) {
      const value = this.#values[i] ?? '';
      found = found === undefined ? value : `${found}${name === 'cookie' ? '; ' : ', '}${value}`;
    }
    return found;
  }

  set(name: string, value: string): void {
    const first = this.#names.indexOf(name);
    if (first === -1) {
      this.append(name, value);
      return;
    }
    this.#values[first] = value;
    this.#removeFrom(name, first + 1);
  }

  add(name: string, value: string): void {
    const at = this.#names.indexOf(name);
    if (at === -1 || name === 'set-cookie') this.append(name, value);
    else this.set(name, `${this.get(name) ?? ''},${value}`);
  }

  remove(name: string): void {
    this.#removeFrom(name, 0);
  }

  *[Symbol.iterator](): Generator<readonly [name: string, value: string]> {
    for (const [i, name] of this.#names.entries()) yield [name, this.#values[i] ?? ''];
  }

  #removeFrom(name: string, from: number): void {
    for (let i = this.#names.indexOf(name, from); i !== -1; i = this.#names.indexOf(name, i)) {
      this.#names.splice(i, 1);
      this.#values.splice(i, 1);
    }
  }
}

/** Does what filters of one direction say, in their order. */
export function applyHeaderFilters(headers: HeaderEdits, filters: readonly HeaderFilter[]): void {
  for (const { set, add, remove } of filters) {
    for (const { name, value } of set) if (!isFixedHeader(name)) headers.set(name, value);
    for (const { name, value } of add) if (!isFixedHeader(name)) headers.add(name, value);
    for (const name of remove) if (!isFixedHeader(name)) headers.remove(name);
  }
}
