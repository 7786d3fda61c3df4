import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_layout", ROOT / "tools" / "check_layout.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("files", "broken"),
    [
        ({f"medward/m{number}.py": "" for number in range(21)}, "holds 21 modules"),
        ({"medward/a.py": "class Plan: ...", "medward/b/c.py": "class Plan: ..."}, "Plan stands in"),
        ({"medward/a.py": "Plan = dict[str, int]", "medward/b.py": "class Plan: ..."}, "Plan stands in"),
        ({"tests/a.py": "from medward.errors import BadUsage as Other"}, "imports BadUsage as Other"),
        ({"medward/a.py": "def f():\n    import json as j", "tests/test_a.py": ""}, "imports json as j"),
        ({"medward/a.py": '"""What it is."""'}, 'begins with "What"'),
        ({"medward/a.py": "def f():\n    return 1"}, "write tests/test_a.py"),
        (
            {"medward/a/b.py": "class C:\n    async def f(self): return 1", "tests/test_b.py": ""},
            "write tests/a/test_b.py",
        ),
    ],
)
def test_each_broken_rule_is_told_with_its_place(
    tool: ModuleType, tmp_path: Path, files: dict[str, str], broken: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    (line,) = tool.broken_rules(tmp_path)
    assert broken in line
    assert str(tmp_path) in line


def test_what_the_field_does_is_no_broken_rule(tool: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "medward").mkdir()
    (tmp_path / "medward" / "a.py").write_text(
        '"""Whatever it is."""\nimport numpy as np\nclass _Plan: ...\nCHAIN = 1\n', encoding="utf-8"
    )
    (tmp_path / "medward" / "b.py").write_text("class _Plan: ...\nCHAIN = 2\n", encoding="utf-8")
    (tmp_path / "medward" / "c").mkdir()
    (tmp_path / "medward" / "c" / "d.py").write_text(
        "class D(Protocol):\n    def f(self): return 1\n"
        "class E:\n    def __init__(self, x): self.x = x\n    def g(self): raise NotImplementedError\n",
        encoding="utf-8",
    )
    assert tool.broken_rules(tmp_path) == []
