/** Collects the reads of one moment into one request. */

/** The most ids that the API takes in one request. */
const AT_ONCE = 100;
const COLLECTED_MS = 10;

interface Waiting<Value> {
  id: string;
  resolve: (value: Value | undefined) => void;
  reject: (error: unknown) => void;
}

export class Batch<Value> {
  readonly #request: (ids: readonly string[]) => Promise<ReadonlyMap<string, Value>>;
  #waiting: Waiting<Value>[] = [];

  /** `request` reads at most 100 ids. An id that its answer lacks does not exist. */
  constructor(request: (ids: readonly string[]) => Promise<ReadonlyMap<string, Value>>) {
    this.#request = request;
  }

  /** Read one id, together with the others that are requested in the same 10 ms. Undefined: it does not exist. */
  read(id: string): Promise<Value | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) setTimeout(() => this.#send(), COLLECTED_MS);
      this.#waiting.push({ id, resolve, reject });
    });
  }

  #send(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (let start = 0; start < waiting.length; start += AT_ONCE) {
      void this.#answer(waiting.slice(start, start + AT_ONCE));
    }
  }

  async #answer(waiting: readonly Waiting<Value>[]): Promise<void> {
    try {
      const values = await this.#request([...new Set(waiting.map(({ id }) => id))]);
      for (const { id, resolve } of waiting) resolve(values.get(id));
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    }
  }
}
