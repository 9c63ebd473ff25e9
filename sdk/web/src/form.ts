import type { Client } from "./client.js";
import type { FormOptions } from "./options.js";
import type { Properties } from "./values.js";

const KNOWN: { [attribute: string]: string[] } = {
  email: ["email", "e-mail", "mail"],
  phone: ["phone", "tel", "telephone", "mobile"],
  first_name: ["first_name", "firstname", "given-name", "fname"],
  last_name: ["last_name", "lastname", "family-name", "lname"],
  country: ["country", "country-name"],
  home_city: ["home_city", "city", "address-level2"],
};
/** Fields that hold secrets, whatever they are called. */
const SECRET = /password|passwd|cc-|card|cvc|cvv|iban|ssn|secret|token/i;

/**
 * Tell of a form's visitor when it is sent: an alias profile, attributes and a purchase. The form is sent as it would
 * be. Returns a function that ends it.
 */
export function capture(client: Client, form: HTMLFormElement, options: FormOptions = {}): () => void {
  const sent = (): void => {
    const field = (attribute: string): string | undefined => {
      for (const name of [options.attributes?.[attribute] ?? [], KNOWN[attribute] ?? [attribute]].flat()) {
        const value = valueOf(form, name);
        if (value) return value;
      }
      return undefined;
    };
    const alias = options.alias?.field ? valueOf(form, options.alias.field) : field("email");
    if (alias) client.user.addAlias(alias.toLowerCase(), options.alias?.label ?? "email");
    const attributes: Properties = { ...options.set };
    for (const attribute of new Set([...Object.keys(KNOWN), ...Object.keys(options.attributes ?? {})])) {
      const value = field(attribute);
      if (value) attributes[attribute] = value;
    }
    for (const [name, value] of Object.entries(attributes)) client.user.setCustomUserAttribute(name, value);
    if (options.event) client.event(options.event);
    const bought = typeof options.purchase === "function" ? options.purchase() : options.purchase;
    for (const { product_id, price, currency, quantity, properties } of [bought ?? []].flat()) {
      client.purchase(product_id, price, currency, quantity, properties);
    }
    void client.flush();
  };
  form.addEventListener("submit", sent);
  return () => form.removeEventListener("submit", sent);
}

/** The trimmed text of a field by its name, its id or its autocomplete token; nothing of fields that hold secrets. */
function valueOf(form: HTMLFormElement, name: string): string | undefined {
  for (const element of Array.from(form.elements)) {
    if (!(element instanceof HTMLInputElement || element instanceof HTMLSelectElement)) continue;
    if (element.type === "password" || SECRET.test(element.name) || SECRET.test(element.autocomplete)) continue;
    if ((element.type === "checkbox" || element.type === "radio") && !(element as HTMLInputElement).checked) continue;
    if ([element.name, element.id, element.autocomplete].some((each) => each.toLowerCase() === name.toLowerCase())) {
      return element.value.trim();
    }
  }
  return undefined;
}
