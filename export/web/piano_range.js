/** The lowest and the highest key of a piano, as MIDI note numbers. */

export const LOWEST = 21;
export const HIGHEST = 108;
