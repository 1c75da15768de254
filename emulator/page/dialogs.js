// The dialogs: who you are, what to send, before and after.

import { element, humanSize } from "/page/text.js";

const byId = (id) => document.getElementById(id);

function answered(dialog) {
  dialog.returnValue = "cancel";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const ok = dialog.returnValue === "ok";
      resolve(ok ? Object.fromEntries(new FormData(dialog.querySelector("form"))) : null);
    }, { once: true });
  });
}

// not a submit button: Enter in a field would press the first one of those
for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close("cancel"));
}

export const askPerson = () => answered(byId("person-dialog"));

export async function askHowToSend(files) {
  const pictures = files.every((file) => file.type.startsWith("image/"));
  const addresses = [];
  byId("send-title").textContent = files.length === 1 ? "Send this" : `Send ${files.length} files as an album`;
  byId("send-previews").replaceChildren(...files.map((file) => {
    if (!file.type.startsWith("image/")) return element("span", {}, `${file.name} · ${humanSize(file.size)}`);
    addresses.push(URL.createObjectURL(file));
    return element("img", { src: addresses.at(-1), alt: file.name });
  }));
  for (const radio of byId("send-dialog").querySelectorAll("[name=kind]")) {
    radio.disabled = !pictures && radio.value !== "document";
    radio.checked = radio.value === (pictures ? "photo" : "document");
  }
  const answer = await answered(byId("send-dialog"));
  addresses.forEach((address) => URL.revokeObjectURL(address));
  byId("send-dialog").querySelector("[name=caption]").value = "";
  return answer;
}

export function compare(before, after) {
  const [first, second] = [byId("compare-before"), byId("compare-after")];
  const describe = () => {
    byId("compare-sizes").textContent =
      `${first.naturalWidth} × ${first.naturalHeight} px → ${second.naturalWidth} × ${second.naturalHeight} px`;
  };
  first.onload = describe;
  second.onload = describe;
  first.src = before.url;
  second.src = after.url;
  byId("compare-dialog").showModal();
}

byId("compare-range").addEventListener("input", (event) => {
  byId("compare").style.setProperty("--cut", `${event.target.value}%`);
});

export function notice(text, alert) {
  if (alert) {
    byId("alert-text").textContent = text;
    byId("alert-dialog").showModal();
    return;
  }
  const toast = byId("toast");
  toast.textContent = text;
  toast.hidden = false;
  clearTimeout(notice.timer);
  notice.timer = setTimeout(() => { toast.hidden = true; }, 4000);
}
