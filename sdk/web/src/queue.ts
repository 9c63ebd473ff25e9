import type { Keep } from "./storage.js";

/** One thing that happened, as it waits to be sent. */
export interface Entry {
  /** The clock of the wall, and the one of the page that only goes forward, in milliseconds. */
  at: number;
  page: string;
  offset: number;
  /** Who had the device: a batch is signed for one person. */
  user: string | null;
  type: string;
  data: object;
}

/** A batch that was begun: sent again under its number until it is answered, so that it counts once. */
export interface Batch {
  number: number;
  /** The sequence number of its first record; the others follow. Two tabs may have given the same one twice. */
  first: number;
  keys: string[];
  /** Records that were lost since the batch before it. */
  dropped: number;
}

const WAITING = "q.";
const BATCH = "batch";
const NUMBER = "number";
const SEQ = "seq";
const SENT = "sent";
const DROPPED = "dropped";
/** Characters that a batch takes in the storage. They are taken once, so that it can be begun where no room is left. */
const BATCH_SIZE = 3_000;

/** Records that wait, over all tabs of the device. Each has a key of its own, so that no two tabs overwrite each other's. */
export class Queue {
  private readonly tab = Math.random().toString(36).slice(2, 8);
  /** A batch of records that no other tab sees. */
  private own: Batch | null = null;

  constructor(
    private readonly keep: Keep,
    private readonly most: number,
  ) {}

  add(entry: Entry): void {
    if (this.keep.get(BATCH) === null) this.begin(null);
    const waiting = this.waiting();
    for (const key of waiting.slice(0, Math.max(0, waiting.length - this.most + 1))) {
      if (this.current()?.keys.includes(key)) continue;
      this.keep.remove(key); // the oldest: what comes later says more about the visitor of now
      this.count(1);
    }
    // Time goes on where the storage has no room for the last number, or was emptied.
    const seq = Math.max(Number(this.keep.get(SEQ)) || 0, Date.now()) + 1;
    this.keep.set(SEQ, String(seq));
    this.keep.set(`${WAITING}${String(seq).padStart(16, "0")}.${this.tab}`, JSON.stringify(entry));
  }

  /** The keys of what waits, in the order of the device. */
  waiting(): string[] {
    return this.keep
      .keys()
      .filter((key) => key.startsWith(WAITING))
      .sort();
  }

  /** Whether records wait that no other tab sees, since the storage has no room for them. */
  hidden(): boolean {
    return this.keep.shared && this.waiting().some((key) => this.keep.hidden(key));
  }

  /** The batch that was begun, or a new one of what waits: at most so many records and characters. */
  next(records: number, characters: number): Batch | null {
    const begun = this.current();
    if (begun) return begun;
    const waiting = this.waiting().slice(0, records);
    const isOwn = waiting.some((key, n) => n === 0 && this.keep.hidden(key));
    const keys: string[] = [];
    let size = 0;
    const user = this.userOf(waiting[0]);
    for (const key of waiting) {
      if (this.keep.hidden(key) !== isOwn) break; // other tabs see the whole of a batch, or nothing of it
      if (this.userOf(key) !== user) break;
      size += (this.keep.get(key) ?? "").length * 3; // UTF-8 takes three bytes a character at the most
      if (size > characters && keys.length) break;
      keys.push(key);
    }
    if (!keys.length) return null;
    // Where the storage was emptied the numbers go on behind those of before, since time does.
    const number = Math.max(Number(this.keep.get(NUMBER)) || 0, Date.now()) + 1;
    this.keep.set(NUMBER, String(number));
    const first = Math.max(Number(this.keep.get(SENT)) || 0, (Number(keys[0]?.split(".")[1]) || 1) - 1) + 1;
    const last = first + keys.length - 1;
    this.keep.set(SENT, String(last));
    if ((Number(this.keep.get(SEQ)) || 0) < last) this.keep.set(SEQ, String(last));
    const batch = { number, first, keys, dropped: this.dropped() };
    if (isOwn) this.own = batch;
    else this.begin(batch);
    return batch;
  }

  entries(batch: Batch): Entry[] {
    return batch.keys.map((key) => read<Entry>(this.keep.get(key))).filter((one): one is Entry => one !== null);
  }

  private userOf(key: string | undefined): string | null {
    return (key === undefined ? null : read<Entry>(this.keep.get(key)))?.user ?? null;
  }

  /** Forget the batch that only this tab knows. */
  forget(): void {
    this.own = null;
  }

  /** The batch was answered: its records wait no more. `lost`: the service does not take them. */
  done(batch: Batch, lost: boolean): void {
    if (lost) this.count(batch.keys.length);
    this.count(-batch.dropped); // it is told
    // The records go first: were the page to end in between, what is left would be sent under the same number.
    for (const key of batch.keys) this.keep.remove(key);
    if (this.own?.number === batch.number) this.own = null;
    else if (this.current()?.number === batch.number) this.begin(null); // another tab may have begun the next one
  }

  /** Records that were lost and not told of yet: no room, or not taken. */
  private dropped(): number {
    return Number(this.keep.get(DROPPED)) || 0;
  }

  private count(lost: number): void {
    if (lost) this.keep.set(DROPPED, String(Math.max(0, this.dropped() + lost)));
  }

  private current(): Batch | null {
    return this.own ?? read<Batch>(this.keep.get(BATCH));
  }

  private begin(batch: Batch | null): void {
    this.keep.set(BATCH, JSON.stringify(batch).padEnd(BATCH_SIZE));
  }
}

function read<T>(text: string | null): T | null {
  try {
    return text === null ? null : (JSON.parse(text) as T);
  } catch {
    return null; // written by somebody else
  }
}
