// One official JavaScript client in Node.js. It prints its report as one line of JSON.
//
//     node run_client.cjs '{"package": "socket.io-client-4", "url": "http://127.0.0.1:5000", ...}'
"use strict";

const http = require("node:http");
const { live } = require("./scenario.js");

const job = JSON.parse(process.argv[2]);
const cut = () => http.get(`${job.url}/-cut-`, (answer) => answer.resume());

(async () => {
  const report = await live(require(job.package), job, job.parser && require(job.parser), cut);
  report.client = require(`${job.package}/package.json`).version;
  process.stdout.write(JSON.stringify(report) + "\n", () => process.exit(report.failure ? 1 : 0));
})();
