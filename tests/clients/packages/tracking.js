// Calls of tracking SDKs, found by NODE_PATH. In: {"sdk", "url", "key", "calls": [[method, {...}], …]}, where what a call
// says has the names of the tracking API. Out: one line of JSON, {"sent": number}, once all were answered.
"use strict";

const SDKS = {
  async segment(url, key, calls) {
    const { Analytics } = require("@segment/analytics-node");
    const analytics = new Analytics({ host: url, writeKey: key, flushAt: 3 });
    analytics.on("error", (error) => console.error(JSON.stringify(error)));
    for (const [method, said] of calls) analytics[method](said);
    await analytics.closeAndFlush();
  },
  async rudderstack(url, key, calls) {
    const RudderAnalytics = require("@rudderstack/rudder-sdk-node");
    const analytics = new RudderAnalytics(key, { dataPlaneUrl: url, flushAt: 3 });
    const answered = calls.map(
      ([method, said]) =>
        new Promise((done, failed) => analytics[method](said, (error) => (error ? failed(error) : done()))),
    );
    analytics.flush();
    await Promise.all(answered);
  },
  async jitsu(url, key, calls) {
    const { jitsuAnalytics, emptyRuntime } = require("@jitsu/js");
    const analytics = jitsuAnalytics({ host: url, writeKey: `${key}:secret`, runtime: emptyRuntime({ debug: false }) });
    const arguments_ = {
      identify: (said) => [said.userId, said.traits],
      track: (said) => [said.event, said.properties],
      page: (said) => [said.name, said.properties],
      group: (said) => [said.groupId, said.traits],
    };
    for (const [method, said] of calls) await analytics[method](...arguments_[method](said));
  },
};

async function main() {
  const { sdk, url, key, calls } = JSON.parse(require("fs").readFileSync(0, "utf8"));
  await SDKS[sdk](url, key, calls);
  console.log(JSON.stringify({ sent: calls.length }));
}

main().then(() => process.exit(0));
