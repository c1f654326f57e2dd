/**
 * Replaces `@litertjs/wasm-utils` for LiteRT.js in a module worker, which has neither a document nor import maps. The
 * glue code is imported as a module, and the WebAssembly is compressed, which saves two thirds of it on every host.
 */

const GZIP = [0x1f, 0x8b];

/** Loads the glue code at `path` and its WebAssembly, and passes the module to `Library`. */
export async function createWasmLib(Library, path) {
  const [{ default: factory }, compiled] = await Promise.all([
    import(path),
    compile(path.replace(/\.js$/, ".wasm.gz")),
  ]);
  const instantiateWasm = (imports, done) => {
    WebAssembly.instantiate(compiled, imports).then((instance) => done(instance, compiled));
  };
  // The runtime logs each start; errors are thrown.
  const printErr = (line) => /^(INFO|VERBOSE|WARNING)\b/.test(line) || console.error(line);
  return new Library(await factory({ instantiateWasm, printErr }));
}

async function compile(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  // Some hosts declare such a file as encoded, so that the browser has already decompressed it.
  const compressed = GZIP.every((byte, index) => bytes[index] === byte);
  const stream = new Blob([bytes]).stream();
  const body = compressed ? stream.pipeThrough(new DecompressionStream("gzip")) : stream;
  return WebAssembly.compileStreaming(new Response(body, { headers: { "Content-Type": "application/wasm" } }));
}
