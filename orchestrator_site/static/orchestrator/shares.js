// The shares' sums while somebody types. The server checks them again.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("shares");
  const save = document.getElementById("save");
  const show = (element, count) => {
    element.hidden = !count;
    element.querySelector("i").textContent = count;
  };
  const add = (row) => {
    const cells = [...row.querySelectorAll("input")];
    for (const cell of cells) {
      cell.parentElement.querySelector(".now").hidden = cell.value === cell.dataset.now;
    }
    const total = cells.reduce((sum, cell) => sum + (Number(cell.value) || 0), 0);
    const sum = row.querySelector(".sum");
    sum.querySelector("b").textContent = total;
    sum.classList.toggle("wrong", total !== 100);
    show(sum.querySelector(".missing"), Math.max(100 - total, 0));
    show(sum.querySelector(".excess"), Math.max(total - 100, 0));
    return total === 100 && cells.every((cell) => cell.checkValidity());
  };
  const refresh = () => {
    const fits = [...form.querySelectorAll(".share-grid tbody tr")].map(add);
    if (save) save.disabled = !fits.every(Boolean);
  };
  form.addEventListener("input", refresh);
  refresh();
});
