"use strict";
// Shows openapi.json, which lies beside this page. Whatever it or an answer says becomes text, never
// markup: what is stored in the cache is anybody's.

const base = location.href.replace(/[?#].*/, "").replace(/[^/]*$/, "");
const byId = (id) => document.getElementById(id);

// --- building the page ---------------------------------------------------------------------------

// What there is in nested lists of nodes and texts.
function present(list) {
  return [list].flat(Infinity).filter(Boolean);
}

function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...present(children));
  return element;
}

// Text with `code` in it.
function inline(text) {
  return text.split(/`([^`]+)`/).map((part, i) => (i % 2 ? h("code", {}, part) : part));
}

function prose(text) {
  return (text || "")
    .split("\n\n")
    .filter(Boolean)
    .map((part) => h("p", {}, inline(part)));
}

// --- JSON, laid out and coloured without touching its spelling -------------------------------------

function parse(text) {
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s{}[\]:,"]+/g) || [];
  let at = 0;
  const value = () => {
    const token = tokens[at++];
    if (token !== "{" && token !== "[") return token;
    const node = { open: token, close: token === "{" ? "}" : "]", items: [] };
    while (at < tokens.length && tokens[at] !== node.close) {
      const item = { value: value() };
      if (tokens[at] === ":") {
        at++;
        item.name = item.value;
        item.value = value();
      }
      node.items.push(item);
      if (tokens[at] === ",") at++;
    }
    at++;
    return node;
  };
  return value();
}

function paint(token) {
  if (token === undefined) return "";
  return h("span", { class: token[0] === '"' ? "s" : "n" }, token);
}

function flat(node) {
  if (node === undefined || node.items === undefined) return [paint(node)];
  const parts = node.items.map((item, i) => [
    i ? ", " : "",
    item.name ? [h("span", { class: "k" }, item.name), ": "] : "",
    flat(item.value),
  ]);
  return [node.open, parts, node.close].flat(Infinity);
}

function width(parts) {
  return parts.reduce((sum, part) => sum + (part.textContent || part).length, 0);
}

// `before` is how much stands on the node's line already.
function layout(node, indent, before) {
  const line = flat(node);
  if (!node || !node.items || !node.items.length || before + width(line) < 46) return line;
  const inner = indent + "  ";
  const parts = node.items.map((item, i) => [
    i ? "," : "",
    "\n" + inner,
    item.name ? [h("span", { class: "k" }, item.name), ": "] : "",
    layout(item.value, inner, inner.length + (item.name || "").length + 2),
  ]);
  return [node.open, parts, "\n" + indent, node.close].flat(Infinity);
}

// As it is if it is no JSON, or more of it than anybody reads.
function pretty(text) {
  try {
    if (text.length > 20000) return [text];
    JSON.parse(text);
    return layout(parse(text), "", 0);
  } catch {
    return [text];
  }
}

// --- the document ----------------------------------------------------------------------------------

let root;

function lookup(reference) {
  return reference
    .slice(2)
    .split("/")
    .reduce((node, part) => node[part.replaceAll("~1", "/").replaceAll("~0", "~")], root);
}

function resolve(node) {
  return node.$ref ? resolve(lookup(node.$ref)) : node;
}

// An object's members, those it has through allOf and $ref too.
function members(schema) {
  const found = new Map();
  const required = new Set();
  const visit = (part) => {
    for (const [name, member] of Object.entries(part.properties || {}))
      if (!found.has(name)) found.set(name, member);
    (part.required || []).forEach((name) => required.add(name));
    (part.allOf || []).forEach(visit);
    if (part.$ref) visit(lookup(part.$ref));
  };
  visit(schema);
  return [...found].map(([name, member]) => ({
    name,
    schema: member,
    required: required.has(name),
  }));
}

function bounds(schema, noun) {
  const [low, high] = noun
    ? [schema.minLength || schema.minItems, schema.maxLength || schema.maxItems]
    : [schema.minimum, schema.maximum];
  const unit = noun && ` ${high === undefined && low === 1 ? noun.slice(0, -1) : noun}`;
  if (low !== undefined && high !== undefined) return `${low} to ${high}${unit}`;
  if (low !== undefined) return `at least ${low}${unit}`;
  return high !== undefined ? `at most ${high}${unit}` : null;
}

function kind(reference) {
  const schema = resolve(reference);
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(", ");
  if (schema.oneOf && schema.oneOf.every((one) => "const" in one)) return "one of the errors below";
  if (schema.oneOf && !schema.type) return [...new Set(schema.oneOf.map(kind))].join(" or ");
  const types = [schema.type || []].flat();
  if (!types.length) return "any JSON";
  const what = types.map((type) =>
    type === "array" && schema.items ? `array of ${plural(schema.items)}` : type,
  );
  const noun = types.includes("string") ? "characters" : types.includes("array") ? "elements" : "";
  const start = "default" in schema ? `default ${JSON.stringify(schema.default)}` : null;
  return [what.join(" or "), bounds(schema, noun), start].filter(Boolean).join(", ");
}

function plural(reference) {
  const schema = resolve(reference);
  return schema.oneOf ? "objects" : `${[schema.type || "value"].flat()[0]}s`;
}

// A path of member names may be broken behind a dot.
function breakable(path) {
  return path.split(/(?<=\.)/).map((part) => [part, h("wbr")]);
}

function row(name, schema, note, place) {
  return h(
    "tr",
    {},
    h(
      "td",
      {},
      h("span", { class: "mono" }, breakable(name)),
      place && h("span", { class: "kind" }, place),
      note && h("span", { class: note }, place ? note : ` ${note}`),
    ),
    h("td", {}, h("span", { class: "kind" }, kind(schema)), prose(resolve(schema).description)),
  );
}

// The members, and theirs. What isn't `usual` is noted: in a request those that are required, in an
// answer those that are optional.
function rows(schema, prefix, usual) {
  return members(schema).flatMap((member) => {
    const whole = resolve(member.schema);
    const path = prefix + member.name;
    const inner = whole.items ? resolve(whole.items) : whole;
    const below = whole.items ? `${path}[].` : `${path}.`;
    const either = (inner.oneOf || []).filter((one) => one.$ref && resolve(one).type === "object");
    return [
      row(path, member.schema, member.required !== usual && (usual ? "optional" : "required")),
      either.length
        ? either.flatMap((one) => alternative(one, below, usual))
        : rows(inner, below, usual),
    ];
  });
}

function alternative(schema, prefix, usual) {
  const name = kind(members(schema)[0].schema).replaceAll('"', "").replaceAll(", ", " or ");
  return [
    h("tr", { class: "either" }, h("td", { colspan: 2 }, `${prefix.slice(0, -1)} of ${name}:`)),
    rows(schema, prefix, usual),
  ];
}

function table(list) {
  return present(list).length ? h("table", {}, h("tbody", {}, list)) : null;
}

// --- examples --------------------------------------------------------------------------------------

// What stands under one name in the operation's x-larder-examples, its request body and its answers.
function examplesOf(operation) {
  return Object.entries(operation["x-larder-examples"]).map(([name, raw]) => {
    const example = {
      name,
      summary: raw.summary,
      given: raw.given || [],
      target: raw.request.target,
      headers: { ...raw.request.headers },
      body: raw.request.body,
      status: raw.response.status,
      answerHeaders: raw.response.headers || {},
    };
    for (const [media, content] of Object.entries((operation.requestBody || {}).content || {})) {
      const source = (content.examples || {})[name];
      if (!source) continue;
      example.summary = example.summary || source.summary;
      example.body = media === "*/*" ? source.value : JSON.stringify(source.value);
      if (media !== "*/*") example.headers["Content-Type"] = media;
    }
    const response = resolve(operation.responses[example.status]);
    for (const [media, content] of Object.entries(response.content || {})) {
      const source = (content.examples || {})[name];
      if (!source) continue;
      example.summary = example.summary || source.summary;
      example.answer =
        typeof source.value === "string" ? source.value : JSON.stringify(source.value);
    }
    example.summary = example.summary || operation.summary;
    return example;
  });
}

function quote(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function curl(request) {
  const headers = request.headers || {};
  const method = request.method === "GET" ? "" : ` -X ${request.method}`;
  const parts = [`curl -i${method} ${quote(base + request.target.slice(1))}`];
  for (const [name, value] of Object.entries(headers))
    parts.push(`-H ${quote(`${name}: ${value}`)}`);
  // Without one given, curl and browsers make up a type.
  if (request.body && !headers["Content-Type"]) parts.push("-H 'Content-Type:'");
  if (request.body) parts.push(`--data-raw ${quote(request.body)}`);
  else if (request.method === "POST") parts.push("-H 'Content-Length: 0'");
  return parts.join(" \\\n  ");
}

function copied(pre) {
  const copy = async () => {
    getSelection().selectAllChildren(pre);
    // Only secure origins have a clipboard, and this service is mostly reached without TLS.
    const clipboard = navigator.clipboard || { writeText: () => Promise.reject() };
    await clipboard.writeText(pre.textContent).catch(() => document.execCommand("copy"));
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  };
  const button = h("button", { type: "button", click: copy }, "Copy");
  return h("div", { class: "copied" }, pre, button);
}

function statusLine(status, text) {
  return [h("strong", { class: `s${String(status)[0]}` }, `${status} ${text || ""}`.trim())];
}

// --- trying a request ------------------------------------------------------------------------------

// The fields of an operation's request, which an example fills in and the reader may change.
class Form {
  constructor(path, method, parameters, operation, changed) {
    this.path = path;
    this.method = method;
    this.fields = parameters.map((parameter) => ({
      place: parameter.in,
      name: parameter.name,
      input: h("input", {
        id: `${operation.operationId}.${parameter.name}`,
        autocomplete: "off",
        spellcheck: "false",
        autocapitalize: "none",
        required: Boolean(parameter.required),
        input: changed,
      }),
    }));
    if (operation.requestBody) {
      const add = (name, input) =>
        this.fields.push({ place: name === "Content-Type" ? "header" : "body", name, input });
      const id = operation.operationId;
      add(
        "Content-Type",
        h("input", { id: `${id}.type`, autocomplete: "off", spellcheck: "false", input: changed }),
      );
      add(
        "body",
        h("textarea", {
          id: `${id}.body`,
          spellcheck: "false",
          autocapitalize: "none",
          input: changed,
        }),
      );
    }
  }

  view() {
    return this.fields.map((field) =>
      h(
        "div",
        { class: field.place === "body" ? "field wide" : "field" },
        h("label", { for: field.input.id }, field.name),
        field.input,
      ),
    );
  }

  fill(example) {
    const [path, query] = example.target.split("?");
    const place = this.path.indexOf("{key}");
    const given = new URLSearchParams(query || "");
    for (const field of this.fields) {
      const header = Object.entries(example.headers).find(([name]) => name === field.name);
      if (field.place === "path") field.input.value = decodeURIComponent(path.slice(place));
      else if (field.place === "query") field.input.value = given.get(field.name) || "";
      else if (field.place === "header") field.input.value = header ? header[1] : "";
      else field.input.value = example.body || "";
    }
    this.extra = Object.fromEntries(
      Object.entries(example.headers).filter(
        ([name]) => !this.fields.some((field) => field.name === name),
      ),
    );
    this.target = example.target;
    this.pristine = true;
  }

  request() {
    const at = (place) => this.fields.filter((field) => field.place === place);
    const encode = (text) =>
      encodeURIComponent(text).replace(/%(2F|3A|40|2C)/g, decodeURIComponent);
    const key = at("path").map((field) => encode(field.input.value))[0];
    const query = at("query")
      .filter((field) => field.input.value !== "")
      .map((field) => `${field.name}=${encode(field.input.value)}`)
      .join("&");
    const headers = { ...this.extra };
    for (const field of at("header"))
      if (field.input.value !== "") headers[field.name] = field.input.value;
    const body = at("body").map((field) => field.input.value)[0];
    const target = this.path.replace("{key}", () => key) + (query ? `?${query}` : "");
    // An example may show a target that no form makes.
    return { method: this.method, target: this.pristine ? this.target : target, headers, body };
  }
}

function show(place, ...children) {
  place.replaceChildren(...present(children));
}

function make(request) {
  return fetch(base + request.target.slice(1), {
    method: request.method,
    headers: request.headers,
    body: request.body ? new Blob([request.body]) : undefined,
    cache: "no-store",
    redirect: "manual",
  });
}

// Makes the requests that come first, then the one whose answer is shown.
async function send(before, request, place) {
  try {
    for (const one of before) await make(one);
    const started = performance.now();
    const answer = await make(request);
    const bytes = await answer.blob();
    const taken = performance.now() - started;
    const readable = /^text\/|json|xml/.test(bytes.type);
    const text = readable ? pretty(await bytes.text()) : `${bytes.size} bytes`;
    const head = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    show(
      place,
      h(
        "p",
        {},
        statusLine(answer.status, answer.statusText),
        h("span", { class: "soft" }, ` in ${taken.toFixed(taken < 10 ? 1 : 0)} ms`),
      ),
      h("pre", {}, h("span", { class: "head" }, head), bytes.size ? ["\n\n", text] : ""),
    );
  } catch (error) {
    show(place, h("p", { class: "s4" }, `The request was not answered: ${error.message}`));
  }
}

// --- an operation ----------------------------------------------------------------------------------

function givenView(given) {
  if (!given.length) return null;
  const words = given.filter((one) => typeof one === "string" && !one.startsWith("redis-cli"));
  const lines = given
    .filter((one) => !words.includes(one))
    .map((one) => (typeof one === "string" ? one : curl(one).replace("curl -i", "curl")));
  return [
    words.map((word) => h("p", { class: "soft" }, "Given: ", h("code", {}, word))),
    lines.length ? [h("h4", {}, "First"), copied(h("pre", {}, lines.join("\n")))] : null,
  ];
}

function exampleView(path, method, parameters, operation) {
  const examples = examplesOf(operation);
  const command = h("pre", {});
  const before = h("div", {});
  const after = h("div", {});
  const seen = h("div", { "aria-live": "polite" });
  const refresh = () => (command.textContent = curl(form.request()));
  const form = new Form(path, method, parameters, operation, () => {
    form.pristine = false;
    refresh();
  });
  const first = h("input", { id: `${operation.operationId}.first`, type: "checkbox" });
  const offer = h("label", { class: "first" }, first, " make the requests above first");
  let given = [];
  const choose = (example) => {
    form.fill(example);
    given = example.given.filter((one) => typeof one !== "string");
    offer.hidden = !given.length;
    first.checked = false;
    refresh();
    show(seen);
    show(before, givenView(example.given));
    const head = Object.entries(example.answerHeaders)
      .map(([name, value]) => `${name}: ${value}`)
      .join("\n");
    show(
      after,
      h("h4", {}, "Answer"),
      h(
        "pre",
        {},
        statusLine(example.status),
        head ? ["\n", h("span", { class: "head" }, head)] : "",
        example.answer ? ["\n\n", pretty(example.answer)] : "",
      ),
    );
  };
  const option = (example) =>
    h("option", { value: example.name }, `${example.status}  ${example.summary}`);
  const select = h(
    "select",
    {
      "aria-label": "Example",
      change: () => choose(examples.find((example) => example.name === select.value)),
    },
    examples.map(option),
  );
  const run = (event) => {
    event.preventDefault();
    const all = operation.operationId === "cache_clear" && !form.request().target.includes("?");
    if (!all || confirm("Delete every entry?"))
      send(first.checked ? given : [], form.request(), seen);
  };
  const attempt = h(
    "form",
    {
      submit: run,
      keydown: (event) =>
        event.key === "Enter" && (event.ctrlKey || event.metaKey) && attempt.requestSubmit(),
    },
    form.view(),
    h("div", { class: `send ${method}` }, h("button", { type: "submit" }, "Send"), offer),
    seen,
  );
  choose(examples[0]);
  return [
    h("h3", {}, "Example"),
    select,
    before,
    h("h4", {}, "Request"),
    copied(command),
    after,
    h("details", { class: "try" }, h("summary", {}, "Try it"), attempt),
  ];
}

function answerView([status, reference]) {
  const response = resolve(reference);
  const headers = Object.entries(response.headers || {}).map(([name, header]) =>
    h(
      "tr",
      {},
      h("td", {}, h("span", { class: "mono" }, name)),
      h("td", {}, prose(resolve(header).description)),
    ),
  );
  const content = Object.entries(response.content || {}).map(([media, { schema }]) => {
    const types =
      media === "application/problem+json" && ((schema.properties || {}).type || {}).enum;
    return [
      h("h4", {}, media),
      types
        ? h(
            "ul",
            { class: "types" },
            types.map((type) => h("li", {}, errorLink(type))),
          )
        : table(rows(schema, "", true)) || prose(resolve(schema).description),
    ];
  });
  const code = status === "default" ? "else" : status;
  return h(
    "details",
    { class: "answer" },
    h(
      "summary",
      {},
      h("span", { class: `status s${status[0]}` }, code),
      h("span", {}, inline(response.description)),
    ),
    h("div", {}, content, headers.length ? [h("h4", {}, "Header fields"), table(headers)] : null),
  );
}

function errorLink(type) {
  const slug = type.replace("/errors/", "");
  return h("a", { class: "mono", href: `#error-${slug}` }, slug);
}

