// Answers a request of the Python tests: JSON in, JSON out.
import { readFileSync } from "node:fs";

import { Balance, targetsOf } from "../../export/web/balance.js";
import { ChordTrack } from "../../export/web/chords.js";
import { Codec } from "../../export/web/codec.js";
import { KEYS, pitchBias } from "../../export/web/controls.js";
import { readMidi, writeMidi } from "../../export/web/midi_file.js";
import { parsePiece, pieceName, primerId } from "../../export/web/piece.js";
import { Uniforms } from "../../export/web/philox.js";
import { styleVector } from "../../export/web/styles.js";

const answers = {
  uniforms({ seed, count }) {
    const uniforms = new Uniforms(BigInt(seed));
    return Array.from({ length: count }, (_, index) => uniforms.at(index));
  },
  encode: ({ tables, notes }) => new Codec(tables).encode(notes),
  decode({ tables, fields }) {
    const codec = new Codec(tables);
    let tick = 0;
    return fields.map((row) => codec.noteAt((tick += codec.stepTicks[row[0]]), row));
  },
  keys: () => KEYS,
  bias: (controls) => pitchBias(controls),
  balance({ tables, targets, drawn }) {
    const codec = new Codec(tables);
    const bias = new Float32Array(codec.size);
    const balance = new Balance(codec, bias);
    balance.aim(targets);
    balance.reset();
    const states = drawn.map((note) => {
      balance.measure(...note);
      return balance.state;
    });
    return { states, bias: [...bias] };
  },
  targets: ({ notes }) => targetsOf(notes),
  style({ vectors, whole, style }) {
    try {
      return styleVector({ styles: vectors, precision: whole ? "exact" : "float32" }, style);
    } catch (error) {
      return error.message;
    }
  },
  chords({ text, seconds, ticks }) {
    const track = new ChordTrack(text, seconds);
    return ticks.map((tick) => {
      const biases = new Array(128).fill(0);
      track.prefer(track.indexAt(tick), biases.slice(), biases);
      return biases;
    });
  },
  // A seed is a BigInt, which JSON cannot hold.
  piece({ name }) {
    try {
      const piece = parsePiece(name);
      return { ...piece, seed: String(piece.seed), name: pieceName(piece) };
    } catch (error) {
      return error.message;
    }
  },
  primer: ({ fields }) => primerId(fields),
  write: ({ notes }) => [...writeMidi(notes)],
  read: ({ paths }) =>
    paths.map((path) => {
      try {
        return readMidi(new Uint8Array(readFileSync(path)), "It");
      } catch (error) {
        return error.message;
      }
    }),
};

const { ask, ...more } = JSON.parse(readFileSync(0));
console.log(JSON.stringify(answers[ask](more)));
