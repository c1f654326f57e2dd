/**
 * NumPy's `Generator(Philox(key=seed)).random(..., dtype=float32)`, so that a seed names the same piece as in Python.
 *
 * Philox4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) makes four 64-bit words from a
 * counter and a key. NumPy counts from 1, takes the lower half of a word before the upper, and makes a number in [0, 1)
 * from the upper 24 bits of each half.
 */

const ROUNDS = 10;
const MULTIPLIERS = [0xd2e7470ee14c6c93n, 0xca5a826395121157n];
const WEYL = [0x9e3779b97f4a7c15n, 0xbb67ae8584caa73bn];
const WORD = 64n;
const MASK = (1n << WORD) - 1n;
const NUMBERS_PER_BLOCK = 8;

/** The four 64-bit words of a counter and a key, which are BigInts below 2**64. */
export function philoxBlock(counter, key) {
  let words = [counter & MASK, counter >> WORD, 0n, 0n];
  let keys = [key, 0n];
  for (let round = 0; round < ROUNDS; round += 1) {
    const first = MULTIPLIERS[0] * words[0];
    const second = MULTIPLIERS[1] * words[2];
    words = [(second >> WORD) ^ words[1] ^ keys[0], second & MASK, (first >> WORD) ^ words[3] ^ keys[1], first & MASK];
    keys = [(keys[0] + WEYL[0]) & MASK, (keys[1] + WEYL[1]) & MASK];
  }
  return words;
}

/** The random numbers of a seed, with random access by index. */
export class Uniforms {
  #seed;
  #counter = null;
  #numbers = new Float32Array(NUMBERS_PER_BLOCK);

  /** @param {bigint} seed from 0 to 2**64 - 1 */
  constructor(seed) {
    this.#seed = seed;
  }

  /** The number at an index, from 0. */
  at(index) {
    const block = Math.floor(index / NUMBERS_PER_BLOCK);
    if (block !== this.#counter) {
      philoxBlock(BigInt(block) + 1n, this.#seed).forEach((word, order) => {
        this.#numbers[2 * order] = (Number(word & 0xffffffffn) >>> 8) / 2 ** 24;
        this.#numbers[2 * order + 1] = (Number(word >> 32n) >>> 8) / 2 ** 24;
      });
      this.#counter = block;
    }
    return this.#numbers[index % NUMBERS_PER_BLOCK];
  }
}
