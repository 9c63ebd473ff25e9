// Node's two clients: fetch, and http with an Upgrade and a chunked body. Prints statuses.
const http = require("node:http");
const [url, key, body] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/json" };

function upgrading() {
  const more = { Connection: "Upgrade", Upgrade: "h2c" };
  return new Promise((resolve, reject) => {
    const request = http.request(`${url}/users/track`, { method: "POST", headers: { ...headers, ...more } });
    request.on("response", (response) => response.resume().on("end", () => resolve(response.statusCode)));
    request.on("error", reject);
    request.write(body.slice(0, 10));
    request.end(body.slice(10));
  });
}

(async () => {
  console.log((await fetch(`${url}/users/track`, { method: "POST", headers, body })).status);
  console.log(await upgrading());
  console.log((await fetch(`${url}/livez`)).status);
})();
