/**
 * What LiteRT.js takes from `@litertjs/wasm-utils`, for a module worker, which has neither documents nor import maps:
 * the glue code is imported as a module, and the WebAssembly arrives packed, which saves two thirds on every host.
 */

const GZIP = [0x1f, 0x8b];

/** Loads the glue code at `path` and its WebAssembly, and hands the module to `Library`. */
export async function createWasmLib(Library, path) {
  const [{ default: factory }, compiled] = await Promise.all([
    import(path),
    compile(path.replace(/\.js$/, ".wasm.gz")),
  ]);
  const instantiateWasm = (imports, done) => {
    WebAssembly.instantiate(compiled, imports).then((instance) => done(instance, compiled));
  };
  // It tells of its every start; what goes wrong is thrown.
  const printErr = (line) => /^(INFO|VERBOSE|WARNING)\b/.test(line) || console.error(line);
  return new Library(await factory({ instantiateWasm, printErr }));
}

async function compile(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  // Some hosts say that such a file is encoded, and the browser has unpacked it already.
  const packed = GZIP.every((byte, index) => bytes[index] === byte);
  const stream = new Blob([bytes]).stream();
  const body = packed ? stream.pipeThrough(new DecompressionStream("gzip")) : stream;
  return WebAssembly.compileStreaming(new Response(body, { headers: { "Content-Type": "application/wasm" } }));
}
