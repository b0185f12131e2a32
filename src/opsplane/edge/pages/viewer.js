"use strict";
// Shows the operations of one OpenAPI document. Everything from a document is set as text, never as markup.
const METHODS = ["get", "head", "post", "put", "patch", "delete"];

function element(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function resolved(schema, described, seen = []) {
  if (Array.isArray(schema)) return schema.map((one) => resolved(one, described, seen));
  if (schema === null || typeof schema !== "object") return schema;
  if (typeof schema.$ref === "string") {
    if (seen.includes(schema.$ref)) return { $ref: schema.$ref };
    const found = schema.$ref.split("/").slice(1).reduce((place, name) => (place || {})[name], described);
    return resolved(found || {}, described, [...seen, schema.$ref]);
  }
  return Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, resolved(value, described, seen)]));
}

function operation(path, method, described, whole) {
  const box = element("details");
  const line = element("summary");
  line.append(element("span", method.toUpperCase(), "method"), element("code", path), " ", described.summary || "");
  box.append(line);
  if (described.description) box.append(element("p", described.description));
  const parts = [["Parameters", described.parameters], ["Request", described.requestBody], ["Responses", described.responses]];
  for (const [title, part] of parts) {
    if (!part || part.length === 0) continue;
    box.append(element("h4", title), element("pre", JSON.stringify(resolved(part, whole), null, 2)));
  }
  return box;
}

async function show(service) {
  const main = document.getElementById("operations");
  const answer = await fetch(service.openapi);
  const described = await answer.json();
  if (!answer.ok) return main.replaceChildren(element("p", described.detail || "The service does not answer."));
  const boxes = Object.entries(described.paths || {}).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => operation(path, method, item[method], described)));
  main.replaceChildren(element("h2", (described.info && described.info.title) || service.name), ...boxes);
}

async function start() {
  const { services } = await (await fetch("/swagger/links")).json();
  const nav = document.getElementById("services");
  const choose = () => {
    const service = services.find((one) => `#${one.name}` === location.hash) || services[0];
    for (const link of nav.children) link.toggleAttribute("aria-current", link.textContent === (service && service.name));
    if (service) show(service);
  };
  nav.replaceChildren(...services.map((one) => {
    const link = element("a", one.name);
    link.href = `#${one.name}`;
    return link;
  }));
  addEventListener("hashchange", choose);
  choose();
}

start();
