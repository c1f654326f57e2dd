/** The piano roll: notes fall onto a keyboard whose keys light up, or rise from it while somebody plays. */

import { HIGHEST, LOWEST } from "./piano_range.js";

const SECONDS_IN_VIEW = 6;
const LONGEST_SECONDS = 24;
const SHORTEST_PIXELS = 4;
const MOST_PIXELS_PER_POINT = 2;
const BLACK = new Set([1, 3, 6, 8, 10]);

const isBlack = (pitch) => BLACK.has(pitch % 12);
const WHITES = Array.from({ length: HIGHEST - LOWEST + 1 }, (_, index) => LOWEST + index).filter(
  (pitch) => !isBlack(pitch),
);

/** The left edge and the width of a key, in widths of a white one. */
const PLACES = new Map(
  Array.from({ length: HIGHEST - LOWEST + 1 }, (_, index) => {
    const pitch = LOWEST + index;
    const whites = WHITES.filter((white) => white < pitch).length;
    return [pitch, isBlack(pitch) ? [whites - 0.32, 0.64] : [whites, 1]];
  }),
);

export class Roll {
  /** Whether its size or its colours changed since it was drawn. */
  isStale = true;
  #canvas;
  #context;
  #colours;
  #stillness = matchMedia("(prefers-reduced-motion: reduce)");

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
      const [left, wide] = PLACES.get(pitch);
      return x >= left * white && x < (left + wide) * white;
    };
    const blacks = [...PLACES.keys()].filter(isBlack);
    const black = y < top + 0.62 * (height - top) ? blacks.find(inReach) : undefined;
    return black ?? WHITES.find(inReach) ?? null;
  }

  /**
   * Draws a moment.
   *
   * @param notes all notes, sorted by onset
   * @param position seconds
   * @param own notes that somebody plays, the last without an end
   * @param pressed the pitches that somebody holds
   */
  draw(notes, position, own, pressed) {
    if (this.isStale) this.#fit();
    this.isStale = false;
    const context = this.#context;
    const { width, height } = this.#canvas;
    const keyboard = this.#keyboardHeight(height);
    const floor = height - keyboard;
    const white = width / WHITES.length;
    // Who wants no motion sees the page turn each second.
    const now = this.#stillness.matches ? Math.floor(position) : position;
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
    for (let index = firstAfter(notes, position - LONGEST_SECONDS); index < notes.length; index += 1) {
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
    const place = PLACES.get(pitch);
    if (!place) return;
    const context = this.#context;
    const [left, wide] = place;
    const end = Math.min(bottom, floor);
    const y = Math.max(Math.min(top, end - SHORTEST_PIXELS), -9);
    const tall = end - y - 1;
    if (tall <= 0) return;
    const inset = Math.min(1.5, 0.08 * white);
    context.fillStyle = colour;
    context.beginPath();
    context.roundRect(left * white + inset, y, wide * white - 2 * inset, tall, Math.min(4, 0.25 * white));
    context.fill();
  }

  /** A line at each C, and a fainter one at each F. */
  #drawLines(white, floor) {
    for (const pitch of WHITES) {
      if (pitch % 12 !== 0 && pitch % 12 !== 5) continue;
      this.#context.fillStyle = pitch % 12 ? this.#colours.faint : this.#colours.line;
      this.#context.fillRect(Math.round(PLACES.get(pitch)[0] * white), 0, 1, floor);
    }
  }

  #drawKeys(white, top, tall, lit) {
    const context = this.#context;
    context.fillStyle = this.#colours.gap;
    context.fillRect(0, top, this.#canvas.width, tall);
    for (const black of [false, true]) {
      for (const [pitch, [left, wide]] of PLACES) {
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

  /** Gives the canvas the pixels of its place. It is then empty, so that this is done only just before it is drawn. */
  #fit() {
    const { width, height } = this.#canvas.getBoundingClientRect();
    const pixels = Math.min(devicePixelRatio, MOST_PIXELS_PER_POINT);
    this.#canvas.width = Math.max(1, Math.round(width * pixels));
    this.#canvas.height = Math.max(1, Math.round(height * pixels));
  }

  #readColours() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const stops = ["soft", "middle", "loud"].map((name) => channels(colour(name)));
    const ramp = Array.from({ length: 128 }, (_, velocity) => {
      // Hardly any note is softer than 20 or louder than 110.
      const place = 2 * Math.min(1, Math.max(0, (velocity - 20) / 90));
      const [from, to] = place < 1 ? stops : stops.slice(1);
      const mixed = from.map((channel, index) =>
        Math.round(channel + (to[index] - channel) * (place < 1 ? place : place - 1)),
      );
      return `rgb(${mixed.join(" ")})`;
    });
    const names = ["paper", "line", "faint", "gap", "white", "black", "edge", "own"];
    this.#colours = Object.fromEntries(names.map((name) => [name, colour(name)]));
    this.#colours.velocity = (velocity) => ramp[velocity];
    this.isStale = true;
  }
}

const channels = (hex) => [1, 3, 5].map((place) => parseInt(hex.slice(place, place + 2), 16));

/** The first note that begins at a moment or later. */
function firstAfter(notes, seconds) {
  let [low, high] = [0, notes.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (notes[middle].start >= seconds) high = middle;
    else low = middle + 1;
  }
  return low;
}
