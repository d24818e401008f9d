// The colours of the package's figures, in which people with any colour vision tell labels apart.

import { GREY, LABELS, NOVEL, UNSURE } from "./palette.js"; // the server makes it of the figures' own

// cividis, which reads the same with and without red and green
const STEPS = ["#00204d", "#00336f", "#39486b", "#575d6d", "#707173", "#8a8779", "#a69d75", "#c4b56c", "#e4cf5b", "#ffea46"];
// Grey for what has no label and what is not novel, so that novel cells stand out.
const STATES = { Unknown: GREY, known: GREY, "not novel": GREY, False: GREY, "not judged": UNSURE, novel: NOVEL, True: NOVEL };
const LEAST_LIGHT = 0.12; // of a colour on a dark page, where white has 1
const dark = matchMedia("(prefers-color-scheme: dark)");
const parse = (text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
const RAMP = STEPS.map(parse);

/** Relative luminance (WCAG 2). */
function luminance(color) {
  const [red, green, blue] = color.map((value) => (value / 255 <= 0.04045 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** A colour as the page shows it: a dark page turns greys around, black included, and lightens what is dark. */
function shown(text) {
  const color = parse(text);
  if (!dark.matches) return color;
  if (new Set(color).size === 1) return color.map((value) => 255 - value);
  let lighter = color;
  for (let share = 0.05; luminance(lighter) < LEAST_LIGHT; share += 0.05) {
    lighter = color.map((value) => Math.round(value + share * (255 - value)));
  }
  return lighter;
}

/** Colour of what has no value, and of the reference's points below a query. */
export const grey = () => shown(GREY);

/** Call when the system changes between light and dark. */
export const onScheme = (change) => dark.addEventListener("change", change);

export function rampColor(share) {
  const at = Math.max(0, Math.min(1, share)) * (RAMP.length - 1);
  const low = Math.min(RAMP.length - 2, Math.floor(at));
  return RAMP[low].map((value, i) => Math.round(value + (RAMP[low + 1][i] - value) * (at - low)));
}

export const css = ([red, green, blue]) => `rgb(${red}, ${green}, ${blue})`;

/** Groups of labels keep one colour in every picture: by their place in the reference. */
export function groupColors(groups, known = []) {
  const places = new Map(known.filter((label) => !Object.hasOwn(STATES, label)).map((label, place) => [label, place]));
  return groups.map((group) => {
    if (Object.hasOwn(STATES, group)) return shown(STATES[group]);
    if (!places.has(group)) places.set(group, places.size);
    return shown(LABELS[places.get(group) % LABELS.length]);
  });
}