function bodyView(body) {
  const media = Object.keys(body.content);
  const schema = body.content[media[0]].schema;
  return [
    h("h3", {}, "Body"),
    h("p", { class: "soft" }, inline(media.map((type) => `\`${type}\``).join(" or "))),
    prose(body.description),
    prose(resolve(schema).description),
    table(rows(schema, "", false)),
  ];
}

function operationView(path, method, shared, operation) {
  const parameters = [...shared, ...(operation.parameters || [])].map(resolve);
  const body = h("div", { class: "body" });
  // Made when it is first looked at: the page is there sooner.
  const fill = () =>
    body.childNodes.length ||
    body.append(
      ...prose(operation.description),
      h(
        "div",
        { class: "columns" },
        h(
          "div",
          { class: "left" },
          parameters.length
            ? [
                h("h3", {}, "Parameters"),
                table(
                  parameters.map((one) =>
                    row(
                      one.name,
                      { ...resolve(one.schema), description: one.description },
                      one.required && "required",
                      `in the ${one.in}`,
                    ),
                  ),
                ),
              ]
            : null,
          operation.requestBody ? bodyView(operation.requestBody) : null,
          h("h3", {}, "Answers"),
          Object.entries(operation.responses).map(answerView),
        ),
        h("div", { class: "right" }, exampleView(path, method, parameters, operation)),
      ),
    );
  const details = h(
    "details",
    { class: "operation", id: operation.operationId, toggle: () => details.open && fill() },
    h(
      "summary",
      {
        class: method,
        click: () => details.open || history.replaceState(null, "", `#${operation.operationId}`),
      },
      h("span", { class: "method" }, method),
      h("span", { class: "path" }, path),
      h("span", {}, operation.summary),
    ),
    body,
  );
  const words = [
    method,
    path,
    operation.operationId,
    operation.summary,
    operation.description,
    ...parameters.map((one) => one.name),
  ]
    .join(" ")
    .toLowerCase();
  return {
    details,
    words,
    link: h(
      "li",
      {},
      h(
        "a",
        { href: `#${operation.operationId}`, class: method },
        h("span", { class: "method" }, method),
        h("span", {}, path),
      ),
    ),
  };
}

