import { isName, plain, type Properties, type Value } from "./values.js";

/** Where a user's calls go. @internal */
export interface Recorder {
  record(type: string, data: object): boolean;
  userId(): string | null;
}

export type Gender = "m" | "f" | "o" | "n" | "u" | "p";
export type SubscriptionType = "opted_in" | "subscribed" | "unsubscribed";

/** The visitor, anonymous or not. Each call returns whether it was taken; what is wrong changes nothing. */
export class User {
  /** @internal */
  constructor(private readonly recorder: Recorder) {}

  /** The external id, null for an anonymous visitor. */
  getUserId(): string | null {
    return this.recorder.userId();
  }

  setFirstName(name: string | null): boolean {
    return this.field("first_name", name);
  }
  setLastName(name: string | null): boolean {
    return this.field("last_name", name);
  }
  setEmail(email: string | null): boolean {
    return this.field("email", email);
  }
  setPhoneNumber(phone: string | null): boolean {
    return this.field("phone", phone);
  }
  setGender(gender: Gender | null): boolean {
    return this.field("gender", gender);
  }
  setCountry(country: string | null): boolean {
    return this.field("country", country);
  }
  setHomeCity(city: string | null): boolean {
    return this.field("home_city", city);
  }
  setLanguage(language: string | null): boolean {
    return this.field("language", language);
  }
  /** Month 1 to 12. Null forgets it. */
  setDateOfBirth(year: number | null, month: number | null, day: number | null): boolean {
    if (year === null || month === null || day === null) return this.set("dob", null);
    const date = new Date(Date.UTC(year, month - 1, day));
    const isDay = date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
    return isDay && this.set("dob", date.toISOString().slice(0, 10));
  }
  setEmailNotificationSubscriptionType(type: SubscriptionType): boolean {
    return this.set("email_subscribe", type);
  }
  setPushNotificationSubscriptionType(type: SubscriptionType): boolean {
    return this.set("push_subscribe", type);
  }
  setLastKnownLocation(latitude: number, longitude: number): boolean {
    return isPlace(latitude, longitude) && this.set("current_location", { latitude, longitude });
  }

  setCustomUserAttribute(name: string, value: Value, merge = false): boolean {
    if (!isName(name)) return false;
    const kept = plain(value);
    if (kept === undefined) return false;
    return this.attributes({ [name]: kept, ...(merge ? { _merge_objects: true } : {}) });
  }
  addToCustomAttributeArray(name: string, value: string): boolean {
    return isName(name) && typeof value === "string" && this.set(name, { add: [value] });
  }
  removeFromCustomAttributeArray(name: string, value: string): boolean {
    return isName(name) && typeof value === "string" && this.set(name, { remove: [value] });
  }
  incrementCustomUserAttribute(name: string, by = 1): boolean {
    return isName(name) && Number.isInteger(by) && this.set(name, { inc: by });
  }
  setCustomLocationAttribute(name: string, latitude: number | null, longitude: number | null): boolean {
    if (!isName(name)) return false;
    if (latitude === null || longitude === null) return this.set(name, null);
    return isPlace(latitude, longitude) && this.set(name, { latitude, longitude });
  }

  addAlias(alias: string, label: string): boolean {
    return isName(alias) && isName(label) && this.recorder.record("alias", { alias_name: alias, alias_label: label });
  }
  addToSubscriptionGroup(id: string): boolean {
    return this.group(id, "subscribed");
  }
  removeFromSubscriptionGroup(id: string): boolean {
    return this.group(id, "unsubscribed");
  }

  private group(id: string, state: string): boolean {
    return (
      isName(id) && this.recorder.record("subscription_group", { subscription_group_id: id, subscription_state: state })
    );
  }
  private field(name: string, value: string | null): boolean {
    return (value === null || typeof value === "string") && this.set(name, value);
  }
  private set(name: string, value: Value): boolean {
    return this.attributes({ [name]: value });
  }
  private attributes(attributes: Properties): boolean {
    return this.recorder.record("attributes", { attributes });
  }
}

function isPlace(latitude: number, longitude: number): boolean {
  return Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180; // false for NaN
}
