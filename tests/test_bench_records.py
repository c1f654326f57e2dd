import json
from pathlib import Path

import pytest

from kerasmusic import plots
from kerasmusic.bench import latency, pages, picture, records, report
from kerasmusic.command_line import main
from kerasmusic.errors import ArgumentError, KerasMusicError

ROOT = Path(__file__).resolve().parents[1]
COMMITTED = sorted((ROOT / "bench" / "records").glob("*.json"))


@pytest.fixture(scope="module")
def kept(exported, tmp_path_factory):
    """A record of latency, as a file."""
    settings = latency.Settings(threads=(1,), rounds=1, warm_up=3, steps=20, real_time=0.05, sustained=0.2)
    record = latency.measure([exported["tiny"][1]], settings)
    path = tmp_path_factory.mktemp("records") / "here.json"
    records.write_record(record, path)
    return path


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
def test_a_committed_record_holds_to_the_schema_and_names_no_place_of_a_machine(path):
    record = records.read_record(path)
    assert report.text(record)
    assert not any(place in path.read_text() for place in ("/home/", "/work/", "/tmp/", "/root/"))


@pytest.mark.parametrize(("page", "name"), [("docs/benchmarks.md", "performance"), ("README.md", "summary")])
def test_the_tables_of_a_page_are_what_the_committed_records_make(page, name):
    assert pages.marked(name, records.read_records(COMMITTED)) in (ROOT / page).read_text()


def test_a_record_is_written_and_read(kept):
    record = records.read_record(kept)
    assert record["kind"] == "latency"
    assert "tiny float32" in report.text(record)


def test_a_mangled_record_is_refused_with_the_reason(kept, tmp_path):
    record = json.loads(kept.read_text())
    path = tmp_path / "mangled.json"
    del record["results"][0]["layers_us"]["note"]["p99"]
    path.write_text(json.dumps(record))
    with pytest.raises(KerasMusicError, match=r"mangled\.json: not the record of a kerasmusic benchmark \(.*p99"):
        records.read_record(path)


@pytest.mark.parametrize("text", ["[]", "{}", "3", '{"format": 1}', '{"format": 1, "kind": "latency"}'])
def test_what_is_no_record_is_refused(text, tmp_path):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(KerasMusicError, match="not the record"):
        records.read_record(path)


def test_what_is_not_json_or_newer_or_not_there_is_refused(tmp_path):
    path = tmp_path / "x.json"
    with pytest.raises(KerasMusicError, match="no such file"):
        records.read_record(path)
    path.write_bytes(b"\xff\xfe not json")
    with pytest.raises(KerasMusicError, match="not JSON"):
        records.read_record(path)
    path.write_text('{"format": 99}')
    with pytest.raises(KerasMusicError, match=r"has format 99.*upgrade"):
        records.read_record(path)


def test_a_target_is_met_at_its_bound():
    assert records.target("x", 4, at_most=4)["met"]
    assert not records.target("x", 4.01, at_most=4)["met"]
    assert records.target("x", 40, at_least=40)["met"]
    assert not records.target("x", 39.9, at_least=40)["met"]


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_latency_is_drawn(kept, tmp_path, suffix):
    record = records.read_record(kept)
    record["models"][0]["nats"] = {"nats": 9.3, "interval": [9.2, 9.4], "notes": 100, "pieces": 1}
    plots.save(picture.latency([record]), tmp_path / f"x.{suffix}")
    head = (tmp_path / f"x.{suffix}").read_bytes()[:100]
    assert head.startswith(b"\x89PNG") if suffix == "png" else b"<?xml" in head
    (_, by_nats) = picture.latency([record]).axes
    (line,) = by_nats.lines
    assert (line.get_xdata()[0], line.get_ydata()[0]) == (9.3, record["results"][0]["layers_us"]["note"]["p50"])


def test_without_a_record_of_latency_there_is_no_picture():
    with pytest.raises(ArgumentError, match="none of these"):
        picture.latency([{"kind": "train"}])


def test_a_pi_has_a_row_of_its_own_once_it_was_measured(kept):
    record = records.read_record(kept)
    assert pages.performance([record]).count(pages.NOT_MEASURED) == 3
    record["machine"]["board"] = "Raspberry Pi 4 Model B Rev 1.4"
    tables = pages.performance([record])
    assert tables.count(pages.NOT_MEASURED) == 2
    assert "| Raspberry Pi 4 Model B Rev 1.4, " in tables
    assert f"| Raspberry Pi 5 | {pages.NOT_MEASURED}" in tables


def test_the_summary_is_of_what_was_trained(kept):
    record = records.read_record(kept)
    assert pages.summary([record]) == pages.NOT_MEASURED
    record["models"][0]["nats"] = {"nats": 9.3, "interval": [9.2, 9.4], "notes": 100, "pieces": 1}
    assert "| tiny float32 | " in pages.summary([record, {"kind": "train"}])


@pytest.mark.parametrize("name", pages.TABLES)
def test_only_the_tables_of_a_page_are_written(name, kept, tmp_path):
    path = tmp_path / "page.md"
    path.write_text(f"before\n\n{pages.BEGIN.format(name)}\nof yore\n{pages.END.format(name)}\n\nafter\n")
    assert main(["bench", "report", str(kept), "--page", str(path)]) == 0
    text = path.read_text()
    assert text.startswith("before\n\n")
    assert text.endswith("\n\nafter\n")
    assert pages.marked(name, [records.read_record(kept)]) in text
    assert "of yore" not in text


def test_a_page_without_markers_for_tables_stays(kept, tmp_path, capsys):
    path = tmp_path / "page.md"
    path.write_text("no markers")
    assert main(["bench", "report", str(kept), "--page", str(path)]) == 2
    assert "has no markers for the tables" in capsys.readouterr().err
    assert path.read_text() == "no markers"


@pytest.mark.slow
def test_the_command_measures_keeps_and_prints(exported, tmp_path, capsys):
    path = tmp_path / "x.json"
    arguments = ["--short", "--steps", "20", "--rounds", "1", "-o", str(path)]
    assert main(["bench", "latency", str(exported["tiny"][1]), *arguments]) == 0
    assert "tiny float32" in capsys.readouterr().out
    assert records.read_record(path)["settings"]["steps"] == 20
    assert main(["bench", "report", str(path)]) == 0
    assert "notes/s" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["latency", "report", "tutorial", "train", "ingest", "instructions", "pace"])
def test_every_benchmark_has_help_with_an_example(name, capsys):
    assert main(["bench", name, "--help"]) == 0
    out = capsys.readouterr().out
    assert "example" in out
    assert f"kerasmusic bench {name}" in out


@pytest.mark.parametrize(
    "arguments", [["--threads", "0"], ["--rounds", "0"], ["--sustained", "ten"], ["nothing.tflite"], ["--core", "-1"]]
)
def test_what_latency_cannot_do_is_said_in_a_line(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "latency", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("kerasmusic: ")
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
