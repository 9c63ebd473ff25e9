/** Onefold's web SDK. Nothing happens when it is imported, so that it can be on a server as well. */
import { Client, VERSION } from "./client.js";
import { capture } from "./form.js";
import type { FormOptions, Options } from "./options.js";
import type { User } from "./user.js";
import type { Properties } from "./values.js";

export type { DeviceInfo, DeviceProperty, FormOptions, Options, Purchase } from "./options.js";
export type { Gender, SubscriptionType, User } from "./user.js";
export type { Properties, Value } from "./values.js";

export const version = VERSION;

let client: Client | null = null;
/** Where the script tag led to. Known only while the file runs for the first time; null for a module. */
const loadedFrom = typeof document === "undefined" ? null : document.currentScript;

/** Begin, with the SDK key of an app. False when the options cannot be used, or where there is no window. */
export function initialize(sdkKey: string, options: Options = {}): boolean {
  if (client) return true;
  if (typeof window === "undefined" || typeof sdkKey !== "string" || !sdkKey) return false;
  const url = baseOf(options.baseUrl);
  if (url === null) return false;
  client = new Client(sdkKey, options, url);
  return true;
}

/** Whether `initialize` was called, and not `destroy` since. */
export function isInitialized(): boolean {
  return client !== null;
}

/** Begin a session, unless one goes on. */
export function openSession(): boolean {
  return client?.openSession() ?? false;
}

/** Say who the visitor is. What was seen of an anonymous visitor goes to the person. */
export function changeUser(externalId: string, sdkAuthSignature?: string): boolean {
  return client?.changeUser(externalId, sdkAuthSignature) ?? false;
}

/** From here on there is another, anonymous visitor. */
export function logout(): boolean {
  return client?.logout() ?? false;
}

/** The visitor. Undefined before `initialize`. */
export function getUser(): User | undefined {
  return client?.user;
}

export function logCustomEvent(name: string, properties?: Properties | null): boolean {
  return client?.event(name, properties) ?? false;
}

export function logPurchase(
  productId: string,
  price: number,
  currency?: string,
  quantity?: number,
  properties?: Properties | null,
): boolean {
  return client?.purchase(productId, price, currency, quantity, properties) ?? false;
}

/** A recommended event, such as `ecommerce.order_placed`. */
export function logEcommerceEvent(name: string, properties: Properties): boolean {
  return client?.event(name, properties) ?? false;
}

/** Send what waits at once, from this tab. True when nothing waits any more. */
export function requestImmediateDataFlush(callback?: (success: boolean) => void): Promise<boolean> {
  const flushed = client?.flush() ?? Promise.resolve(false);
  if (callback) void flushed.then(callback);
  return flushed;
}

/** Nothing is stored or sent any more, on later pages neither, until `enableSDK`. */
export function disableSDK(): void {
  client?.disable();
}

export function enableSDK(): void {
  client?.enable();
}

export function isDisabled(): boolean {
  return client?.isDisabled() ?? false;
}

/** Forget all that this browser keeps for the app: the next call makes another device. */
export function wipeData(): void {
  client?.wipe();
}

export function getDeviceId(): string | undefined {
  return client?.deviceId() ?? undefined;
}

/** Stop. What waits is sent on a later page. */
export function destroy(): void {
  client?.destroy();
  client = null;
}

/** A new proof of who the visitor is, for apps with SDK authentication. */
export function setSdkAuthenticationSignature(signature: string): boolean {
  client?.setSignature(signature);
  return client !== null;
}

/** Called when the service refuses a signature. Returns a function that ends it. */
export function subscribeToSdkAuthenticationFailures(subscriber: () => void): () => void {
  return client?.onRefused(subscriber) ?? (() => undefined);
}

/** Tell of a checkout's or a newsletter's visitor when its form is sent. */
export function captureForm(form: HTMLFormElement, options?: FormOptions): () => void {
  return client ? capture(client, form, options) : () => undefined;
}

/** The origin of the service: as said, or the one that the script tag led to, or that of the page. */
function baseOf(sent: string | undefined): string | null {
  try {
    const url = new URL(sent ?? ((loadedFrom as HTMLScriptElement | null)?.src || location.href), location.href);
    return url.protocol === "https:" || url.protocol === "http:" ? url.origin : null;
  } catch {
    return null;
  }
}
