"""The code of docs/api.md runs, from top to bottom, and says what `import medward` offers."""

import re
from pathlib import Path
from typing import Any

import pytest

import medward
from tests.api.conftest import SCHEMA, own_rows
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_code_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    own_rows(1000, 3).write_csv("gateway.csv")
    Path("gateway.toml").write_text(SCHEMA)
    names: dict[str, Any] = {"__name__": "page"}
    for number, block in enumerate(re.findall(r"(?ms)^```python\n(.*?)^```", PAGE)):
        exec(compile(block, f"block {number} of docs/api.md", "exec"), names)
    told = capsys.readouterr().out
    assert "Data(ward: 4000 rows" in told
    assert told.splitlines()[-1].startswith("medward-out is no node's home")
    for what in ("model", "own_model"):
        assert names[what].evaluate(names["split"]).metrics["binary"]["macro_f1"] > 0.9
    assert names["robust"].model.evaluate(names["split"]).metrics["binary"]["macro_f1"] > 0.8


def test_every_function_has_a_row_and_every_name_a_place_in_the_reference() -> None:
    reference = (ROOT / "docs" / "site" / "python" / "medward.md").read_text(encoding="utf-8")
    for name in medward.__all__:
        if name != "MedwardError":
            assert re.search(rf"\.{name}$", reference, flags=re.MULTILINE)
        if name.islower():
            assert f"| `{name}(" in PAGE
