// Build elements from plain values: text is always text, never markup.

export const $ = (id) => document.getElementById(id);

/** Make an element: properties, `on...` listeners, `data` and `aria-...`, then children (texts or elements). */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "role" || name === "for" || name === "scope") node.setAttribute(name, value);
    else if (name === "width") node.style.width = value; // set by script, which the policy allows
    else if (name === "color") node.style.background = value;
    else node[name === "class" ? "className" : name] = value;
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function fill(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter(Boolean));
}

export function options(select, choices, chosen) {
  fill(select, choices.map(([value, text, title]) => el("option", { value, textContent: text, title })));
  if (chosen !== undefined) select.value = chosen;
}

let silence;
/** Say what went wrong, until it is closed. */
export function complain(error) {
  const box = $("message");
  clearTimeout(silence);
  fill(box, el("span", {}, error.message ?? String(error)), el("button", { type: "button", onclick: () => { box.hidden = true; } }, "Close"));
  box.hidden = false;
  silence = setTimeout(() => { box.hidden = true; }, 60000);
}

/** Run what may fail, and complain if it does. */
export const tried = (work) => async (...given) => {
  try {
    return await work(...given);
  } catch (error) {
    complain(error);
    return undefined;
  }
};

export const percent = (share) => (share >= 0.0995 || share === 0 ? `${Math.round(share * 100)}\u00a0%` : `${(share * 100).toFixed(1)}\u00a0%`);
export const count = (number) => number.toLocaleString("en");
export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
