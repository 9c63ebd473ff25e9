import type { Keep } from "./storage.js";

export interface Session {
  id: string;
  /** When something happened last. */
  seen: number;
}

const SESSION = "session";
/** Activity is written down at most so often, in milliseconds. */
const STEP = 1_000;

/** A visit: one over all tabs and reloads, which ends when nothing happens for a while. */
export class Sessions {
  constructor(
    private readonly keep: Keep,
    private readonly timeout: number,
  ) {}

  /** The session that goes on, or null. */
  current(now: number): Session | null {
    const session = this.last();
    // A clock that was set back makes `seen` lie in the future, by more than two tabs can differ.
    return session && Math.abs(now - session.seen) < this.timeout ? session : null;
  }

  begin(id: string, now: number): void {
    this.keep.set(SESSION, JSON.stringify({ id, seen: now }));
  }

  touch(now: number): void {
    const session = this.current(now);
    if (session && now - session.seen >= STEP) {
      this.keep.set(SESSION, JSON.stringify({ ...session, seen: now }));
    }
  }

  /** End the session; which one it was. */
  end(): Session | null {
    const session = this.last();
    if (session) this.keep.remove(SESSION);
    return session;
  }

  private last(): Session | null {
    try {
      return JSON.parse(this.keep.get(SESSION) ?? "null") as Session | null;
    } catch {
      return null;
    }
  }
}
