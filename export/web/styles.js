/** Styles: the vector that conditions the music, as shares of those that a model knows. See `kerasmusic.edge.styles`. */

import { roundToEven } from "./codec.js";
import { Problem } from "./problem.js";

const TOLERANCE = 0.005;
const HIGHEST = 127;

/** The share of each name in a style such as "Chopin" or "Bach:0.6,Debussy:0.4". */
function parseStyle(text) {
  const parts = text.split(",").map((part) => part.trim());
  const plain = parts.every((part) => !part.includes(":"));
  const shares = new Map();
  for (const part of parts) {
    const at = part.lastIndexOf(":");
    const name = (plain ? part : part.slice(0, Math.max(at, 0))).trim();
    const share = plain ? 1 / parts.length : Number(part.slice(at + 1).trim() || "none");
    if (!name || shares.has(name) || !(share >= 0 && share <= 1)) throw new Problem(`“${text}” is not a style.`);
    shares.set(name, share);
  }
  const sum = [...shares.values()].reduce((total, share) => total + share, 0);
  if (Math.abs(sum - 1) > TOLERANCE) throw new Problem(`The shares of “${text}” add up to ${sum}, not to 1.`);
  return shares;
}

/**
 * The step's input `style`.
 *
 * @param record a file's metadata
 * @param {string} style names of the record's styles, with shares; "" for none
 * @returns {number[]} numbers of the record's `style_size`
 * @throws {Problem} the style is invalid, or names one that the model does not know
 */
export function styleVector({ styles = {}, style_size: size = 0, precision }, style) {
  const names = Object.keys(styles);
  // A model that knows no styles ignores them.
  if (!style || !names.length) return new Array(size).fill(0);
  const shares = parseStyle(style);
  for (const name of shares.keys()) {
    if (!Object.hasOwn(styles, name)) throw new Problem(`The model knows no style ${name}.`);
  }
  const sums = styles[names[0]].map((_, index) =>
    names.reduce((total, name) => total + (shares.get(name) ?? 0) * styles[name][index], 0),
  );
  if (precision !== "exact") return sums;
  return sums.map((sum) => Math.min(Math.max(roundToEven(sum), -HIGHEST), HIGHEST) + 0);
}
