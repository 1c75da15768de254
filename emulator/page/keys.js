// The bot's keyboard under the input field.

import { element } from "/page/text.js";

const byId = (id) => document.getElementById(id);
const PLACEHOLDER = byId("text").placeholder;
let present = null; // its keys, so that they keep the focus while they stay the same

export function showKeyboard(keyboard, onKey) {
  const rows = keyboard ? keyboard.rows : [];
  if (JSON.stringify(rows) !== present) {
    present = JSON.stringify(rows);
    byId("keys").replaceChildren(...rows.map((row) => element("div", {}, ...row.map((text) =>
      element("button", { type: "button", onclick: () => onKey(text) }, text)))));
  }
  byId("keys").classList.toggle("tall", Boolean(keyboard) && !keyboard.resize);
  byId("text").placeholder = keyboard?.placeholder || PLACEHOLDER;
  // one that has to stay cannot be closed, only opened again after its use
  byId("keys-button").hidden = !keyboard || (keyboard.persistent && !keyboard.hidden);
  open(Boolean(keyboard) && !keyboard.hidden);
}

function open(shown) {
  if (!shown && byId("keys").contains(document.activeElement)) byId("text").focus();
  byId("keys").hidden = !shown;
  byId("keys-button").setAttribute("aria-expanded", String(shown));
}

byId("keys-button").addEventListener("click", () => open(byId("keys").hidden));
