/** Renders the sounds of the keys, beginning in the middle; receives {rate}, and sends {pitch, samples}. */

import { HIGHEST, LOWEST } from "./piano_range.js";
import { renderString } from "./strings.js";

const MIDDLE = 60;
const SPACING = 3;

addEventListener("message", ({ data: { rate } }) => {
  for (let distance = 0; distance <= HIGHEST - LOWEST; distance += SPACING) {
    for (const pitch of distance ? [MIDDLE + distance, MIDDLE - distance] : [MIDDLE]) {
      if (pitch < LOWEST || pitch > HIGHEST) continue;
      const samples = renderString(pitch, rate);
      postMessage({ pitch, samples }, [samples.buffer]);
    }
  }
  close();
});
