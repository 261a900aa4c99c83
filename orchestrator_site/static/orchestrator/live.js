// Parts of pages that renew themselves ([data-live]: seconds), and times that tell how long ago.
// How a page uses it is told at the head of orchestrator_site/dashboard/live.py.
(() => {
  "use strict";
  const KEY = "orchestrator.live";
  const tags = new Map(); // the ETag of what each part shows, by its address
  const asked = new Map(); // when each part was asked for last, by its id
  const begun = Date.now(); // the page itself has just been read
  let lost = false;

  const isOn = () => localStorage.getItem(KEY) !== "off";
  const parts = () => document.querySelectorAll("[data-live]");
  const isLive = (element) => element instanceof Element && element.matches("[data-live]");

  // --- Asking --------------------------------------------------------------------------------
  function ask(part) {
    asked.set(part.id, Date.now());
    window.htmx.trigger(part, "live");
  }

  function tick() {
    tellAges(document);
    if (!isOn() || document.visibilityState !== "visible") return;
    for (const part of parts()) {
      const every = Number(part.dataset.live) * 1000 * (lost ? 3 : 1);
      if (Date.now() - (asked.get(part.id) ?? begun) >= every) ask(part);
    }
  }

  function isBeingSelected(part) {
    const selection = document.getSelection();
    return selection && selection.type === "Range" && part.contains(selection.anchorNode);
  }

  document.addEventListener("htmx:configRequest", (event) => {
    const tag = isLive(event.target) && tags.get(event.detail.path);
    if (tag) event.detail.headers["If-None-Match"] = tag;
  });

  let focused = null; // where the keyboard was, in the part that is being swapped
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, target, pathInfo } = event.detail;
    if (!isLive(target)) return;
    if (xhr.status === 304 || isBeingSelected(target)) {
      event.detail.shouldSwap = false;
      return;
    }
    const tag = xhr.getResponseHeader("ETag");
    if (tag && xhr.status === 200) tags.set(pathInfo.requestPath, tag);
    const here = document.activeElement;
    focused = target.contains(here) ? { part: target.id, mark: markOf(here) } : null;
  });

  function markOf(element) {
    const same = [...document.querySelectorAll(nameOf(element))];
    return { name: nameOf(element), place: same.indexOf(element) };
  }

  function nameOf(element) {
    if (element.id) return `#${CSS.escape(element.id)}`;
    const href = element.getAttribute("href");
    return href ? `a[href="${CSS.escape(href)}"]` : element.localName;
  }

  document.addEventListener("htmx:afterSettle", () => {
    if (focused) document.querySelectorAll(focused.mark.name)[focused.mark.place]?.focus();
    focused = null;
    show();
    tellAges(document);
  });

  document.addEventListener("htmx:afterRequest", (event) => {
    if (!isLive(event.detail.elt)) return;
    const status = event.detail.xhr?.status ?? 0;
    lost = !(status === 304 || (status >= 200 && status < 300));
    show();
  });

  // --- The switch ----------------------------------------------------------------------------
  function show() {
    for (const button of document.querySelectorAll("[data-live-switch]")) {
      button.hidden = false;
      button.setAttribute("aria-pressed", String(isOn()));
      button.querySelector("[data-live-on]").hidden = !isOn();
      button.querySelector("[data-live-off]").hidden = isOn();
    }
    for (const link of document.querySelectorAll("[data-live-refresh]")) link.hidden = isOn() && !lost;
    for (const mark of document.querySelectorAll("[data-live-lost]")) mark.hidden = !lost;
  }

  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element) || !event.target.closest("[data-live-switch]")) return;
    localStorage.setItem(KEY, isOn() ? "off" : "on");
    show();
    if (isOn()) parts().forEach(ask);
  });

  document.addEventListener("visibilitychange", tick);

  // --- Times ---------------------------------------------------------------------------------
  const language = document.documentElement.lang || "en";
  const exact = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "long" });
  const ago = new Intl.RelativeTimeFormat(language, { style: "short" });
  const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

  function tellAges(within) {
    for (const time of within.querySelectorAll("time[data-age]")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      if (!time.title) time.title = exact.format(at);
      const text = distance((at.getTime() - Date.now()) / 1000);
      if (time.textContent !== text) time.textContent = text;
    }
  }

  // In seconds; the host's clock and the reader's differ a little: nothing was in the future.
  function distance(seconds) {
    const size = Math.abs(seconds);
    const [unit, length] = UNITS.find(([, one]) => size >= 2 * one) ?? UNITS.at(-1);
    return ago.format(Math.trunc(seconds / length), unit);
  }

  show();
  tellAges(document);
  setInterval(tick, 1000);
})();
