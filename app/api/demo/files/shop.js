// The shop: what visitors do is told by onefold.js alone. What comes from a profile is put into the page as text only.
"use strict";

const byId = (id) => document.getElementById(id);
const money = (amount) => `$${amount.toFixed(2)}`;

const WARES = [
  { id: "mug", name: "Mug", price: 18, text: "Speckled, holds a third of a litre.", path: "M30 20h46v50a10 10 0 0 1-10 10H40a10 10 0 0 1-10-10zM76 32h8a12 12 0 0 1 0 24h-8v-8h7a5 5 0 0 0 0-9h-7z" },
  { id: "teapot", name: "Teapot", price: 64, text: "For four cups. It does not drip.", path: "M34 36h40c14 8 14 34 0 44H42c-8-5-11-13-11-20L14 44l6-5 14 9zM46 28h16v6H46zM51 20h6v8h-6zM80 44c16-6 20 24 2 28l-1-7c8-3 6-17-2-14z" },
  { id: "bowl", name: "Bowl", price: 26, text: "Wide and deep, for soup.", path: "M18 36h72c0 24-12 38-26 42v5H44v-5C30 74 18 60 18 36z" },
  { id: "plate", name: "Plate", price: 22, text: "Flat, with a blue rim.", path: "M12 52h84c-4 12-20 18-30 18v5H42v-5c-10 0-26-6-30-18z" },
];

const cart = new Map();

function made(tag, text, ...classes) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  element.classList.add(...classes);
  return element;
}

function drawing(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 108 100");
  svg.setAttribute("aria-hidden", "true");
  const shape = svg.appendChild(document.createElementNS(svg.namespaceURI, "path"));
  shape.setAttribute("d", path);
  shape.setAttribute("fill", "currentColor");
  return svg;
}

function button(label, act, ...classes) {
  const element = made("button", label, ...classes);
  element.type = "button";
  element.addEventListener("click", act);
  return element;
}

function showShelf() {
  for (const ware of WARES) {
    const item = made("li");
    item.dataset.product = ware.id;
    const title = made("h2");
    title.append(made("span", ware.name), made("span", money(ware.price)));
    const look = button("Look", () => told(onefold.logCustomEvent("viewed_product", { product: ware.id })), "quiet");
    const add = button("Add", () => put(ware));
    look.setAttribute("aria-label", `Look at the ${ware.name}`);
    add.setAttribute("aria-label", `Add the ${ware.name} to the cart`);
    const actions = made("div", undefined, "actions");
    actions.append(add, look);
    item.append(drawing(ware.path), title, made("p", ware.text), actions);
    byId("shelf").append(item);
  }
}

function put(ware) {
  cart.set(ware, (cart.get(ware) ?? 0) + 1);
  byId("thanks").textContent = "";
  showCart();
  told(onefold.logCustomEvent("added_to_cart", { product: ware.id, price: ware.price }));
}

function showCart() {
  let total = 0;
  const rows = [...cart].map(([ware, quantity]) => {
    total += ware.price * quantity;
    const row = made("tr");
    row.append(made("td", quantity > 1 ? `${quantity} × ${ware.name}` : ware.name), made("td", money(ware.price * quantity)));
    return row;
  });
  byId("lines").replaceChildren(...rows);
  byId("total").textContent = money(total);
  byId("cart").hidden = byId("buy").disabled = cart.size === 0;
  byId("empty").hidden = cart.size > 0;
}

function showAccount() {
  const who = onefold.getUser().getUserId();
  byId("login").hidden = who !== null;
  byId("account").hidden = who === null;
  byId("who").textContent = who ?? "";
  byId("buy").textContent = who === null ? "Buy as a guest" : "Buy";
  byId("recording").textContent = onefold.isDisabled() ? "Record again" : "Stop recording";
}

/** Send what was told, and look at what came of it. */
async function told() {
  await onefold.requestImmediateDataFlush();
  await look();
}

