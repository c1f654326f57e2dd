/**
 * Caches all files of the page, so that it works offline after the first visit. With a network, every file comes from the
 * server, so that a visit always has the newest page.
 */

// Filled in when the folder is written: a version that changes with any file, and the list of files.
const [VERSION, FILES] = "__VERSION_AND_FILES__";
const PREFIX = "kerasmusic-";
// After this time without an answer from the network, the cached file is taken.
const PATIENCE_MILLISECONDS = 3_000;

addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(PREFIX + VERSION)
      .then((cache) => cache.addAll(FILES))
      .then(() => skipWaiting()),
  );
});

addEventListener("activate", (event) => {
  const clean = async () => {
    const old = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== PREFIX + VERSION);
    await Promise.all(old.map((name) => caches.delete(name)));
    await clients.claim();
  };
  event.waitUntil(clean());
});

addEventListener("fetch", (event) => {
  const { request } = event;
  event.respondWith(answer(request));
  if (request.mode === "navigate") event.waitUntil(leaveIfGone());
});

async function answer(request) {
  const cache = await caches.open(PREFIX + VERSION);
  const kept = await cache.match(request, { ignoreSearch: true });
  if (!kept) return fetch(request);
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MILLISECONDS, kept));
  try {
    return await Promise.race([fetch(request), late]);
  } catch {
    return kept;
  }
}

/** Unregisters this worker if the server no longer has its file, since then another page is at this address. */
async function leaveIfGone() {
  let answered;
  try {
    answered = await fetch(location.href, { cache: "no-store" });
  } catch {
    return;
  }
  if (![404, 410].includes(answered.status)) return;
  await registration.unregister();
  const names = (await caches.keys()).filter((name) => name.startsWith(PREFIX));
  await Promise.all(names.map((name) => caches.delete(name)));
}
