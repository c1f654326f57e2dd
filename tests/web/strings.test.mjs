import assert from "node:assert/strict";
import { test } from "node:test";

import { hertz, renderString } from "../../export/web/strings.js";

test("a string sounds at its pitch, dies away and ends in silence", () => {
  const rate = 32_000;
  const samples = renderString(69, rate);
  const energy = (frequency) => {
    let [cosine, sine] = [0, 0];
    for (let index = 0; index < rate; index += 1) {
      cosine += samples[index] * Math.cos((2 * Math.PI * frequency * index) / rate);
      sine += samples[index] * Math.sin((2 * Math.PI * frequency * index) / rate);
    }
    return cosine ** 2 + sine ** 2;
  };
  assert.equal(hertz(69), 440);
  assert.ok(energy(440) > 100 * energy(466));
  const loudest = (from, to) => Math.max(...samples.subarray(from, to).map(Math.abs));
  assert.ok(loudest(0, 3_000) > 0.99 && loudest(rate, rate + 3_000) < 0.6);
  assert.ok(Math.abs(samples.at(-1)) < 1e-4);
});

test("every key of the piano can be rendered", () => {
  for (const pitch of [21, 60, 108]) {
    const samples = renderString(pitch, 24_000);
    assert.ok(samples.length > 5_000 && samples.every(Number.isFinite));
  }
});
