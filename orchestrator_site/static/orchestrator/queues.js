// Selecting on the queue pages. A part with selected rows is not swapped under the reader's hands.
(() => {
  "use strict";
  const boxes = (form) => form.querySelectorAll('input[name="_selected_action"]');

  const show = () => {
    for (const all of document.querySelectorAll("[data-select-all]")) all.hidden = false;
  };

  document.addEventListener("change", (event) => {
    if (!(event.target instanceof Element) || !event.target.matches("[data-select-all]")) return;
    for (const one of boxes(event.target.form)) one.checked = event.target.checked;
  });

  document.addEventListener("htmx:beforeSwap", (event) => {
    const part = event.detail.target;
    if (!(part instanceof Element) || part.id !== "queue") return;
    const isSelecting = part.querySelector('input[name="_selected_action"]:checked');
    const isChoosing = document.activeElement?.matches("#queue select");
    if (isSelecting || isChoosing) event.detail.shouldSwap = false;
  });

  document.addEventListener("htmx:afterSettle", show);
  show();
})();
