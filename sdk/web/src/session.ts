import type { Keep } from "./storage.js";

interface Session {
  id: string;
  began: number;
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
    this.keep.set(SESSION, JSON.stringify({ id, began: now, seen: now }));
  }

  touch(now: number): void {
    const session = this.current(now);
    if (session && now - session.seen >= STEP) {
      this.keep.set(SESSION, JSON.stringify({ ...session, seen: now }));
    }
  }

  /** End the session; which one it was, and how many seconds it had. */
  end(): { id: string; seconds: number } | null {
    const session = this.last();
    if (!session) return null;
    this.keep.remove(SESSION);
    return { id: session.id, seconds: Math.max(0, Math.round((session.seen - session.began) / 1000)) };
  }

  private last(): Session | null {
    try {
      return JSON.parse(this.keep.get(SESSION) ?? "null") as Session | null;
    } catch {
      return null;
    }
  }
}
