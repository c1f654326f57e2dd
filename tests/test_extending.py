import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[1] / "docs" / "extending.md"
EXAMPLES = dict(re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name.startswith("use_")])
def test_an_example_of_the_page_runs(name, tmp_path):
    for each, code in EXAMPLES.items():
        (tmp_path / each).write_text(code)
    done = subprocess.run(
        [sys.executable, name],
        cwd=tmp_path,
        env={**os.environ, "PYTHONSAFEPATH": "", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if name == "use_printer.py":
        assert "on  " in done.stdout
        assert done.stdout.endswith("silence\n")


def test_each_seam_has_an_example():
    assert len([name for name in EXAMPLES if name.startswith("use_")]) == 5
