// Drives Chromium through Playwright for tests/browser/chromium.py. A call is a line of JSON on standard input:
// {"of": number, "method": name, "arguments": [...]}. The answer is a line {"value": ...}, {"object": number} or
// {"error": message}. Number 0 is the browser.
const { createInterface } = require("node:readline");
const { chromium } = require("playwright-core");

const objects = [];

/** Methods of our own, by name. They come before those of the object. */
const OWN = {
  /** Write down what a context asks of the network, from now on: see `requests`. */
  watch(context) {
    context.requests = [];
    context.on("request", (request) => {
      const one = { method: request.method(), url: request.url(), body: request.postData() };
      context.requests.push(one);
      request.response().then(
        (response) => (one.status = response ? response.status() : null),
        () => (one.status = null),
      );
    });
    context.errors = [];
    context.on("weberror", (error) => context.errors.push(String(error.error())));
    context.on("console", (said) => said.type() === "error" && context.errors.push(said.text()));
  },
  offline: (context) => context.setOffline(true),
  online: (context) => context.setOffline(false),
  requests: (context) => context.requests,
  errors: (context) => context.errors,
  /**
   * What becomes of requests to these addresses: "hold" never lets them go, "lose" lets them arrive and loses the
   * answer, "fail" breaks them, a number answers them with this status, and "pass" is as ever.
   */
  async meddle(context, pattern, how) {
    await context.unroute(pattern);
    if (how === "pass") return;
    await context.route(pattern, async (route) => {
      if (how === "hold") return;
      if (how === "lose") await route.fetch();
      if (typeof how === "number") return route.fulfill({ status: how, body: "{}" });
      await route.abort();
    });
  },
  /** The browser's protocol itself. */
  async protocol(page, method, parameters) {
    const session = await page.context().newCDPSession(page);
    try {
      return await session.send(method, parameters);
    } finally {
      await session.detach().catch(() => undefined);
    }
  },
  /** The renderer dies, as when the machine takes its memory: no event of the page runs any more. */
  async crash(page) {
    const crashed = page.waitForEvent("crash");
    const session = await page.context().newCDPSession(page);
    session.send("Page.crash").catch(() => undefined);
    await crashed;
    await page.close();
  },
};

async function call({ of, method, arguments: given }) {
  const object = objects[of];
  const value = await (OWN[method] ? OWN[method](object, ...given) : object[method](...given));
  const isPlain = value === null || typeof value !== "object" || Array.isArray(value) || value.constructor === Object;
  return isPlain ? { value } : Buffer.isBuffer(value) ? { value: null } : { object: objects.push(value) - 1 };
}

async function main() {
  objects.push(await chromium.launch({ executablePath: process.argv[2], args: ["--disable-gpu"] }));
  console.log(JSON.stringify({ value: "ready" }));
  for await (const line of createInterface({ input: process.stdin })) {
    const answer = await call(JSON.parse(line)).catch((error) => ({ error: String(error.message || error) }));
    console.log(JSON.stringify(answer));
  }
  await objects[0].close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
