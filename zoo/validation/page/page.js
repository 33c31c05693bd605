// Tells the column of a plot that is pointed at, tapped or reached by the arrow keys.
const chosen = new Map();

function tell(column) {
  const figure = column.closest("figure");
  const readout = figure.querySelector(".readout");
  readout.dataset.worst ??= readout.textContent;
  chosen.get(figure)?.classList.remove("chosen");
  column.classList.add("chosen");
  chosen.set(figure, column);
  readout.textContent = column.textContent;
}

function forget(figure) {
  const readout = figure.querySelector(".readout");
  chosen.get(figure)?.classList.remove("chosen");
  chosen.delete(figure);
  readout.textContent = readout.dataset.worst ?? readout.textContent;
}

for (const svg of document.querySelectorAll("figure svg")) {
  const figure = svg.closest("figure");
  const columns = [...svg.querySelectorAll("rect")];
  const meet = (event) => event.target.closest("rect") && tell(event.target.closest("rect"));
  svg.addEventListener("pointerover", meet);
  svg.addEventListener("click", meet);
  svg.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && forget(figure));
  svg.addEventListener("blur", () => forget(figure));
  svg.addEventListener("keydown", (event) => {
    const at = columns.indexOf(chosen.get(figure));
    const last = columns.length - 1;
    const next = { ArrowLeft: at < 0 ? last : at - 1, ArrowRight: at + 1, Home: 0, End: last }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    tell(columns[Math.max(0, Math.min(last, next))]);
  });
}
