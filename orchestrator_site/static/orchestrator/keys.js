// Keys for lists: "/" searches, j and k or the arrows go over the rows, x chooses, Enter opens,
// "?" shows them. Off while somebody types, in dialogs and in menus. All works without it.
(() => {
  const TYPED = "input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]";
  const OWN_ARROWS = `${TYPED}, [role=listbox], [role=menu], [role=tablist], [role=radiogroup], [role=log], video, audio, summary`;
  const WORDS = document.getElementById("keys-told");
  const rows = () => [...document.querySelectorAll("#result_list .data-row, table[data-rows] tbody tr")];
  let at = null;

  const go = (step) => {
    const all = rows();
    if (!all.length) return false;
    const now = all.indexOf(at);
    const next = all[Math.min(Math.max(now + step, 0), all.length - 1)];
    at?.classList.remove("at");
    at = next;
    at.classList.add("at");
    at.tabIndex = -1;
    at.focus({ preventScroll: true });
    at.scrollIntoView({ block: "nearest" });
    return true;
  };

  const choose = () => {
    const box = at?.querySelector("input.action-select, input[type=checkbox]");
    box?.click();
    return Boolean(box);
  };

  const open = () => {
    const way = at?.querySelector("th a[href], td a[href]");
    way?.click();
    return Boolean(way);
  };

  const search = () => {
    const box = document.getElementById("searchbar") ?? document.querySelector("main input[type=search]");
    box?.focus();
    box?.select();
    return Boolean(box);
  };

  const show = () => {
    if (!WORDS) return false;
    WORDS.open ? WORDS.close() : WORDS.showModal();
    return true;
  };

  const ACTS = {
    j: () => go(1), k: () => go(-1), x: choose, "/": search, "?": show,
    ArrowDown: () => go(1), ArrowUp: () => go(-1), Enter: open,
  };

  document.addEventListener("keydown", (event) => {
    const { key, target } = event;
    const act = ACTS[key];
    if (!act || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const isArrow = key.startsWith("Arrow");
    if (target.closest?.(isArrow ? OWN_ARROWS : TYPED)) return;
    if (document.querySelector("dialog[open]") && key !== "?") return;
    // The arrows scroll the page and Enter follows a link, until somebody has begun with the rows.
    if ((isArrow || key === "Enter") && (!at || target !== at)) return;
    if (act()) event.preventDefault();
  });
})();
