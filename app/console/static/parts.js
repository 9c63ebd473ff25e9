// Parts of a page that come again by themselves (htmx): what somebody does in one of them goes on.
(() => {
  // A form that somebody has opened stays as it is, and the part as old as it is, until it is closed or sent.
  const isInUse = (part) => part.querySelector("details[open] form") !== null;

  const STOPS = "a[href], button, input, select, textarea, summary, [tabindex]";
  const stops = (part) => [...part.querySelectorAll(STOPS)];
  const name = (details) => details.querySelector("summary")?.textContent;

  // Of a part that is about to come: the names of what is open, and the place of what has the focus.
  const kept = new WeakMap();

  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    const part = detail.target;
    if (isInUse(part)) {
      detail.shouldSwap = false;
      return;
    }
    const open = new Set([...part.querySelectorAll("details[open]")].map(name));
    kept.set(part, { open, at: stops(part).indexOf(document.activeElement) });
  });

  document.addEventListener("htmx:afterSwap", ({ detail }) => {
    const { open, at } = kept.get(detail.target) ?? { open: new Set(), at: -1 };
    kept.delete(detail.target);
    for (const details of detail.target.querySelectorAll("details")) if (open.has(name(details))) details.open = true;
    if (at >= 0) stops(detail.target)[at]?.focus({ preventScroll: true });
  });
})();
