import assert from "node:assert/strict";
import { test } from "node:test";

import { philoxBlock, Uniforms } from "../../export/web/philox.js";

test("a block equals that of NumPy's Philox for a counter and a key", () => {
  // numpy.random.Philox(key=7).random_raw(4)
  const words = [16086915834549238692n, 5448529601018347655n, 7749434361382612120n, 7478167007443709522n];
  assert.deepEqual(philoxBlock(1n, 7n), words);
});

test("the numbers of a seed are NumPy's float32, in any order of access", () => {
  // numpy.random.Generator(numpy.random.Philox(key=7)).random(8, dtype="float32")
  const expected = [
    0.16372650861740112, 0.8720734119415283, 0.9722633361816406, 0.2953653335571289, 0.31412768363952637,
    0.4200976490974426, 0.6942509412765503, 0.40539222955703735,
  ];
  const uniforms = new Uniforms(7n);
  const later = uniforms.at(12_345);
  assert.deepEqual(
    expected.map((_, index) => uniforms.at(index)),
    expected,
  );
  assert.equal(uniforms.at(12_345), later);
});
