"""Changes the record of an exported file, for tests of what a reader makes of it."""

import json

from kerasmusic.edge.model_file import read_model_bytes, read_record, with_record


def changed(path, tmp_path, change):
    """A copy of a file with its record changed."""
    data = read_model_bytes(path)
    record = json.loads(json.dumps(read_record(data, "it")))
    change(record)
    copy = tmp_path / "changed.tflite"
    copy.write_bytes(with_record(data[: data.index(b"PK\x03\x04")], record))
    return copy
