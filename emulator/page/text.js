// Text with its entities as DOM nodes; offsets count UTF-16 code units, as JavaScript strings do.

const TAGS = {
  bold: "b", italic: "i", underline: "u", strikethrough: "s", code: "code", pre: "pre",
  blockquote: "blockquote", expandable_blockquote: "blockquote",
};

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function formatted(text, entities, onCommand) {
  return build(text, 0, text.length, entities, onCommand);
}

function build(text, start, end, entities, onCommand) {
  const nodes = [];
  let position = start;
  for (let index = 0; index < entities.length; index += 1) {
    const entity = entities[index];
    const stop = entity.offset + entity.length;
    if (entity.offset < position || stop > end) continue;
    const inner = entities.slice(index + 1).filter((other) => other.offset >= entity.offset && other.offset + other.length <= stop);
    nodes.push(text.slice(position, entity.offset));
    nodes.push(wrap(entity, build(text, entity.offset, stop, inner, onCommand), text.slice(entity.offset, stop), onCommand));
    position = stop;
  }
  nodes.push(text.slice(position, end));
  return nodes;
}

function wrap(entity, children, plain, onCommand) {
  if (entity.type === "bot_command") {
    return element("button", { type: "button", class: "link", onclick: () => onCommand(plain) }, ...children);
  }
  if (entity.type === "text_link" || entity.type === "url") {
    const address = entity.url || plain;
    if (!/^https?:\/\//.test(address)) return element("span", {}, ...children);
    return element("a", { class: "link", href: address, target: "_blank", rel: "noopener noreferrer" }, ...children);
  }
  if (entity.type === "spoiler") return element("span", { class: "spoiler", tabindex: 0 }, ...children);
  return element(TAGS[entity.type] || "span", {}, ...children);
}

export function humanSize(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${Math.round(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
