// The panel that lets the emulated Telegram misbehave.

import * as backend from "/page/backend.js";
import { element } from "/page/text.js";

const list = document.getElementById("faults");
const form = document.getElementById("fault-form");
const WITH_SECONDS = new Set(["RetryAfter", "Slow"]);

async function show() {
  const rules = await backend.faults();
  list.replaceChildren(...rules.map((rule) => element(
    "li", {}, `${rule.fault} in ${rule.method === "*" ? "any method" : rule.method}: ${rule.struck} of ${rule.times ?? "∞"}`)));
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { fault, method, seconds, times } = Object.fromEntries(new FormData(form));
  const parameters = WITH_SECONDS.has(fault) ? { seconds: Number(seconds) } : {};
  await backend.addFault({ fault, method, times: Number(times), ...parameters });
  await show();
});
document.getElementById("clear-faults").addEventListener("click", async () => { await backend.clearFaults(); await show(); });
document.querySelector(".faults").addEventListener("toggle", show);
