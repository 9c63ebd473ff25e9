/** What the service takes as a property or an attribute. */
export type Value = null | boolean | number | string | Date | Value[] | { [name: string]: Value };
export type Properties = { [name: string]: Value };

const MAX_NAME = 255;
const MAX_DEPTH = 8;

/** Whether it can be the name of an event, an attribute or a product. @internal */
export function isName(name: unknown): name is string {
  return typeof name === "string" && name.trim() !== "" && name.length <= MAX_NAME;
}

/**
 * A copy that JSON can carry: moments as ISO 8601, what is no value left out. A copy, since the page may change its
 * object later on.
 * @internal
 */
export function plain(value: unknown, depth = 0): Value | undefined {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? undefined : value.toISOString();
  if (typeof value !== "object" || depth > MAX_DEPTH) return undefined;
  if (Array.isArray(value)) {
    return value.map((one) => plain(one, depth + 1)).filter((one): one is Value => one !== undefined);
  }
  const copy: Properties = {};
  for (const [name, one] of Object.entries(value)) {
    const kept = plain(one, depth + 1);
    if (kept !== undefined) copy[name] = kept;
  }
  return copy;
}