// --- the page --------------------------------------------------------------------------------------

function errorsView() {
  const types = root.components.schemas.ProblemType.oneOf;
  return h(
    "section",
    {},
    h("h2", { id: "errors" }, "Errors"),
    prose(root.components.schemas.ProblemType.description),
    h(
      "table",
      { class: "errors" },
      h(
        "tbody",
        {},
        types.map((type) => {
          const slug = type.const.replace("/errors/", "");
          return h(
            "tr",
            { id: `error-${slug}` },
            h("td", {}, h("span", { class: "mono" }, slug)),
            h("td", {}, h("span", { class: `mono s${type.title[0]}` }, type.title)),
            h("td", {}, prose(type.description)),
          );
        }),
      ),
    ),
  );
}

function filter(groups) {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const group of groups) {
    for (const one of group.operations)
      one.details.hidden = one.link.hidden = !words.every((word) => one.words.includes(word));
    group.section.hidden = group.list.hidden = group.operations.every((one) => one.details.hidden);
  }
}

function follow() {
  const target = byId(decodeURIComponent(location.hash.slice(1)));
  document.querySelectorAll(".at").forEach((one) => one.classList.remove("at"));
  if (!target) return;
  target.classList.add("at");
  if (target.tagName === "DETAILS") {
    target.open = true;
    target.hidden = target.parentElement.hidden = false;
    target.dispatchEvent(new Event("toggle"));
    target.querySelector("summary").focus({ preventScroll: true });
  }
  target.scrollIntoView();
}

