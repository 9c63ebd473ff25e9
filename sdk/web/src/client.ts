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

/** One app on one page. */
export class Client {
  readonly user: User;
  private readonly keep: Keep;
  private readonly queue: Queue;
  private readonly sessions: Sessions;
  private readonly page = uuid();
  private sender: Sender | null = null;
  private allowed: boolean;
  private signature: string | undefined;
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
    this.endSession();
    this.tellDevice();
    const id = uuid();
    this.sessions.begin(id, now);
    return this.record("session_start", { session_id: id });
  }

  /** The visitor turns out to be somebody, or somebody else. */
  changeUser(id: string, signature?: string): boolean {
    if (this.isDisabled() || !isName(id)) return false;
    if (signature !== undefined) this.setSignature(signature);
    const before = this.keep.get(USER);
    if (before === id) return true;
    this.keep.set(USER, id);
    const change = { user_id: id, signature: this.signature };
    if (before === null) return this.record("change_user", change);
    return this.become("change_user", change); // another person: the visit of the first one is over
  }

  logout(): boolean {
    if (this.isDisabled() || this.keep.get(USER) === null) return false;
    this.keep.remove(USER);
    this.signature = undefined;
    return this.become("logout", {});
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
    this.signature = signature;
    this.sender?.retry();
  }

  onRefused(subscriber: () => void): () => void {
    this.failures.add(subscriber);
    return () => this.failures.delete(subscriber);
  }

  flush(): Promise<boolean> {
    return this.sender?.now() ?? Promise.resolve(false);
  }

  private record(type: string, data: object): boolean {
    if (this.isDisabled()) return false;
    const at = Date.now();
    this.sessions.touch(at);
    this.queue.add({ type, data, at, page: this.page, offset: Math.round(performance.now()) });
    return true;
  }

  private become(type: string, data: object): boolean {
    const visits = this.sessions.current(Date.now()) !== null;
    this.endSession();
    const done = this.record(type, data);
    return visits ? this.openSession() : done;
  }

  private endSession(): void {
    const ended = this.sessions.end();
    if (ended) this.record("session_end", { session_id: ended });
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
      () => this.failures.forEach((subscriber) => subscriber()),
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
      signature: this.signature,
      dropped: batch.dropped || undefined,
      sent_at: now,
      // How long ago it was is said by this page's clock that is never set, where that saw it.
      records: entries.map(({ type, data, at, page, offset: then }, n) => ({
        type,
        seq: batch.first + n,
        ...(page === this.page ? { ago: Math.max(0, Math.round(offset - then)) } : { at }),
        ...data,
      })),
    });
  }
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
