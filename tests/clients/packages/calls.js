// Calls of the npm package braze-api, found by NODE_PATH; the same in and out as calls.py.
// A method is a path like "users.export.ids", its argument the body.
"use strict";

const { Braze } = require("braze-api");

async function main() {
  const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
  const client = new Braze(...given.client);
  for (const [method, body] of given.calls) {
    const names = method.split(".");
    const last = names.pop();
    const owner = names.reduce((found, name) => found[name], client);
    let line;
    try {
      line = { answer: await owner[last](body) };
    } catch (error) {
      line = { error: error.constructor.name, message: error.message, status: error.status, errors: error.errors };
    }
    console.log(JSON.stringify(line));
  }
}

main();
