"""Downloads MAESTRO v2.0.0, a data set of piano performances as MIDI, into the user's cache folder.

Hawthorne et al., "Enabling Factorized Piano Music Modeling and Generation with the MAESTRO Dataset", ICLR 2019;
licence CC BY-NC-SA 4.0.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from pathlib import Path

from kerasmusic.errors import KerasMusicError, NoNetworkError

URL = "https://storage.googleapis.com/magentadata/datasets/maestro/v2.0.0/maestro-v2.0.0-midi.zip"
SHA256 = "ec2cc9d94886c6b376db1eaa2b8ad1ce62ff9f0a28b3744782b13163295dadf3"
TRIES = 4
TIMEOUT_SECONDS = 30
BLOCK = 1 << 18


def download_maestro(folder: str | os.PathLike[str] | None = None, *, url: str = URL, sha256: str = SHA256) -> Path:
    """The path of MAESTRO's zip of MIDI files; downloads it if it is not in the cache.

    An interrupted download is resumed, by this call or a later one, if the server allows it. The file gets its final
    name only after its checksum has been verified.

    Args:
        folder: the cache; by default `kerasmusic` in the user's cache folder.
        url: the address of the zip.
        sha256: the expected checksum.

    Raises:
        NoNetworkError: the server cannot be reached.
        KerasMusicError: the download fails, or its checksum is wrong.
    """
    target = _target(folder, url)
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    for attempt in range(1, TRIES + 1):
        try:
            _fetch(url, partial)
            break
        except (OSError, http.client.HTTPException, EOFError) as error:
            reason = " ".join(str(getattr(error, "reason", None) or error).split()) or type(error).__name__
            refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if attempt == TRIES or refused or not partial.exists():
                unreachable = isinstance(error, urllib.error.URLError) and not isinstance(error, urllib.error.HTTPError)
                raise (NoNetworkError if unreachable else KerasMusicError)(
                    f"cannot download {url} ({reason}); run again to carry on, "
                    "or pass --data with a folder or zip of MIDI files"
                ) from None
            time.sleep(2 ** (attempt - 1))
    digest = hashlib.sha256()
    with partial.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    if digest.hexdigest() != sha256:
        partial.unlink(missing_ok=True)
        raise KerasMusicError(f"{url}: its sha256 is {digest.hexdigest()}, not {sha256}; deleted, run again to retry")
    partial.replace(target)
    return target


def downloaded_maestro(folder: str | os.PathLike[str] | None = None) -> Path | None:
    """The path of MAESTRO's zip if `download_maestro` has already downloaded it, else None."""
    target = _target(folder, URL)
    return target if target.exists() else None


def _target(folder: str | os.PathLike[str] | None, url: str) -> Path:
    if folder is None:
        from platformdirs import user_cache_path

        folder = user_cache_path("kerasmusic")
    return Path(folder) / url.rsplit("/", 1)[-1]


def _fetch(url: str, partial: Path) -> None:
    """Downloads the missing part of a file; raises EOFError if the connection ends too early."""
    from kerasmusic.progress import progress

    have = partial.stat().st_size if partial.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - our URL, or the caller's
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)  # noqa: S310 - our URL, or the caller's
    except urllib.error.HTTPError as error:
        error.close()  # and its connection
        if error.code == 416:  # the file is already complete; the checksum decides
            return
        raise
    with response:
        if response.status != 206:
            have = 0
        remaining = int(response.headers.get("Content-Length", -1))
        total = have + remaining if remaining >= 0 else None
        with (
            partial.open("ab" if have else "wb") as file,
            progress("downloading MAESTRO", "B", total, initial=have, unit_scale=True) as bar,
        ):
            while block := response.read(BLOCK):
                file.write(block)
                have += len(block)
                bar.update(len(block))
        if total is not None and have < total:
            raise EOFError(f"the connection ended after {have} of {total} bytes")
