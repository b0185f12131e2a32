// A worker in plain JavaScript, without any package: it renders invoices, tasks of the type `invoice.render`.
//
//   OPSPLANE_URL=http://127.0.0.1:8080 OPSPLANE_TOKEN=$(opsplane token issue --role task_worker --sub invoices) \
//     node examples/worker.mjs
//
// docs/how-to/write-a-worker-in-another-language.md explains the protocol step by step.

import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

const { OPSPLANE_URL: URL, OPSPLANE_TOKEN: BEARER, WORKER_NAME: NAME = "invoices" } = process.env;
const SLOTS = Number(process.env.SLOTS ?? 4); // how many tasks run at once
const LEASE = Number(process.env.LEASE_SECONDS ?? 30); // how long the platform waits for a call
const BEAT = Number(process.env.HEARTBEAT_SECONDS ?? 1); // a cancel is heard within this time
const GRACE = Number(process.env.GRACE_SECONDS ?? 10); // what running tasks get when the worker stops

const handlers = { "invoice.render": renderInvoice };

// The work itself: gets its task, tells progress, stops when `signal` says so, returns what `complete` takes.
async function renderInvoice(task, signal) {
  const { lines, pauseMs } = task.params;
  const pages = [];
  for (const [number, line] of lines.entries()) {
    await sleep(pauseMs, undefined, { signal });
    pages.push(`${number + 1}. ${line}\n`);
    if (lines.length > 1) await progress(task, { totalRecords: lines.length, processedRecords: number + 1 });
  }
  const put = await fetch(task.resultUploadUrl, { method: "PUT", headers: task.resultUploadHeaders, body: pages.join("") });
  if (!put.ok) throw new Error(`the upload was answered with ${put.status}`);
  const resultFile = { fileName: "invoice.txt", contentType: "text/plain", rows: lines.length };
  return { processedRecords: lines.length, resultFile, result: { worker: NAME } };
}

// ---- the protocol -------------------------------------------------------------------------------------------------

class Refused extends Error {
  constructor(status, problem) {
    super(`${status} ${problem.error ?? problem.title}: ${problem.detail}`);
    this.status = status;
  }
}

async function call(verb, body, ...signals) {
  const answer = await fetch(`${URL}/api/v1/operations/worker/${verb}`, {
    method: "POST",
    headers: { authorization: `Bearer ${BEARER}`, "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.any([AbortSignal.timeout(45_000), ...signals]),
  });
  const text = await answer.text();
  if (answer.ok) return JSON.parse(text);
  const problem = answer.headers.get("content-type")?.includes("json") ? JSON.parse(text) : { detail: text };
  throw new Refused(answer.status, problem);
}

const running = new Map(); // claim token → { stop, ended }
const stopping = new AbortController();
let workerId; // of our registration; none before the first claim, and none when the lease has ended

async function claimLoop() {
  while (!stopping.signal.aborted) {
    if (running.size >= SLOTS) {
      await Promise.race([...running.values()].map((one) => one.ended));
      continue;
    }
    const ask = { worker: NAME, host: hostname(), pid: process.pid, taskTypes: Object.keys(handlers), leaseSeconds: LEASE };
    const more = { workerId, limit: SLOTS - running.size, waitSeconds: 20, holding: [...running.keys()] };
    try {
      const answer = await call("claim", { ...ask, ...more }, stopping.signal);
      workerId = answer.workerId;
      for (const task of answer.claims) start(task);
    } catch (error) {
      await trouble("claim", error);
    }
  }
}

function start(task) {
  console.log("started", task.id);
  const stop = new AbortController();
  const ended = run(task, stop.signal).finally(() => running.delete(task.token));
  running.set(task.token, { stop, ended });
}

async function run(task, signal) {
  try {
    const done = await handlers[task.taskType](task, signal);
    await tellEnd("complete", task, done);
  } catch (error) {
    if (signal.reason === "lost") console.log("lost", task.id); // it is another's now: nothing is left to say
    else if (signal.reason === "cancel") await tellEnd("fail", task, { errorKind: "Cancelled" });
    else await tellEnd("fail", task, { errorKind: error.name, message: error.message });
  }
}

// Tell how a task ended, until the platform has heard it. 409: the claim is no longer ours, so the end does not count.
async function tellEnd(verb, task, end) {
  for (;;) {
    try {
      const { status } = await call(verb, { id: task.id, token: task.token, ...end });
      return console.log(status, task.id);
    } catch (error) {
      if (error.status < 500 && error.status !== 429) return console.log("refused", task.id, error.message);
      await trouble(verb, error);
    }
  }
}

async function progress(task, counts) {
  const { stop } = running.get(task.token);
  try {
    const told = await call("progress", { id: task.id, token: task.token, ...counts });
    if (told.cancel) stop.abort("cancel");
  } catch (error) {
    if (error.status === 409) stop.abort("lost");
    else console.error("progress", error.message); // the next one tells it
  }
}

async function heartbeatLoop() {
  for (;;) {
    await sleep(BEAT * 1000);
    if (workerId === undefined) continue;
    try {
      const pulse = await call("heartbeat", { workerId, tokens: [...running.keys()], stopping: stopping.signal.aborted });
      for (const token of pulse.cancel) running.get(token)?.stop.abort("cancel");
      for (const token of pulse.lost) running.get(token)?.stop.abort("lost");
    } catch (error) {
      await trouble("heartbeat", error);
    }
  }
}

async function trouble(verb, error) {
  if (stopping.signal.aborted && error.name === "AbortError") return;
  console.error(verb, error.message);
  if (error.status === 409 && verb !== "complete" && verb !== "fail") {
    workerId = undefined; // the lease has ended: our tasks were given to others, the next claim registers us anew
    for (const { stop } of running.values()) stop.abort("lost");
  } else await sleep(1000);
}

process.once("SIGTERM", async () => {
  stopping.abort();
  await Promise.race([Promise.all([...running.values()].map((one) => one.ended)), sleep(GRACE * 1000)]);
  if (workerId !== undefined) await call("leave", { workerId }).catch((error) => console.error("leave", error.message));
  process.exit(0);
});

heartbeatLoop();
claimLoop();
