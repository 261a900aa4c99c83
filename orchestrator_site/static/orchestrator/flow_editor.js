// The steps of a flow as rows. What is sent stays the JSON of the text area, and the server checks
// it: here nothing is judged. A value changes only where somebody changes it.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const area = document.getElementById("id_steps");
  const preview = document.getElementById("flow-preview");
  const { verbs, errors, parsers, longest, flags, words } = JSON.parse(
    document.getElementById("flow-vocabulary").textContent
  );
  const kept = new WeakMap(); // of a step: what it said under other verbs
  let steps = [];
  let wrong = {};
  let asked = null;
  let waiting = 0;

  const make = (tag, { on = {}, data = {}, ...set } = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), set);
    Object.assign(element.dataset, data);
    for (const [name, act] of Object.entries(on)) element.addEventListener(name, act);
    element.append(...children);
    return element;
  };
  const icon = (name) => make("span", { className: "material-symbols-outlined", ariaHidden: "true" }, name);
  const word = (name, n) => words[name].replace("%(n)s", n);
  const choice = (options, value, change, label) =>
    make(
      "select",
      { ariaLabel: label, on: { change: (event) => change(event.target.value) } },
      ...options.map((one) => make("option", { value: one, selected: one === value }, one || "-"))
    );

  // --- What is sent -------------------------------------------------------------------------------

  const isStep = (one) => one !== null && typeof one === "object" && !Array.isArray(one);
  const read = () => {
    try {
      const found = JSON.parse(area.value.trim() || "[]");
      return Array.isArray(found) && found.every(isStep) ? found : null;
    } catch {
      return null;
    }
  };
  const write = () => {
    area.value = JSON.stringify(steps, null, 2);
    area.dispatchEvent(new Event("change", { bubbles: true }));
    ask();
  };
  const set = (step, key, value) => {
    if (value === undefined) delete step[key];
    else step[key] = value;
    write();
  };

  // --- One step -----------------------------------------------------------------------------------

  const keysOf = (verb) => [...verb.required, ...verb.one_of, ...verb.optional];
  const fact = (key, input, note = "") =>
    make("label", { className: "fact" }, make("span", {}, note ? `${key} (${note})` : key), input);
  const shown = (value) => (typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value));
  const partsOf = (text) =>
    Object.fromEntries(
      text.split("\n").filter((line) => line.trim()).map((line) => {
        const at = line.indexOf("=");
        return at < 0 ? [line.trim(), ""] : [line.slice(0, at).trim(), line.slice(at + 1).trim()];
      })
    );

  const input = (step, key, needed) => {
    const value = step[key];
    const keep = (text) => set(step, key, text === "" && !needed ? undefined : text);
    const typed = { on: { input: (event) => keep(event.target.value) }, spellcheck: false, autocomplete: "off" };
    if (key === "error") return choice(["", ...errors], shown(value), keep, key);
    if (key === "parser") return choice(["", ...parsers], shown(value), keep, key);
    if (key === "timeout") {
      const count = (event) => set(step, key, event.target.value === "" ? undefined : event.target.valueAsNumber);
      return make("input", { type: "number", min: 0, max: longest, step: "any", value: shown(value), on: { input: count } });
    }
    if (key === "parts") {
      const lines = isStep(value) ? Object.entries(value).map((one) => one.map(shown).join(" = ")) : [];
      const part = (event) => set(step, key, partsOf(event.target.value));
      return make("textarea", { className: "code", rows: Math.max(3, lines.length), value: lines.join("\n"), spellcheck: false, on: { input: part } });
    }
    const text = shown(value);
    if (text.includes("\n")) return make("textarea", { className: "code", rows: 3, value: text, ...typed });
    return make("input", { type: "text", className: key === "message" ? "" : "code", value: text, ...typed });
  };

  const either = (step, keys) => {
    const now = keys.find((key) => key in step) || keys[0];
    const swap = (key) => {
      const value = step[now] ?? "";
      delete step[now];
      step[key] = value;
      write();
      draw(steps.indexOf(step), ".either select");
    };
    const box = input(step, now, true);
    box.ariaLabel = now;
    return make("div", { className: "fact either" }, choice(keys, now, swap, words.on), box);
  };

  const flag = (step, key) =>
    make(
      "label",
      {},
      make("input", {
        type: "checkbox",
        checked: step[key] === true,
        on: {
          change: (event) => {
            set(step, key, event.target.checked ? true : undefined);
            event.target.closest(".step").classList.toggle("sends", step.irrevocable === true);
          },
        },
      }),
      flags[key],
      make("code", {}, key)
    );

  const unknown = (step, known) =>
    Object.keys(step)
      .filter((key) => !known.includes(key))
      .map((key) =>
        make(
          "button",
          {
            type: "button",
            className: "button quiet",
            title: words.remove,
            on: { click: () => (set(step, key, undefined), draw(steps.indexOf(step), ".head select")) },
          },
          make("code", {}, `${key}: ${JSON.stringify(step[key])}`),
          ` ${words.unknown} `,
          icon("close")
        )
      );

  const become = (index, name) => {
    const old = steps[index];
    const all = { ...kept.get(old), ...old, do: name };
    const verb = verbs[name];
    const known = ["do", ...keysOf(verb), ...verb.flags, "error", "message", "timeout", "optional"];
    const chosen = verb.one_of.find((key) => key in all) || verb.one_of[0];
    const left = verb.one_of.filter((key) => key !== chosen);
    const step = Object.fromEntries(
      Object.entries(all).filter(([key]) => known.includes(key) && !left.includes(key))
    );
    for (const key of [...verb.required, ...(chosen ? [chosen] : [])]) step[key] ??= key === "parts" ? {} : "";
    kept.set(step, all);
    steps[index] = step;
    write();
    draw(index, ".head select");
  };

  const button = (name, symbol, act, more = {}) =>
    make("button", { type: "button", className: "button quiet", title: words[name], ariaLabel: words[name], on: { click: act }, ...more }, icon(symbol));

  const row = (step, index) => {
    const verb = verbs[step.do] ?? { required: [], one_of: [], flags: [], optional: [] };
    const others = ["error", "message", "timeout"];
    const known = ["do", ...keysOf(verb), ...verb.flags, ...others, "optional"];
    const names = step.do in verbs ? Object.keys(verbs) : [shown(step.do), ...Object.keys(verbs)];
    const facts = [
      ...verb.required.map((key) => fact(key, input(step, key, true), key === "parts" ? words.parts : "")),
      ...(verb.one_of.length ? [either(step, verb.one_of)] : []),
      ...verb.optional.map((key) => fact(key, input(step, key, false))),
    ];
    const rest = unknown(step, known);
    return make(
      "li",
      { className: step.irrevocable === true ? "step sends" : "step", role: "group", ariaLabel: word("step", index + 1) },
      make(
        "div",
        { className: "head" },
        make("span", { className: "number" }, `${index + 1}`),
        choice(names, shown(step.do), (name) => become(index, name), words.does),
        make(
          "span",
          { className: "moves" },
          button("up", "arrow_upward", () => move(index, -1), { disabled: index === 0, data: { does: "up" } }),
          button("down", "arrow_downward", () => move(index, 1), { disabled: index === steps.length - 1, data: { does: "down" } }),
          button("below", "add", () => add(index + 1)),
          button("remove", "delete", () => remove(index), { className: "button quiet take" })
        )
      ),
      make("ul", { className: "problems" }),
      make("div", { className: "facts" }, ...facts),
      ...(verb.flags.length ? [make("div", { className: "flags" }, ...verb.flags.map((key) => flag(step, key)))] : []),
      ...(rest.length ? [make("div", { className: "unknown" }, ...rest)] : []),
      make(
        "details",
        { open: [...others, "optional"].some((key) => key in step) },
        make("summary", {}, words.more),
        make("div", { className: "facts" }, ...others.map((key) => fact(key, input(step, key, false), key === "timeout" ? words.seconds : ""))),
        make("div", { className: "flags" }, flag(step, "optional"))
      )
    );
  };

  // --- All of them --------------------------------------------------------------------------------

  const list = make("ol", { className: "steps" });
  const told = make("span", { className: "quiet-text", role: "status" });
  const adding = make("button", { type: "button", className: "button quiet", on: { click: () => add(steps.length) } }, icon("add"), words.add);
  const turn = make("button", { type: "button", className: "button quiet", on: { click: () => show(!area.hidden) } });
  const box = make("div", { className: "editor" }, list, make("div", { className: "below" }, adding, turn, told));

  const draw = (index, where) => {
    list.replaceChildren(...steps.map(row));
    mark();
    if (index !== undefined) list.children[index]?.querySelector(where)?.focus();
  };
  const add = (index) => {
    steps.splice(index, 0, {});
    wrong = {};
    become(index, steps.length === 1 ? "navigate" : "click");
  };
  const remove = (index) => {
    steps.splice(index, 1);
    wrong = {};
    write();
    draw(Math.min(index, steps.length - 1), ".head select");
    if (!steps.length) adding.focus();
    told.textContent = word("removed", index + 1);
  };
  const move = (index, by) => {
    const to = index + by;
    [steps[index], steps[to]] = [steps[to], steps[index]];
    wrong = {};
    write();
    const same = `[data-does="${by < 0 ? "up" : "down"}"]`;
    const isAtEnd = to === 0 || to === steps.length - 1;
    draw(to, isAtEnd ? `[data-does]:not(:disabled)` : same);
    told.textContent = word("moved", index + 1);
  };
  // As rows, or as JSON where that cannot be rows.
  const show = (isForm) => {
    const found = isForm ? read() : null;
    told.textContent = isForm && !found ? words.broken : "";
    steps = found ?? steps;
    area.hidden = Boolean(found);
    list.hidden = adding.hidden = !found;
    turn.textContent = found ? words.json : words.form;
    if (found) draw();
    else area.focus();
  };

  // --- What the server says -----------------------------------------------------------------------

  const mark = () => {
    [...list.children].forEach((item, index) => {
      const found = wrong[index + 1] ?? [];
      item.classList.toggle("wrong", found.length > 0);
      item.querySelector(".problems").replaceChildren(...found.map((text) => make("li", {}, text)));
    });
  };
  const verdict = (name, tone) => {
    const state = make("span", { className: `state state-${tone}` }, words[name]);
    preview.querySelector(".verdict").replaceChildren(state);
    preview.querySelector(".verdict").classList.toggle("old", name === "silent");
  };
  const look = async () => {
    asked?.abort();
    const mine = (asked = new AbortController());
    try {
      const answer = await fetch(preview.dataset.url, {
        method: "POST",
        body: new FormData(area.form),
        signal: mine.signal,
        redirect: "error",
      });
      if (!answer.ok) throw new Error(answer.status);
      const found = await answer.json();
      wrong = found.steps;
      mark();
      const general = area.hidden ? [] : Object.entries(found.steps).flatMap(([n, texts]) => texts.map((text) => `${word("step", n)}: ${text}`));
      const others = [...found.others, ...general];
      preview.querySelector(".others").replaceChildren(...others.map((text) => make("li", {}, text)));
      preview.querySelector("pre").textContent = found.script;
      preview.querySelector(".hash code").textContent = found.hash;
      const isGood = !others.length && !Object.keys(found.steps).length;
      verdict(isGood ? "good" : "wrong", isGood ? "ok" : "bad");
    } catch (error) {
      if (!mine.signal.aborted) verdict("silent", "warn");
    }
  };
  const ask = () => {
    clearTimeout(waiting);
    waiting = setTimeout(look, 300);
  };

  // Enter in a step's field would save the form.
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("input")) event.preventDefault();
  });
  area.after(box);
  preview.hidden = false;
  area.form.addEventListener("input", ask);
  area.form.addEventListener("change", ask);
  // What the autocomplete chooses is told by jQuery alone.
  window.django?.jQuery?.(area.form).on("change", "select", ask);
  show(true);
  look();
});
