// Colours that people with any colour vision can tell apart, as far as there are such.

// Okabe and Ito 2008, without black and yellow, then Tol's muted scheme with an indigo that dark pages show.
const GROUPS = [
  "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7e57c2", "#999933", "#882255", "#44aa99",
  "#ddcc77", "#aa4499", "#117733", "#88ccee", "#cc6677", "#4a3a8c", "#b8860b", "#4f772d", "#9c6644", "#2a9d8f",
];
// cividis, which reads the same with and without red and green
const STEPS = ["#00204d", "#00336f", "#39486b", "#575d6d", "#707173", "#8a8779", "#a69d75", "#c4b56c", "#e4cf5b", "#ffea46"];

export const GREY = [138, 146, 158];
// What is no label has a colour of its own: grey for what is not novel, so that novel cells stand out.
const STATES = { Unknown: [107, 107, 107], known: [176, 182, 190], novel: [213, 94, 0], "not judged": [138, 146, 158], False: [176, 182, 190], True: [213, 94, 0] };
const parse = (text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
const RAMP = STEPS.map(parse);

/** Colour of a group by its place; beyond the scheme by turning the hue. */
export function groupColor(place) {
  if (place < GROUPS.length) return parse(GROUPS[place]);
  const hue = (place * 137.508) % 360;
  const light = 0.42 + 0.2 * ((place % 3) / 2);
  const part = (turn) => {
    const k = (turn + hue / 30) % 12;
    return Math.round(255 * (light - 0.55 * Math.min(light, 1 - light) * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [part(0), part(8), part(4)];
}

export function rampColor(share) {
  const at = Math.max(0, Math.min(1, share)) * (RAMP.length - 1);
  const low = Math.min(RAMP.length - 2, Math.floor(at));
  return RAMP[low].map((value, i) => Math.round(value + (RAMP[low + 1][i] - value) * (at - low)));
}

export const css = ([red, green, blue]) => `rgb(${red}, ${green}, ${blue})`;

/** Groups of labels keep one colour in every picture: by their place in the reference. */
export function groupColors(groups, known = []) {
  const places = new Map(known.map((label, place) => [label, place]));
  let next = known.length;
  return groups.map((group) => {
    if (Object.hasOwn(STATES, group)) return STATES[group];
    if (!places.has(group)) places.set(group, next++);
    return groupColor(places.get(group));
  });
}
