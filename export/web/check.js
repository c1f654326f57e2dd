// Whether this browser can play at all. In the JavaScript of long ago, so that an old browser reads it and says so.
(function () {
  // A module of one function with a vector in it: valid where there is SIMD.
  var simd = [
    0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
  ];
  var lacking =
    typeof WebAssembly === "undefined" || !WebAssembly.validate(new Uint8Array(simd))
      ? "WebAssembly SIMD"
      : typeof DecompressionStream === "undefined"
        ? "DecompressionStream"
        : typeof AudioContext === "undefined" && "Web Audio";
  if (!lacking) return;
  var problem = document.getElementById("problem");
  problem.textContent = "This browser has no " + lacking + ", which playing needs; a newer browser has.";
  problem.hidden = false;
  document.getElementById("status").textContent = "";
})();
