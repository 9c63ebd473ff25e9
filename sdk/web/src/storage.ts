/** Text by key, in local storage; in memory where there is none, none is allowed, or it is full. */
export interface Keep {
  get(key: string): string | null;
  set(key: string, value: string): void;
  remove(key: string): void;
  /** All keys, in no order. */
  keys(): string[];
  /** Whether other tabs and later pages see what is kept. */
  readonly shared: boolean;
  /** Whether this key is in memory, where others do not see it. */
  hidden(key: string): boolean;
}

/** What has no room in local storage stays in memory: it is lost with the page, but not before. */
export function keep(prefix: string): Keep {
  const memory = new Map<string, string>();
  const local = localStorageOf();
  return {
    shared: local !== null,
    hidden: (key) => memory.has(key),
    get(key) {
      return memory.get(key) ?? tried(() => local?.getItem(prefix + key)) ?? null;
    },
    set(key, value) {
      const isKept = tried(() => {
        local?.setItem(prefix + key, value);
        return local !== null;
      });
      if (isKept) memory.delete(key);
      else memory.set(key, value);
    },
    remove(key) {
      memory.delete(key);
      tried(() => local?.removeItem(prefix + key));
    },
    keys() {
      const found = new Set(memory.keys());
      tried(() => {
        for (let n = 0; local && n < local.length; n++) {
          const key = local.key(n);
          if (key?.startsWith(prefix)) found.add(key.slice(prefix.length));
        }
      });
      return [...found];
    },
  };
}

/** What storage gives; undefined when it is full, or was taken away: a page must never see an error of ours. */
function tried<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch {
    return undefined;
  }
}

function localStorageOf(): Storage | null {
  try {
    const local = window.localStorage; // raises where it is blocked
    const probe = "onefold.probe";
    local.setItem(probe, "1");
    local.removeItem(probe);
    return local;
  } catch {
    return null;
  }
}
