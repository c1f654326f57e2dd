/** The kind of a file that is not a MIDI file, with the remedy, in the words of `kerasmusic.midi_parser`. */

const AUDIO = "audio, and MIDI is notes, not sound; a transcription program can make a MIDI file of it";
// The first bytes of files of other kinds, as Latin-1 text, their kind, and the remedy.
const OTHERS = [
  ["\x1f\x8b", "a gzip archive; unpack it first, such as by gunzip"],
  ["PK\x03\x04", "a zip archive; unpack it first (of a .mxl or .mscz file, export MIDI from a notation program)"],
  ["version https://git-lfs", "a Git LFS pointer, not the file itself; run: git lfs pull"],
  ["SMF2CLIP", "a MIDI 2.0 clip; export a Standard MIDI File (.mid) from the program that wrote it"],
  ["XMF_", "an XMF file; extract the Standard MIDI File in it"],
  ["ID3", `MP3 ${AUDIO}`],
  ["OggS", `Ogg ${AUDIO}`],
  ["fLaC", `FLAC ${AUDIO}`],
  ["%PDF", "a PDF document; export MIDI from the program that wrote it"],
];
const HEAD_BYTES = 1000;

/** @param {Uint8Array} bytes of a file that does not begin with MThd */
export function kindOf(bytes) {
  if (!bytes.length) return "an empty file; get it again";
  const head = Array.from(bytes.subarray(0, HEAD_BYTES), (byte) => String.fromCharCode(byte)).join("");
  if (head.startsWith("RIFF")) {
    return head.slice(8, 12) === "WAVE" ? `WAVE ${AUDIO}` : "a RIFF file of another kind; name a .mid file";
  }
  for (const [begins, kind] of OTHERS) if (head.startsWith(begins)) return kind;
  if (bytes[0] === 0xff && bytes[1] >= 0xe0) return `MP3 ${AUDIO}`;
  const markup = head.replace(/^[\xef\xbb\xbf \t\r\n]+/, "").toLowerCase();
  if (markup.includes("<score-partwise") || markup.includes("<score-timewise")) {
    return "MusicXML; export MIDI from a notation program, such as MuseScore";
  }
  if (markup.startsWith("<!doctype html") || markup.startsWith("<html")) {
    return "a page of HTML, perhaps a server's error; open its address in a browser and download the file itself";
  }
  if (markup.startsWith("<")) return "an XML file; export MIDI from the program that wrote it";
  if (/^[\t\r\n\x20-\x7e]*$/.test(head)) return "a text; name a .mid file";
  const first = Array.from(bytes.subarray(0, 4), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return `something else, which begins with ${first} instead of MThd; get it again`;
}
