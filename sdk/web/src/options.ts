import type { Properties } from "./values.js";

export interface Options {
  /** Where Onefold is reached: https://data.example.org. At first where the script came from. */
  baseUrl?: string;
  /** False: nothing is stored or sent before `enableSDK`, on each page anew. */
  allow?: boolean;
  /** A session ends when nothing happens for so long; at first 1,800. */
  sessionTimeoutInSeconds?: number;
  /** What waits is sent so often; at first every 10. */
  flushIntervalInSeconds?: number;
  /** Known from other SDKs. This one sets no cookies in any case. */
  noCookies?: boolean;
  /** What may be told of the browser; at first all of it. */
  devicePropertyAllowlist?: DeviceProperty[];
  /** True: crawlers count as visitors as well. */
  allowCrawlerActivity?: boolean;
  /** Of the page's application. */
  appVersion?: string;
  /** Records that may wait; the oldest are dropped, and counted. At first 1,000. */
  maxQueuedRecords?: number;
}

/** What is told of the browser, where the page allows it (option `devicePropertyAllowlist`). */
export interface DeviceInfo {
  browser?: string;
  browser_version?: string;
  os?: string;
  resolution?: string;
  locale?: string;
  time_zone?: string;
}
export type DeviceProperty = keyof DeviceInfo;

/** As `logPurchase` takes it: in USD and one piece, unless it says otherwise. */
export interface Purchase {
  product_id: string;
  price: number;
  currency?: string;
  quantity?: number;
  properties?: Properties;
}

/** What a form tells, by the names of its fields. */
export interface FormOptions {
  /** The alias that the visitor gets: which field names it, and its label. At first the e-mail field, "email". */
  alias?: { field?: string; label?: string };
  /** Field by attribute, for names that differ: { first_name: "given-name" }. */
  attributes?: { [attribute: string]: string };
  /** Attributes that every visitor of this form gets: { is_lead_profile: true }. */
  set?: Properties;
  /** What was bought, when the form is sent: one product or several. A function is asked at that moment. */
  purchase?: Purchase | Purchase[] | (() => Purchase | Purchase[]);
  /** An event to log, such as "Newsletter". */
  event?: string;
}
