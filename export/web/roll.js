/** The piano roll: notes fall onto a keyboard whose keys light up, or rise from it while the user plays. */

import { HIGHEST, LOWEST } from "./piano_range.js";

const SECONDS_IN_VIEW = 6;
const MAX_NOTE_SECONDS = 24;
const MIN_NOTE_PIXELS = 4;
const MAX_PIXELS_PER_POINT = 2;
const BLACK = new Set([1, 3, 6, 8, 10]);

const isBlack = (pitch) => BLACK.has(pitch % 12);
const WHITES = Array.from({ length: HIGHEST - LOWEST + 1 }, (_, index) => LOWEST + index).filter(
  (pitch) => !isBlack(pitch),
);

/** The left edge and the width of each key, in units of a white key's width. */
const KEY_EDGES = new Map(
  Array.from({ length: HIGHEST - LOWEST + 1 }, (_, index) => {
    const pitch = LOWEST + index;
    const whites = WHITES.filter((white) => white < pitch).length;
    return [pitch, isBlack(pitch) ? [whites - 0.32, 0.64] : [whites, 1]];
  }),
);

export class Roll {
  /** Whether the size or the colours have changed since it was last drawn. */
  isStale = true;
  #canvas;
  #context;
  #colours;
  #reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.#readColours();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#readColours());
    new ResizeObserver(() => {
      this.isStale = true;
    }).observe(canvas);
  }

  /** The pitch of the key at a point of the canvas, or null. */
  pitchAt(x, y) {
    const { width, height } = this.#canvas.getBoundingClientRect();
    const top = height - this.#keyboardHeight(height);
    if (y < top) return null;
    const white = width / WHITES.length;
    const inReach = (pitch) => {
      const [left, wide] = KEY_EDGES.get(pitch);
      return x >= left * white && x < (left + wide) * white;
    };
    const blacks = [...KEY_EDGES.keys()].filter(isBlack);
    const black = y < top + 0.62 * (height - top) ? blacks.find(inReach) : undefined;
    return black ?? WHITES.find(inReach) ?? null;
  }

  /**
   * Draws the roll at a position.
   *
   * @param notes all notes, sorted by onset
   * @param position the position in seconds
   * @param own the notes that the user plays; those still held have no duration
   * @param pressed the pitches that the user holds
   */
  draw(notes, position, own, pressed) {
    if (this.isStale) this.#fit();
    this.isStale = false;
    const context = this.#context;
    const { width, height } = this.#canvas;
    const keyboard = this.#keyboardHeight(height);
    const floor = height - keyboard;
    const white = width / WHITES.length;
    // With reduced motion, the roll moves only once per second.
    const now = this.#reducedMotion.matches ? Math.floor(position) : position;
    const lit = new Map([...pressed].map((pitch) => [pitch, this.#colours.own]));
    context.fillStyle = this.#colours.paper;
    context.fillRect(0, 0, width, height);
    this.#drawLines(white, floor);
    const speed = floor / SECONDS_IN_VIEW;
    if (own.length) this.#drawOwn(own, position, white, floor, speed);
    else this.#drawComing(notes, position, now, white, floor, speed, lit);
    this.#drawKeys(white, floor, keyboard, lit);
  }

  #drawComing(notes, position, now, white, floor, speed, lit) {
    for (let index = firstAfter(notes, position - MAX_NOTE_SECONDS); index < notes.length; index += 1) {
      const { start, pitch, duration, velocity } = notes[index];
      if (start > now + SECONDS_IN_VIEW) break;
      if (start + duration < Math.min(now, position)) continue;
      const colour = this.#colours.velocity(velocity);
      if (start <= position && position < start + duration) lit.set(pitch, colour);
      this.#drawNote(
        pitch,
        floor - (start + duration - now) * speed,
        floor - (start - now) * speed,
        colour,
        white,
        floor,
      );
    }
  }

  #drawOwn(own, position, white, floor, speed) {
    for (const { start, pitch, duration } of own) {
      const end = duration === null ? position : start + duration;
      const [top, bottom] = [floor - (position - start) * speed, floor - (position - end) * speed];
      this.#drawNote(pitch, top, bottom, this.#colours.own, white, floor);
    }
  }

  #drawNote(pitch, top, bottom, colour, white, floor) {
    const key = KEY_EDGES.get(pitch);
    if (!key) return;
    const context = this.#context;
    const [left, wide] = key;
    const end = Math.min(bottom, floor);
    const y = Math.max(Math.min(top, end - MIN_NOTE_PIXELS), -9);
    const tall = end - y - 1;
    if (tall <= 0) return;
    const inset = Math.min(1.5, 0.08 * white);
    context.fillStyle = colour;
    context.beginPath();
    context.roundRect(left * white + inset, y, wide * white - 2 * inset, tall, Math.min(4, 0.25 * white));
    context.fill();
  }

  /** Draws a line at each C, and a fainter one at each F. */
  #drawLines(white, floor) {
    for (const pitch of WHITES) {
      if (pitch % 12 !== 0 && pitch % 12 !== 5) continue;
      this.#context.fillStyle = pitch % 12 ? this.#colours.faint : this.#colours.line;
      this.#context.fillRect(Math.round(KEY_EDGES.get(pitch)[0] * white), 0, 1, floor);
    }
  }

  #drawKeys(white, top, tall, lit) {
    const context = this.#context;
    context.fillStyle = this.#colours.gap;
    context.fillRect(0, top, this.#canvas.width, tall);
    for (const black of [false, true]) {
      for (const [pitch, [left, wide]] of KEY_EDGES) {
        if (isBlack(pitch) !== black) continue;
        context.fillStyle = lit.get(pitch) ?? (black ? this.#colours.black : this.#colours.white);
        const gap = black ? 0 : Math.min(1, 0.1 * white);
        context.fillRect(left * white, top, wide * white - gap, black ? 0.62 * tall : tall);
      }
    }
    context.fillStyle = this.#colours.edge;
    context.fillRect(0, top, this.#canvas.width, Math.max(1, 0.03 * tall));
  }

  #keyboardHeight(height) {
    return Math.round(0.17 * height);
  }

  /** Sets the canvas's resolution to its size. This clears it, so it is done only just before drawing. */
  #fit() {
    const { width, height } = this.#canvas.getBoundingClientRect();
    const pixels = Math.min(devicePixelRatio, MAX_PIXELS_PER_POINT);
    this.#canvas.width = Math.max(1, Math.round(width * pixels));
    this.#canvas.height = Math.max(1, Math.round(height * pixels));
  }

  #readColours() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const stops = ["soft", "middle", "loud"].map((name) => channels(colour(name)));
    const ramp = Array.from({ length: 128 }, (_, velocity) => {
      // Few notes are softer than 20 or louder than 110.
      const level = 2 * Math.min(1, Math.max(0, (velocity - 20) / 90));
      const [from, to] = level < 1 ? stops : stops.slice(1);
      const mixed = from.map((channel, index) =>
        Math.round(channel + (to[index] - channel) * (level < 1 ? level : level - 1)),
      );
      return `rgb(${mixed.join(" ")})`;
    });
    const names = ["paper", "line", "faint", "gap", "white", "black", "edge", "own"];
    this.#colours = Object.fromEntries(names.map((name) => [name, colour(name)]));
    this.#colours.velocity = (velocity) => ramp[velocity];
    this.isStale = true;
  }
}

const channels = (hex) => [1, 3, 5].map((index) => parseInt(hex.slice(index, index + 2), 16));

/** The index of the first note that begins at a position or later. */
function firstAfter(notes, seconds) {
  let [low, high] = [0, notes.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (notes[middle].start >= seconds) high = middle;
    else low = middle + 1;
  }
  return low;
}
