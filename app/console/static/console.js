// Draws the charts of a page, and of the parts that come after it: elements with `data-values`, as Chart.values has it.
(() => {
  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const axis = (more) => ({ stroke: token("--faint"), grid: line(), ticks: line(), ...more });

  const line = () => ({ stroke: token("--line"), width: 1 });

  // A time of day; at midnight the day.
  const clock = (seconds) => {
    const [day, time] = new Date(seconds * 1000).toISOString().split("T");
    return time.startsWith("00:00") ? day.slice(5) : time.slice(0, 5);
  };

  const draw = (place) => {
    const { x, lines } = JSON.parse(place.dataset.values);
    const width = () => place.clientWidth - 24;
    const options = {
      width: width(),
      height: 220,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: { y: { range: (_chart, _least, most) => [0, Math.max(1, most) * 1.1] } },
      axes: [axis({ values: (_chart, splits) => splits.map(clock) }), axis({ size: 60 })],
      series: [
        { label: "UTC", value: (_chart, at) => (at == null ? "–" : new Date(at * 1000).toISOString().slice(0, 16).replace("T", " ")) },
        ...lines.map(({ label }, n) => ({
          label,
          stroke: token(`--series-${(n % 4) + 1}`),
          width: 2,
          dash: [[], [6, 4], [2, 3], [8, 3, 2, 3]][n % 4], // told apart without colours, too
          points: { show: false },
        })),
      ],
    };
    const chart = new uPlot(options, [x, ...lines.map(({ values }) => values)], place);
    new ResizeObserver(() => chart.setSize({ width: width(), height: 220 })).observe(place);
  };

  const look = (root) => {
    const places = root.matches?.("[data-values]") ? [root] : root.querySelectorAll("[data-values]");
    for (const place of places) if (!place.firstChild) draw(place);
  };

  document.addEventListener("DOMContentLoaded", () => look(document));
  document.addEventListener("htmx:load", (event) => look(event.detail.elt));
})();
