import type { Batch, Entry, Queue } from "./queue.js";

/** What came of a call: the batch arrived, can never be taken, is to be sent again, or waits for a signature. */
type Outcome = "done" | "dropped" | "again" | "refused";

const RECORDS = 100;
/** Of the 64 KB that all unfinished calls of a page share once it closes. */
const CHARACTERS = 48_000;
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 300_000;
/** Until a tab has heard that another one took the lock, and what it wrote to the storage is seen there. */
const HANDOVER = 100;

/** Sends batches one after another, from one tab at a time. */
export class Sender {
  private leads = false;
  private waiting: AbortController | null = null;
  private taking: Promise<void> | null = null;
  private release: (() => void) | null = null;
  private sending: Promise<boolean> | null = null;
  private pause = 0;
  private notBefore = 0;
  private timer = 0;
  private stopped = false;

  constructor(
    private readonly url: string,
    private readonly lock: string | null,
    private readonly queue: Queue,
    interval: number,
    private readonly body: (batch: Batch, entries: Entry[]) => string,
    /** A batch was refused. Whether that may change: another signature may come. */
    private readonly refused: (entries: Entry[]) => boolean,
  ) {
    this.lead();
    this.timer = window.setInterval(() => void (this.queue.hidden() ? this.now() : this.flush()), interval);
  }

  /** Send all that waits, unless another tab does. True when nothing waits any more, false when that failed. */
  flush(): Promise<boolean> {
    this.sending ??= this.all().finally(() => (this.sending = null));
    return this.sending;
  }

  /** Send all that waits from this tab, whoever did so far. */
  async now(): Promise<boolean> {
    if (!this.leads && !this.stopped) await (this.taking ??= this.take().finally(() => (this.taking = null)));
    return this.flush();
  }

  /** The page is hidden and may never come back: what waits leaves in one call that outlives it. */
  leave(): void {
    if (!this.leads || this.stopped || this.sending || performance.now() < this.notBefore) return;
    const batch = this.queue.next(RECORDS, CHARACTERS);
    if (!batch) return;
    // Nobody sees whether it arrives: the batch is sent again later, and its number makes it count once.
    navigator.sendBeacon(this.url, this.body(batch, this.queue.entries(batch)));
  }

  /** A signature came: what was refused is tried again. */
  retry(): void {
    this.notBefore = 0;
    void this.flush();
  }

  stop(): void {
    this.stopped = true;
    this.leads = false;
    window.clearInterval(this.timer);
    this.waiting?.abort();
    this.release?.();
  }

  /** The tab that holds the lock sends, for as long as it lives; then another one gets it. */
  private lead(): void {
    if (this.lock === null || !navigator.locks) {
      this.leads = true;
      return;
    }
    this.waiting = new AbortController();
    this.hold({ signal: this.waiting.signal });
  }

  /**
   * Take the lock from the tab that holds it. What that tab is sending is sent twice then, and counts once: as the same
   * batch, so this tab begins none before the other one has heard that it may not either.
   */
  private take(): Promise<void> {
    this.waiting?.abort();
    return new Promise((taken) => this.hold({ steal: true }, taken));
  }

  private hold(options: LockOptions, held?: () => void): void {
    let isLost = false;
    navigator.locks
      .request(this.lock as string, options, async () => {
        if (options.steal) await new Promise((passed) => setTimeout(passed, HANDOVER));
        if (!isLost && !this.stopped) this.leads = true;
        held?.();
        if (!this.leads) return;
        void this.flush();
        return new Promise<void>((resolve) => (this.release = resolve));
      })
      .catch(() => {
        isLost = true;
        if (options.signal?.aborted) return; // this tab took it, or stops
        this.leads = false;
        if (!this.stopped) this.lead();
      });
  }

  private async all(): Promise<boolean> {
    while (this.leads && !this.stopped && performance.now() >= this.notBefore) {
      const batch = this.queue.next(RECORDS, CHARACTERS);
      if (!batch) return true;
      const entries = this.queue.entries(batch);
      const outcome = entries.length ? await this.send(this.body(batch, entries)) : "done";
      if (outcome === "again" || (outcome === "refused" && this.refused(entries))) return false;
      this.queue.done(batch, outcome !== "done");
    }
    return false;
  }

  private async send(body: string): Promise<Outcome> {
    let answer: Response;
    try {
      answer = await fetch(this.url, {
        method: "POST",
        body, // as text/plain, which a browser sends without asking first
        credentials: "omit",
        keepalive: new Blob([body]).size < CHARACTERS,
      });
    } catch {
      return this.later(0);
    }
    if (answer.ok) {
      this.pause = 0;
      return "done";
    }
    if (answer.status === 401 || answer.status === 403) {
      this.later(0);
      return "refused";
    }
    if (answer.status === 429 || answer.status >= 500 || answer.status === 408) {
      return this.later(Number(answer.headers.get("Retry-After")) * 1_000 || 0);
    }
    return "dropped"; // it would be refused again, and what waits behind it must not wait for ever
  }

  private later(atLeast: number): Outcome {
    this.pause = Math.min(LONGEST_PAUSE, this.pause * 2 || FIRST_PAUSE);
    this.notBefore = performance.now() + Math.max(atLeast, this.pause * (0.5 + Math.random() / 2));
    return "again";
  }
}
