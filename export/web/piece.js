/** Pieces: the name of a piece of music, from which the same notes can be made anywhere. See `kerasmusic.edge.piece`. */

import { LOUDNESSES, POLYPHONIES, SPEEDS } from "./balance.js";
import { CHORD_SECONDS, ChordTrack } from "./chords.js";
import { FIELDS } from "./codec.js";
import { parseKey, parseRange } from "./controls.js";
import { Problem } from "./problem.js";

const NAME = /^([0-9a-f]{10})\/([0-9]{1,20})((?:\/[^/]*)*)$/;
const MAX_SEED = 2n ** 64n - 1n;
const CRC_POLYNOMIAL = 0xedb88320;

/** The CRC-32 of a primer's notes, as rows of fields, in hexadecimal. */
export function primerId(fields) {
  const bytes = new Uint8Array(4 * FIELDS.length * fields.length);
  const view = new DataView(bytes.buffer);
  fields.flat().forEach((value, index) => view.setInt32(4 * index, value, true));
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? CRC_POLYNOMIAL : 0);
  }
  return (~crc >>> 0).toString(16).padStart(8, "0");
}

function number(text, highest = Infinity, lowest = 0) {
  const value = Number(text.trim() || "none");
  if (!(value >= lowest && value <= highest)) throw new Problem(`“${text}” in this name is out of range; copy it again.`);
  return value;
}

function byField(text, highest) {
  if (!text.includes("=")) return number(text, highest);
  return Object.fromEntries(
    text.split(",").map((part) => {
      const [field, value] = part.split("=");
      if (!FIELDS.includes(field)) throw new Problem(`“${field}” in this name is no field of a note.`);
      return [field, number(value ?? "", highest)];
    }),
  );
}

function checked(parse) {
  return (text) => {
    parse(text);
    return text;
  };
}

function within([lowest, highest]) {
  return (text) => number(text, highest, lowest);
}

// How the parts of a name are read. Its length is ignored, since the page plays on.
const READERS = {
  notes: number,
  seconds: number,
  primer: (text) => text,
  temperature: (text) => byField(text, 3e38),
  "min-p": (text) => byField(text, 1),
  key: checked(parseKey),
  range: checked(parseRange),
  speed: within(SPEEDS),
  polyphony: within(POLYPHONIES),
  loudness: within(LOUDNESSES),
  style: (text) => text,
  chords: checked((text) => new ChordTrack(text)),
  "chord-seconds": (text) => number(text, 3600, 0.1),
};

/**
 * Parses the name of a piece.
 *
 * @returns {{model: string, seed: bigint, primer: string, settings: object}} `primer` is "" if there is none
 * @throws {Problem} it is not the name of a piece, or has a setting that this page does not know
 */
export function parsePiece(name) {
  const [, model, seed, rest] = NAME.exec(name.trim()) ?? [];
  if (!model || BigInt(seed) > MAX_SEED) {
    throw new Problem(`“${name}” is not the name of a piece, such as 0123456789/7/notes=300.`);
  }
  // What a name leaves out has these values, whatever the defaults are.
  const read = {
    temperature: 1,
    "min-p": 0,
    key: "",
    range: "",
    speed: null,
    polyphony: null,
    loudness: null,
    style: "",
    chords: "",
    "chord-seconds": CHORD_SECONDS,
    primer: "",
  };
  for (const part of rest.split("/").filter(Boolean)) {
    const at = part.indexOf("=");
    const setting = at < 0 ? part : part.slice(0, at);
    if (!Object.hasOwn(READERS, setting)) {
      throw new Problem(`This page knows no setting “${setting}” of a piece; a newer kerasmusic made the name.`);
    }
    read[setting] = READERS[setting](decodeURIComponent(part.slice(setting.length + 1)));
  }
  const { primer, "min-p": minP, "chord-seconds": chordSeconds, ...others } = read;
  const settings = { ...others, minP, chordSeconds };
  return { model, seed: BigInt(seed), primer, settings };
}

/** A number, or numbers by field; fields that have the neutral value are left out. */
function fieldText(value, neutral) {
  const numbers = FIELDS.map((field) => (typeof value === "number" ? value : (value[field] ?? neutral)));
  if (new Set(numbers).size === 1) return numbers[0] === neutral ? "" : String(numbers[0]);
  const parts = FIELDS.map((field, index) => [field, numbers[index]]).filter(([, each]) => each !== neutral);
  return parts.map((part) => part.join("=")).join(",");
}

/** The name of a piece; see `parsePiece`. */
export function pieceName({ model, seed, primer, settings }) {
  const { temperature, minP, key, range, speed, polyphony, loudness, style, chords, chordSeconds } = settings;
  const target = (value) => (value === null ? "" : String(value));
  const parts = {
    primer,
    temperature: fieldText(temperature, 1),
    "min-p": fieldText(minP, 0),
    key: key.replaceAll(/\s/g, ""),
    range: range.replaceAll(/\s/g, ""),
    speed: target(speed),
    polyphony: target(polyphony),
    loudness: target(loudness),
    style,
    chords: chords.split(/[\s,]+/).filter(Boolean).join(","),
    "chord-seconds": chords ? String(chordSeconds) : "",
  };
  const plain = (text) => encodeURIComponent(text).replaceAll(/%(3A|2C|3D|23)/g, decodeURIComponent);
  const texts = Object.entries(parts).filter(([, text]) => text);
  return [model, String(seed), ...texts.map(([name, text]) => `${name}=${plain(text)}`)].join("/");
}
