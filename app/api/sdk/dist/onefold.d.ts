export as namespace onefold;

/** What the service takes as a property or an attribute. */
type Value = null | boolean | number | string | Date | Value[] | {
    [name: string]: Value;
};
type Properties = {
    [name: string]: Value;
};

interface Options {
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
interface DeviceInfo {
    browser?: string;
    browser_version?: string;
    os?: string;
    resolution?: string;
    locale?: string;
    time_zone?: string;
}
type DeviceProperty = keyof DeviceInfo;
/** As `logPurchase` takes it: in USD and one piece, unless it says otherwise. */
interface Purchase {
    product_id: string;
    price: number;
    currency?: string;
    quantity?: number;
    properties?: Properties;
}
/** What a form tells, by the names of its fields. */
interface FormOptions {
    /** The alias that the visitor gets: which field names it, and its label. At first the e-mail field, "email". */
    alias?: {
        field?: string;
        label?: string;
    };
    /** Field by attribute, for names that differ: { first_name: "given-name" }. */
    attributes?: {
        [attribute: string]: string;
    };
    /** Attributes that every visitor of this form gets: { is_lead_profile: true }. */
    set?: Properties;
    /** What was bought, when the form is sent: one product or several. A function is asked at that moment. */
    purchase?: Purchase | Purchase[] | (() => Purchase | Purchase[]);
    /** An event to log, such as "Newsletter". */
    event?: string;
}

type Gender = "m" | "f" | "o" | "n" | "u" | "p";
type SubscriptionType = "opted_in" | "subscribed" | "unsubscribed";
/** The visitor, anonymous or not. Each call returns whether it was taken; what is wrong changes nothing. */
declare class User {
    private readonly recorder;
    /** The external id, null for an anonymous visitor. */
    getUserId(): string | null;
    setFirstName(name: string | null): boolean;
    setLastName(name: string | null): boolean;
    setEmail(email: string | null): boolean;
    setPhoneNumber(phone: string | null): boolean;
    setGender(gender: Gender | null): boolean;
    setCountry(country: string | null): boolean;
    setHomeCity(city: string | null): boolean;
    setLanguage(language: string | null): boolean;
    /** Month 1 to 12. Null forgets it. */
    setDateOfBirth(year: number | null, month: number | null, day: number | null): boolean;
    setEmailNotificationSubscriptionType(type: SubscriptionType): boolean;
    setPushNotificationSubscriptionType(type: SubscriptionType): boolean;
    setLastKnownLocation(latitude: number, longitude: number): boolean;
    setCustomUserAttribute(name: string, value: Value, merge?: boolean): boolean;
    addToCustomAttributeArray(name: string, value: string): boolean;
    removeFromCustomAttributeArray(name: string, value: string): boolean;
    incrementCustomUserAttribute(name: string, by?: number): boolean;
    setCustomLocationAttribute(name: string, latitude: number | null, longitude: number | null): boolean;
    addAlias(alias: string, label: string): boolean;
    addToSubscriptionGroup(id: string): boolean;
    removeFromSubscriptionGroup(id: string): boolean;
    private group;
    private field;
    private set;
    private attributes;
}

export type { DeviceInfo, DeviceProperty, FormOptions, Options, Purchase };
export type { Gender, SubscriptionType, User };
export type { Properties, Value };
export declare const version = "1.0.0";
/** Begin, with the SDK key of an app. False when the options cannot be used, or where there is no window. */
export declare function initialize(sdkKey: string, options?: Options): boolean;
/** Whether `initialize` was called, and not `destroy` since. */
export declare function isInitialized(): boolean;
/** Begin a session, unless one goes on. */
export declare function openSession(): boolean;
/** Say who the visitor is. What was seen of an anonymous visitor goes to the person. */
export declare function changeUser(externalId: string, sdkAuthSignature?: string): boolean;
/** From here on there is another, anonymous visitor. */
export declare function logout(): boolean;
/** The visitor. Undefined before `initialize`. */
export declare function getUser(): User | undefined;
export declare function logCustomEvent(name: string, properties?: Properties | null): boolean;
export declare function logPurchase(productId: string, price: number, currency?: string, quantity?: number, properties?: Properties | null): boolean;
/** A recommended event, such as `ecommerce.order_placed`. */
export declare function logEcommerceEvent(name: string, properties: Properties): boolean;
/** Send what waits at once, from this tab. True when nothing waits any more. */
export declare function requestImmediateDataFlush(callback?: (success: boolean) => void): Promise<boolean>;
/** Nothing is stored or sent any more, on later pages neither, until `enableSDK`. */
export declare function disableSDK(): void;
export declare function enableSDK(): void;
export declare function isDisabled(): boolean;
/** Forget all that this browser keeps for the app: the next call makes another device. */
export declare function wipeData(): void;
export declare function getDeviceId(): string | undefined;
/** Stop. What waits is sent on a later page. */
export declare function destroy(): void;
/** A new proof of who the visitor is, for apps with SDK authentication. */
export declare function setSdkAuthenticationSignature(signature: string): boolean;
/** Called when the service refuses a signature. Returns a function that ends it. */
export declare function subscribeToSdkAuthenticationFailures(subscriber: () => void): () => void;
/** Tell of a checkout's or a newsletter's visitor when its form is sent. */
export declare function captureForm(form: HTMLFormElement, options?: FormOptions): () => void;
