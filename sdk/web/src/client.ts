import { deviceId, deviceInfo, isCrawler, uuid } from "./device.js";
import type { Options } from "./options.js";
import { Queue, type Batch, type Entry } from "./queue.js";
import { Sender } from "./sender.js";
import { Sessions } from "./session.js";
import { keep, type Keep } from "./storage.js";
import { User } from "./user.js";
import { isName, plain, type Properties } from "./values.js";

export const VERSION = "1.0.0";
const PATH = "/v1/sdk/data";
const OFF = "off";
const USER = "user";
const INFO = "info";
const SIGNATURES = "signatures";
/** People of whom a signature is kept: who logged out last may have records that wait. */
const SIGNERS = 3;

/** One app on one page. */
export class Client {
  readonly user: User;
  private readonly keep: Keep;
  private readonly queue: Queue;
  private readonly sessions: Sessions;
  private readonly page = uuid();
  private sender: Sender | null = null;
  private allowed: boolean;
  private readonly failures = new Set<() => void>();
  private readonly hidden = (): void => {
    if (document.visibilityState === "hidden") this.sender?.leave();
  };

  constructor(
    private readonly key: string,
    private readonly options: Options,
    private readonly url: string,
  ) {
    this.allowed = options.allow !== false && (options.allowCrawlerActivity === true || !isCrawler());
    // Nothing is written before it is allowed: even whether it can be is tried then.
    this.keep = later(() => keep(`onefold.${key.slice(-8)}.`));
    this.queue = new Queue(this.keep, options.maxQueuedRecords ?? 1_000);
    this.sessions = new Sessions(this.keep, (options.sessionTimeoutInSeconds ?? 1_800) * 1_000);
    this.user = new User({ record: (type, data) => this.record(type, data), userId: () => this.userId() });
    this.start();
  }

  isDisabled(): boolean {
    return !this.allowed || this.keep.get(OFF) !== null;
  }

  disable(): void {
    if (!this.allowed) return;
    this.keep.set(OFF, "1");
    this.halt();
  }

  enable(): void {
    this.allowed = this.options.allowCrawlerActivity === true || !isCrawler();
    if (!this.allowed) return;
    this.keep.remove(OFF);
    this.start();
  }

  /** Forget the device: its id, what waits, who it was. The next call makes another one. */
  wipe(): void {
    for (const key of this.keep.keys()) {
      if (key !== OFF) this.keep.remove(key);
    }
    this.queue.forget();
  }

  destroy(): void {
    this.halt();
    this.allowed = false;
  }

  deviceId(): string | null {
    return this.isDisabled() ? null : deviceId(this.keep);
  }

  userId(): string | null {
    return this.isDisabled() ? null : this.keep.get(USER);
  }

  openSession(): boolean {
    if (this.isDisabled()) return false;
    const now = Date.now();
    if (this.sessions.current(now)) {
      this.sessions.touch(now);
      return true;
    }
    this.endSession(true);
    this.tellDevice();
    const id = uuid();
    this.sessions.begin(id, now);
    return this.record("session_start", { session_id: id });
  }

  /** The visitor turns out to be somebody, or somebody else. */
  changeUser(id: string, signature?: string): boolean {
    if (this.isDisabled() || !isName(id)) return false;
    if (signature !== undefined) this.sign(id, signature);
    const before = this.keep.get(USER);
    if (before === id) return true;
    const change = { user_id: id };
    // Another person: the visit of the first one is over.
    const become = (): void => this.keep.set(USER, id);
    return before === null ? this.record("change_user", change, become) : this.become("change_user", change, become);
  }

  logout(): boolean {
    if (this.isDisabled() || this.keep.get(USER) === null) return false;
    return this.become("logout", {}, () => this.keep.remove(USER));
  }

  event(name: string, properties?: Properties | null): boolean {
    return isName(name) && this.record("event", { name, ...kept(properties) });
  }

  purchase(product: string, price: number, currency = "USD", quantity = 1, properties?: Properties | null): boolean {
    if (!isName(product) || !Number.isFinite(price) || !isName(currency)) return false;
    if (!Number.isInteger(quantity) || quantity < 1 || quantity > 100) return false;
    return this.record("purchase", { product_id: product, price, currency, quantity, ...kept(properties) });
  }

  setSignature(signature: string): void {
    const user = this.keep.get(USER);
    if (user !== null) this.sign(user, signature);
  }

  onRefused(subscriber: () => void): () => void {
    this.failures.add(subscriber);
    return () => this.failures.delete(subscriber);
  }

  flush(): Promise<boolean> {
    return this.sender?.now() ?? Promise.resolve(false);
  }

