// Everything the page asks the emulator.

async function ask(path, options = {}) {
  const response = await fetch(path, options);
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

const post = (path, fields) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(fields) });

const of = (person) => `/emulator/people/${person}`;

export const people = () => ask("/emulator/people");
export const addPerson = (fields) => post("/emulator/people", fields);
export const sendText = (person, text) => post(`${of(person)}/texts`, { text });
export const pressKey = (person, text) => post(`${of(person)}/keys`, { text });
export const click = (person, message, data) => post(`${of(person)}/clicks`, { message_id: message, data });
export const block = (person, blocked) => post(`${of(person)}/block`, { blocked });
export const remove = (person, message) => ask(`${of(person)}/messages/${message}`, { method: "DELETE" });
export const faults = () => ask("/emulator/faults");
export const addFault = (fields) => post("/emulator/faults", fields);
export const clearFaults = () => ask("/emulator/faults", { method: "DELETE" });

export function sendFiles(person, kind, caption, files) {
  const form = new FormData();
  form.append("kind", kind);
  form.append("caption", caption);
  for (const file of files) form.append("file", file, file.name || "picture.png");
  return ask(`${of(person)}/files`, { method: "POST", body: form });
}

export function listen(person, handlers) {
  const source = new EventSource(`${of(person)}/events`);
  for (const [kind, handle] of Object.entries(handlers)) {
    source.addEventListener(kind, (event) => handle(JSON.parse(event.data)));
  }
  return source;
}
