/* The value under the pointer is shown below the picture; the arrow keys go from one point to the next. */
"use strict";
for (const figure of document.querySelectorAll("figure")) {
  const output = figure.querySelector("output");
  for (const chart of figure.querySelectorAll("svg.chart")) {
    const hits = [...chart.querySelectorAll(".hit")];
    if (!output || !hits.length) continue;
    let at = -1;
    const point = (number) => {
      if (at >= 0) hits[at].classList.remove("on");
      at = number;
      if (at < 0) { output.textContent = ""; return; }
      hits[at].classList.add("on");
      output.textContent = hits[at].dataset.say;
    };
    const stay = () => {
      const box = hits[at].getBoundingClientRect(), pane = chart.closest(".scroll");
      if (box.top < 0 || box.bottom > innerHeight) hits[at].scrollIntoView({ block: "center" });
      if (pane && box.width < pane.clientWidth) hits[at].scrollIntoView({ block: "nearest", inline: "nearest" });
    };
    chart.addEventListener("pointermove", (event) => {
      const number = hits.indexOf(event.target.closest(".hit"));
      if (number >= 0 && number !== at) point(number);
    });
    chart.addEventListener("pointerleave", () => { if (document.activeElement !== chart) point(-1); });
    chart.addEventListener("focus", () => { if (at < 0) point(0); });
    chart.addEventListener("blur", () => point(-1));
    chart.addEventListener("keydown", (event) => {
      const last = hits.length - 1;
      const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: last }[event.key];
      if (event.key === "Escape") { chart.blur(); return; }
      if (to === undefined) return;
      event.preventDefault();
      point(Math.min(Math.max(to, 0), last));
      stay();
    });
  }
}