  /** `then`: what follows from it, for the records behind it. */
  private record(type: string, data: object, then?: () => void): boolean {
    if (this.isDisabled()) return false;
    const at = Date.now();
    this.sessions.touch(at);
    this.add(type, data, at, this.page);
    then?.();
    return true;
  }

  private add(type: string, data: object, at: number, page: string): void {
    const offset = Math.round(performance.now());
    this.queue.add({ type, data, at, page, offset, user: this.keep.get(USER) });
  }

  private become(type: string, data: object, then: () => void): boolean {
    const visits = this.sessions.current(Date.now()) !== null;
    this.endSession(!visits);
    const done = this.record(type, data, then);
    return visits ? this.openSession() : done;
  }

  /** `past`: it was over when something happened last. */
  private endSession(past: boolean): void {
    const ended = this.sessions.end();
    if (!ended) return;
    const at = past ? Math.min(ended.seen, Date.now()) : Date.now();
    this.add("session_end", { session_id: ended.id }, at, past ? "" : this.page);
  }

  private signatures(): [string, string][] {
    try {
      return JSON.parse(this.keep.get(SIGNATURES) ?? "[]") as [string, string][];
    } catch {
      return [];
    }
  }

  private signatureOf(user: string | null): string | undefined {
    return this.signatures().find(([signer]) => signer === user)?.[1];
  }

  private sign(user: string, signature: string): void {
    const others = this.signatures().filter(([signer]) => signer !== user);
    this.keep.set(SIGNATURES, JSON.stringify([[user, signature], ...others].slice(0, SIGNERS)));
    this.sender?.retry();
  }

  /** Ask the page for a signature, where it can still give one: for who has the device now. */
  private refused(entries: Entry[]): boolean {
    const user = this.keep.get(USER);
    this.failures.forEach((subscriber) => subscriber());
    return entries.some((one) => one.user === user || who(one) === user);
  }

  private tellDevice(): void {
    const info = JSON.stringify(deviceInfo(this.options.devicePropertyAllowlist));
    if (this.keep.get(INFO) === info) return;
    this.keep.set(INFO, info);
    this.record("device", { device: JSON.parse(info) as object });
  }

  private start(): void {
    if (this.sender || this.isDisabled()) return;
    document.addEventListener("visibilitychange", this.hidden);
    window.addEventListener("pagehide", this.hidden);
    this.sender = new Sender(
      this.url + PATH,
      this.keep.shared ? `onefold.${this.key}` : null,
      this.queue,
      (this.options.flushIntervalInSeconds ?? 10) * 1_000,
      (batch, entries) => this.body(batch, entries),
      (entries) => this.refused(entries),
    );
  }

  private halt(): void {
    document.removeEventListener("visibilitychange", this.hidden);
    window.removeEventListener("pagehide", this.hidden);
    this.sender?.stop();
    this.sender = null;
  }

  private body(batch: Batch, entries: Entry[]): string {
    const now = Date.now();
    const offset = performance.now();
    return JSON.stringify({
      sdk_key: this.key,
      device_id: deviceId(this.keep),
      batch: batch.number,
      sdk: `web ${VERSION}`,
      app_version: this.options.appVersion,
      signature: this.signatureOf(entries[0]?.user ?? null),
      dropped: batch.dropped || undefined,
      sent_at: now,
      // How long ago it was is said by this page's clock that is never set, where that saw it.
      records: entries.map(({ type, data, at, page, offset: then }, n) => ({
        type,
        seq: batch.first + n,
        ...(page === this.page ? { ago: Math.max(0, Math.round(offset - then)) } : { at }),
        ...data,
        ...(type === "change_user" ? { signature: this.signatureOf((data as { user_id: string }).user_id) } : {}),
      })),
    });
  }
}

/** Who logs in by a record. */
function who(entry: Entry): string | undefined {
  return entry.type === "change_user" ? (entry.data as { user_id: string }).user_id : undefined;
}

function kept(properties: Properties | null | undefined): { properties?: Properties } {
  const copy = plain(properties ?? undefined);
  return copy === undefined ? {} : { properties: copy as Properties };
}

/** Storage that is opened with its first use. */
function later(open: () => Keep): Keep {
  let opened: Keep | null = null;
  const it = (): Keep => (opened ??= open());
  return {
    get shared() {
      return it().shared;
    },
    hidden: (key) => it().hidden(key),
    get: (key) => it().get(key),
    set: (key, value) => it().set(key, value),
    remove: (key) => it().remove(key),
    keys: () => it().keys(),
  };
}