function listen() {
  byId("login").addEventListener("submit", (event) => {
    event.preventDefault();
    onefold.changeUser(byId("user").value.trim());
    showAccount();
    told();
  });
  byId("logout").addEventListener("click", () => {
    onefold.logout();
    showAccount();
    told();
  });
  byId("recording").addEventListener("click", () => {
    if (onefold.isDisabled()) {
      onefold.enableSDK();
      onefold.openSession();
    } else onefold.disableSDK();
    showAccount();
    look();
  });
  // A guest gets an alias and attributes; what is in the cart becomes purchases.
  onefold.captureForm(byId("checkout"), {
    set: { is_lead_profile: true },
    event: "checked_out",
    purchase: () => [...cart].map(([ware, quantity]) => ({ product_id: ware.id, price: ware.price, quantity })),
  });
  byId("checkout").addEventListener("submit", (event) => {
    event.preventDefault();
    cart.clear();
    showCart();
    byId("thanks").textContent = "Thank you. This shop sells nothing, so nothing will come.";
    told();
  });
  document.addEventListener("visibilitychange", look);
}

let shown = "";
let looking = false;

/** Show the profile of this browser's device. */
async function look() {
  if (looking || document.hidden) return;
  looking = true;
  try {
    const device = onefold.getDeviceId();
    if (device === undefined) return show(null, "not recorded");
    const answer = await fetch("/demo/profile", { headers: { "X-Onefold-Device": device }, cache: "no-store" });
    if (answer.ok) show(await answer.json(), null);
    else show(null, answer.status === 404 ? "nobody yet" : "no answer");
  } catch {
    show(null, "no answer");
  } finally {
    looking = false;
  }
}

function show(found, problem) {
  const text = JSON.stringify(found ?? problem);
  if (text === shown) return;
  shown = text;
  const known = found?.profile.external_id;
  for (const pill of [byId("state"), byId("jump")]) {
    pill.textContent = problem ?? known ?? "anonymous";
    pill.classList.toggle("known", known !== undefined);
  }
  byId("hint").hidden = found !== null;
  byId("json").textContent = found ? JSON.stringify(found.profile, null, 2) : "";
  fill(byId("facts"), found ? facts(found.profile) : [], (name, value) => [made("dt", name), made("dd", value)]);
  fill(byId("counts").tBodies[0], found ? counts(found.profile) : [], (name, value) => {
    const row = made("tr");
    row.append(made("td", name), made("td", value));
    return [row];
  });
  const happened = (found?.timeline ?? []).slice(0, 8);
  const named = happened.map((one) => [one.name ?? `${one.quantity} × ${one.product_id}`, clock(one.time), one.id]);
  fill(byId("timeline"), named, (name, time) => {
    const line = made("li");
    line.append(made("span", name), made("time", time));
    return [line];
  });
}

const before = new WeakMap();

/** Fill a list anew; what was not in it before is marked. */
function fill(list, entries, elements) {
  const old = before.get(list) ?? new Set();
  const keys = entries.map((entry) => JSON.stringify(entry));
  const all = entries.map((entry, n) => {
    const parts = elements(...entry);
    if (!old.has(keys[n])) for (const part of parts) part.classList.add("new");
    return parts;
  });
  list.replaceChildren(...all.flat());
  before.set(list, new Set(keys));
}

function facts(profile) {
  const [device] = profile.devices ?? [];
  const aliases = profile.user_aliases.map((one) => `${one.alias_name} (${one.alias_label})`);
  const custom = Object.entries(profile.custom_attributes ?? {}).map(([name, value]) => [name, JSON.stringify(value)]);
  return [
    ["External id", profile.external_id ?? "blank"],
    ["Alias", aliases.join(", ")],
    ["First name", profile.first_name],
    ["E-mail", profile.email],
    ["Browser", device && [device.browser, device.browser_version?.split(".")[0], device.os && `on ${device.os}`].filter(Boolean).join(" ")],
    ["Screen", device?.resolution],
    ["Language", profile.language],
    ["Country", profile.country],
    ["Time zone", profile.time_zone],
    ...custom,
    ["braze_id", profile.braze_id],
    ["Device", (profile.devices ?? []).map((one) => one.device_id).join(", ")],
    ["Merged into it", profile.merged_profiles && `${profile.merged_profiles} anonymous`],
  ].filter(([, value]) => value);
}

function counts(profile) {
  return [
    ["Sessions", String(profile.sessions?.count ?? 0)],
    ...(profile.custom_events ?? []).map((one) => [one.name, String(one.count)]),
    ...(profile.purchases ?? []).map((one) => [`Bought: ${one.name}`, String(one.count)]),
    ["Revenue", money(profile.total_revenue ?? 0)],
  ];
}

const clock = (time) => new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });

onefold.initialize(document.body.dataset.sdkKey, { flushIntervalInSeconds: 1 });
onefold.openSession();
showShelf();
showAccount();
listen();
told();
setInterval(look, 1_000);
