// Checks that this browser can play. Written in old JavaScript, so that an old browser can run it and show the reason.
(function () {
  // A module with one function that uses a vector: valid only with SIMD.
  var simd = [
    0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
  ];
  var missing =
    typeof WebAssembly === "undefined" || !WebAssembly.validate(new Uint8Array(simd))
      ? "WebAssembly SIMD"
      : typeof DecompressionStream === "undefined"
        ? "DecompressionStream"
        : typeof AudioContext === "undefined" && "Web Audio";
  if (!missing) return;
  var problem = document.getElementById("problem");
  problem.textContent = "This browser has no " + missing + ", which playing needs; try a newer browser.";
  problem.hidden = false;
  document.getElementById("status").textContent = "";
})();