function groupsOf() {
  const all = Object.entries(root.paths).flatMap(([path, item]) =>
    Object.entries(item)
      .filter(([method]) => method !== "parameters")
      .map(([method, operation]) => ({
        tag: operation.tags[0],
        ...operationView(path, method.toUpperCase(), item.parameters || [], operation),
      })),
  );
  return root.tags.map((tag) => {
    const operations = all.filter((one) => one.tag === tag.name);
    return {
      operations,
      section: h(
        "section",
        {},
        h("h2", {}, tag.name),
        prose(tag.description),
        operations.map((one) => one.details),
      ),
      list: h(
        "div",
        {},
        h("h2", {}, tag.name),
        h(
          "ul",
          {},
          operations.map((one) => one.link),
        ),
      ),
    };
  });
}

function keys(event) {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    byId("search").focus();
  }
}

async function start() {
  const answer = await fetch(`${base}openapi.json`);
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  root = await answer.json();
  const groups = groupsOf();
  byId("version").textContent = root.info.version;
  byId("toc").append(
    ...groups.map((group) => group.list),
    h("h2", {}, "More"),
    h(
      "ul",
      {},
      h("li", {}, h("a", { href: "#errors" }, "Errors")),
      h("li", {}, h("a", { href: "openapi.json" }, "openapi.json")),
    ),
  );
  byId("loading").replaceWith(
    h("h1", { id: "top" }, root.info.summary),
    ...prose(root.info.description),
    ...groups.map((group) => group.section),
    errorsView(),
  );
  byId("search").addEventListener("input", () => filter(groups));
  document.addEventListener("keydown", keys);
  addEventListener("hashchange", follow);
  follow();
}

start().catch(
  (error) => (byId("loading").textContent = `openapi.json can't be read: ${error.message}`),
);
