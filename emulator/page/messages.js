// One message as DOM.

import { element, formatted, humanSize } from "/page/text.js";

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const SHOWN_MAX = 40e6; // bytes; a larger picture is only offered for download

export function render(message, { onCommand, onButton, onDelete, onCompare, before }) {
  const bubble = element("div", { class: "bubble" });
  if (message.reply_to) bubble.append(quote(message.reply_to));
  if (message.media) bubble.append(...media(message, before, onCompare));
  if (message.text) bubble.append(element("div", { class: "body" }, ...formatted(message.text, message.entities, onCommand)));
  if (message.extra.length) bubble.append(element("div", { class: "about" }, `(${message.extra.join(", ")})`));
  bubble.append(meta(message, onDelete));
  const kind = message.media ? message.media.kind : "text";
  const classes = ["message", kind, message.from_bot ? "" : "mine"].filter(Boolean).join(" ");
  return element("li", { class: classes, id: `message-${message.id}`, "data-id": message.id }, bubble, keyboard(message, onButton));
}

function quote(reply) {
  const show = () => document.getElementById(`message-${reply.id}`)?.scrollIntoView({ block: "center", behavior: "smooth" });
  return element("button", { type: "button", class: "quote", onclick: show }, reply.text.slice(0, 80) || reply.kind);
}

function meta(message, onDelete) {
  const changes = message.versions - 1;
  return element(
    "div", { class: "meta" },
    message.edited ? element("span", { title: `changed ${changes} times` }, "edited") : null,
    element("time", {}, CLOCK.format(new Date(message.time * 1000))),
    element("button", { type: "button", class: "link", onclick: onDelete, "aria-label": "Delete this message" }, "×"),
  );
}

function media(message, before, onCompare) {
  const { media: file } = message;
  const about = element("span", { class: "about" }, describe(file));
  if (!isPicture(file)) return [card(file, about), tools(file)];
  const source = file.size < SHOWN_MAX ? file.url : file.preview;
  const image = element("img", { class: "picture", src: source, alt: file.name || file.kind, loading: "lazy" });
  image.addEventListener("load", () => {
    const size = source === file.url ? `${image.naturalWidth} × ${image.naturalHeight} px` : "";
    about.textContent = [file.name, size, humanSize(file.size)].filter(Boolean).join(" · ");
  });
  if (file.kind === "sticker") return [image];
  const compare = before ? element("button", { type: "button", class: "link", onclick: () => onCompare(before, file) }, "Compare") : null;
  return [image, about, tools(file, compare)];
}

export function isPicture(file) {
  if (file.moves) return false;
  const shown = ["image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp"];
  return ["photo", "sticker"].includes(file.kind) || shown.includes(file.mime_type) || Boolean(file.preview);
}

function card(file, about) {
  const extension = (file.name || "").split(".").pop().slice(0, 4).toUpperCase() || "FILE";
  return element("div", { class: "file" }, element("span", { class: "mark", "aria-hidden": "true" }, extension), about);
}

function describe(file) {
  return [file.name || file.kind, humanSize(file.size)].join(" · ");
}

function tools(file, extra = null) {
  const name = file.name || `${file.kind}${file.kind === "photo" ? ".jpg" : ""}`;
  return element(
    "div", { class: "tools" },
    isPicture(file) ? element("a", { href: file.url, target: "_blank", rel: "noopener" }, "Open") : null,
    element("a", { href: file.url, download: name }, "Download"),
    extra,
  );
}

function keyboard(message, onButton) {
  if (!message.buttons.length) return null;
  const rows = message.buttons.map((row) => element("div", {}, ...row.map((button) =>
    element("button", { type: "button", onclick: (event) => onButton(button, event.currentTarget) }, button.text))));
  return element("div", { class: "keyboard" }, ...rows);
}
