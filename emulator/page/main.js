// The chat: one person, chosen by ?user=, talks to the bot.

import * as backend from "/page/backend.js";
import { askHowToSend, askPerson, compare, notice } from "/page/dialogs.js";
import { showKeyboard } from "/page/keys.js";
import { isPicture, render } from "/page/messages.js";
import { element } from "/page/text.js";
import "/page/faults.js";

const byId = (id) => document.getElementById(id);
const ACTIONS = { typing: "is typing…", upload_document: "is sending a file…", upload_photo: "is sending a photo…" };
const IDLE = { true: "bot", false: "not running: no bot asks for updates" };
const chat = { person: null, messages: new Map(), source: null, blocked: false, connected: true, actionTimer: null };

function attempt(action) {
  return async (...given) => {
    try {
      return await action(...given);
    } catch (error) {
      notice(error.message);
      return null;
    }
  };
}

// Who

function showPeople(people) {
  byId("people").replaceChildren(...people.map((person) => element("li", {}, element(
    "button",
    { type: "button", class: "person", "aria-current": String(person.id === chat.person), onclick: () => become(person.id) },
    element("span", { class: "avatar", "aria-hidden": "true" }, person.name[0].toUpperCase()),
    element("span", {}, person.name, element("small", {}, person.blocked ? "blocked the bot" : person.language_code)),
  ))));
  const me = people.find((person) => person.id === chat.person);
  chat.blocked = Boolean(me?.blocked);
  byId("block").textContent = chat.blocked ? "Unblock" : "Block";
}

function become(person) {
  chat.person = person;
  history.replaceState(null, "", `?user=${person}`);
  chat.source?.close();
  chat.source = backend.listen(person, { chat: showAll, message: showOne, bot: showBot, people: showPeople, action: showAction, keyboard: showKeys });
  // after a restart of the emulator nobody has this number any more
  chat.source.onerror = () => { if (chat.source.readyState === EventSource.CLOSED) location.replace("/"); };
  byId("text").focus();
}

const addPerson = attempt(async () => {
  const fields = await askPerson();
  if (fields) become((await backend.addPerson(fields)).id);
});

// Messages

function showAll(messages) {
  chat.messages = new Map(messages.map((message) => [message.id, message]));
  byId("messages").replaceChildren(...messages.map(rendered));
  byId("empty").hidden = messages.length > 0;
  scrollDown();
}

function showOne(message) {
  const old = byId(`message-${message.id}`);
  const atEnd = isAtEnd();
  if (message.deleted) {
    chat.messages.delete(message.id);
    old?.remove();
    return;
  }
  chat.messages.set(message.id, message);
  const node = rendered(message);
  if (old) {
    old.replaceWith(node);
  } else {
    node.classList.add("fresh");
    byId("messages").append(node);
    if (message.from_bot) showAction({ action: null });
  }
  byId("empty").hidden = true;
  if (atEnd || !message.from_bot) scrollDown();
}

function rendered(message) {
  return render(message, {
    onCommand: say,
    onButton: (button, node) => press(message, button, node),
    onDelete: attempt(() => backend.remove(chat.person, message.id)),
    onCompare: compare,
    before: pictureBefore(message),
  });
}

function pictureBefore(message) {
  if (!message.from_bot || message.media?.kind !== "document" || !isPicture(message.media)) return null;
  const replied = message.reply_to && chat.messages.get(message.reply_to.id);
  return replied?.media && isPicture(replied.media) ? replied.media : null;
}

const press = attempt(async (message, button, node) => {
  if (button.url) {
    window.open(button.url, "_blank", "noopener");
    return;
  }
  node.disabled = true;
  try {
    const answer = await backend.click(chat.person, message.id, button.data);
    if (answer.text) notice(answer.text, answer.show_alert);
  } finally {
    node.disabled = false;
  }
});

function isAtEnd() {
  const list = byId("messages");
  return list.scrollHeight - list.scrollTop - list.clientHeight < 80;
}

function scrollDown() {
  const list = byId("messages");
  requestAnimationFrame(() => { list.scrollTop = list.scrollHeight; });
}
// pictures grow the list after they were added
byId("messages").addEventListener("load", () => { if (isAtEnd.before !== false) scrollDown(); }, true);
byId("messages").addEventListener("scroll", () => { isAtEnd.before = isAtEnd(); });

// The bot

function showBot(bot) {
  chat.connected = bot.connected;
  showAction({ action: null });
  byId("bot-name").textContent = bot.name;
  byId("bot-avatar").textContent = bot.name[0].toUpperCase();
  document.title = `${bot.name} · Telegram emulator`;
  byId("commands-button").hidden = bot.commands.length === 0;
  byId("commands").replaceChildren(...bot.commands.map((command) => element("li", {}, element(
    "button", { type: "button", onclick: () => { toggleCommands(false); say(`/${command.command}`); } },
    `/${command.command}`, element("small", {}, command.description),
  ))));
}

function showAction({ action }) {
  clearTimeout(chat.actionTimer);
  byId("status").textContent = action ? ACTIONS[action] || "is busy…" : IDLE[String(chat.connected)];
  byId("status").classList.toggle("absent", !chat.connected);
  byId("status").classList.toggle("busy", Boolean(action));
  if (action) chat.actionTimer = setTimeout(() => showAction({ action: null }), 5000);
}

function toggleCommands(shown = byId("commands").hidden) {
  byId("commands").hidden = !shown;
  byId("commands-button").setAttribute("aria-expanded", String(shown));
  if (shown) byId("commands").querySelector("button")?.focus();
}

function showKeys(keyboard) {
  const atEnd = isAtEnd();
  showKeyboard(keyboard, attempt((text) => backend.pressKey(chat.person, text)));
  if (atEnd) scrollDown();
}

// Sending

const say = attempt((text) => backend.sendText(chat.person, text));

const sendFiles = attempt(async (list) => {
  const files = [...list].slice(0, 10);
  if (!files.length) return;
  const answer = await askHowToSend(files);
  if (answer) await backend.sendFiles(chat.person, answer.kind, answer.caption, files);
});

byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = byId("text").value.trim();
  if (text) say(text);
  byId("text").value = "";
});
byId("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    byId("composer").requestSubmit();
  }
});
byId("attach").addEventListener("click", () => byId("files").click());
byId("files").addEventListener("change", async (event) => {
  await sendFiles(event.target.files);
  event.target.value = "";
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) sendFiles(event.clipboardData.files);
});
document.addEventListener("dragover", (event) => { event.preventDefault(); byId("drop").hidden = false; });
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) byId("drop").hidden = true; });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  byId("drop").hidden = true;
  sendFiles(event.dataTransfer.files);
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") toggleCommands(false); });
byId("commands-button").addEventListener("click", () => toggleCommands());
byId("start").addEventListener("click", () => say("/start"));
byId("add-person").addEventListener("click", addPerson);
byId("block").addEventListener("click", attempt(() => backend.block(chat.person, !chat.blocked)));

const begin = attempt(async () => {
  const { people, bot } = await backend.people();
  showBot(bot);
  const wanted = Number(new URLSearchParams(location.search).get("user"));
  const known = people.find((person) => person.id === wanted) || people[0];
  if (known) become(known.id);
  else await addPerson();
});
begin();
