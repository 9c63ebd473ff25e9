import type { DeviceInfo, DeviceProperty } from "./options.js";
import type { Keep } from "./storage.js";

const DEVICE = "device";

/** Names in a user agent, the more special before what it pretends to be as well. */
const BROWSERS: [name: string, mark: RegExp][] = [
  ["Edge", /Edg(?:e|A|iOS)?\/([\d.]+)/],
  ["Opera", /(?:OPR|Opera)\/([\d.]+)/],
  ["Samsung Browser", /SamsungBrowser\/([\d.]+)/],
  ["Firefox", /(?:Firefox|FxiOS)\/([\d.]+)/],
  ["Chrome", /(?:Chrome|CriOS)\/([\d.]+)/],
  ["Safari", /Version\/([\d.]+).*Safari/],
];
const SYSTEMS: [name: string, mark: RegExp][] = [
  ["iOS", /iPhone|iPad|iPod/],
  ["Android", /Android/],
  ["Chrome OS", /CrOS/],
  ["Windows", /Windows/],
  ["Mac OS", /Mac OS X/],
  ["Linux", /Linux/],
];
const CRAWLER =
  /bot\b|bot\/|crawl|spider|slurp|mediapartners|lighthouse|facebookexternalhit|embedly|pingdom|preview|archiver/i;

export function isCrawler(): boolean {
  return CRAWLER.test(navigator.userAgent);
}

/** The device's id, which is made with the first call and stays as long as the storage does. */
export function deviceId(keep: Keep): string {
  let id = keep.get(DEVICE);
  if (!id) {
    id = uuid();
    keep.set(DEVICE, id);
  }
  return id;
}

export function deviceInfo(allowed: readonly DeviceProperty[] | undefined): DeviceInfo {
  const agent = navigator.userAgent;
  const browser = BROWSERS.find(([, mark]) => mark.test(agent));
  const found: DeviceInfo = {};
  const tell = (name: DeviceProperty, value: string | undefined): void => {
    if (value && (!allowed || allowed.includes(name))) found[name] = value;
  };
  tell("browser", browser?.[0]);
  tell("browser_version", browser?.[1].exec(agent)?.[1]);
  tell("os", SYSTEMS.find(([, mark]) => mark.test(agent))?.[0]);
  tell("resolution", `${screen.width}x${screen.height}`);
  tell("locale", navigator.language);
  tell("time_zone", Intl.DateTimeFormat().resolvedOptions().timeZone);
  return found;
}

/** Version 4, also on pages without TLS, where `crypto.randomUUID` is missing. */
export function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 15) | 64;
  bytes[8] = ((bytes[8] ?? 0) & 63) | 128;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}
