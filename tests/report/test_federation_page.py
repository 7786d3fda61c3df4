import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest

from medward.agents.metrics import measures
from medward.report.charts import Curve, draw_curves
from medward.report.federation_page import breakable, caution_of, page_of, seconds, share, size, write_report

CLASSES = ("benign", "scan", "flood")
VOID = ("meta", "wbr")
ALL_MEASURED = {"binary_macro_f1": 0.8, "multiclass_macro_f1": 0.6, "expected_cost": 0.1, "escalation_rate": 0.2}


def a_round(number: int, **changes: Any) -> dict[str, Any]:
    report: dict[str, Any] = {
        "round": number,
        "task": "train",
        "cohort": ["hospital-1", "hospital-2", "hospital-3"],
        "outcome": "final",
        "bytes_up": 1500,
        "bytes_down": 2_340_000,
        "contributions": {"hospital-1": f"bafkcontribution{number}"},
        "answers": {"hospital-2": f"bafkanswer{number}"},
        "model": f"bafkmodel{number}",
        "seconds": {"train": 1.5, "combine": 0.001},
        "validation": ALL_MEASURED,
    }
    return report | changes


def a_document(log: list[dict[str, Any]], classes: tuple[str, ...] = CLASSES, **changes: Any) -> dict[str, Any]:
    y = np.repeat(np.arange(3), (80, 15, 5)).astype(np.int32)
    decision = np.where(np.arange(100) % 10 == 0, 0, y).astype(np.int32)
    document: dict[str, Any] = {
        "data": "x-iomt",
        "synthetic": False,
        "protocol": "honest",
        "sites": 3,
        "rounds": len(log),
        "partition": "blocks",
        "protect": "none",
        "seed": 0,
        "options": {"data": "x-iomt", "sites": 3, "silent": ["hospital-2", "hospital-3"], "seed": 0},
        "rows": {"train": 4000, "validation": 100, "test": 100},
        "metrics": measures(y, decision, decision.astype(np.float32), classes),
        "expected_cost": 0.02,
        "escalation_rate": 0.1,
        "model": "medward-out/model",
        "model_name": "sha256:00ff",
        "report": "medward-out/report.html",
        "seconds": 3.0,
        "rounds_log": log,
    }
    return document | changes


def three_hospitals(**changes: Any) -> list[dict[str, Any]]:
    measured = {"test_rows": 33, "attack_recall": 0.5, "false_alarm_rate": 0.01}
    return [
        {"hospital": f"hospital-{n}", "rows": 1333, "attack_share": 0.2, "classes": 3, "macro_f1": f1}
        | measured
        | changes
        for n, f1 in enumerate((0.9, 0.7, 0.8), 1)
    ]


class Elements(HTMLParser):
    """Every element of a page with its attributes, and whether the tags that need an end have one."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def words(self) -> str:
        return " ".join("".join(self.text).split())


def written(
    out: Path,
    document: dict[str, Any],
    hospitals: list[dict[str, Any]] | None = None,
    classes: tuple[str, ...] = CLASSES,
) -> str:
    told = {"hospitals": three_hospitals() if hospitals is None else hospitals, "classes": classes}
    write_report(out, document | told)
    return (out / "report.html").read_text()


def test_page_is_well_formed_and_ids_are_unique_and_found(tmp_path: Path) -> None:
    elements = Elements(written(tmp_path, a_document([a_round(n) for n in range(3)]))).found
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert "chart-f1-title" in ids
    for _, attributes in elements:
        named = (attributes.get("aria-labelledby") or "").split() + [
            link[1:] for key in ("href", "xlink:href") if (link := attributes.get(key))
        ]
        assert set(named) <= set(ids)


def test_page_asks_for_nothing_from_elsewhere_and_runs_nothing(tmp_path: Path) -> None:
    page = written(tmp_path, a_document([a_round(n) for n in range(3)]))
    elements = Elements(page).found
    assert {tag for tag, _ in elements}.isdisjoint(
        {"script", "link", "img", "iframe", "object", "embed", "base", "form", "audio", "video"}
    )
    for _, attributes in elements:
        assert not any(key.startswith("on") or key in ("src", "srcset", "data", "action") for key in attributes)
        assert (attributes.get("href") or "#").startswith("#")
    assert not re.search(r"https?://|//\w|@import|javascript:", page)
    assert all(target.startswith("#") for target in re.findall(r"url\(\s*[\"']?([^)]*)", page))
    policy = [a["content"] for tag, a in elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy
    assert "default-src 'none'" in (policy[0] or "")


def test_hostile_names_are_text(tmp_path: Path) -> None:
    hostile = "</style><script>alert(1)</script>\"' onload=x {{ 7*7 }} $x_1$"
    log = [a_round(0, cohort=["hospital-1"]), a_round(1, task=hostile, outcome=hostile, seconds={hostile: 1.0})]
    hospitals = [line | {"hospital": hostile} for line in three_hospitals()]
    classes = (hostile + "a", hostile + "b", hostile + "c")
    names = dict.fromkeys(("data", "model", "model_name", "partition", "protocol", "protect", "seed"), hostile)
    page = written(tmp_path, a_document(log, classes, **names), hospitals, classes)
    elements = Elements(page)
    assert "script" not in {tag for tag, _ in elements.found}
    assert not any("onload" in attributes for _, attributes in elements.found)
    assert hostile + "b" in elements.words()


def test_a_run_that_measured_nothing_still_gets_its_page(tmp_path: Path) -> None:
    nothing = a_document([a_round(0, task="survey", validation=None, seconds={})])
    nothing["metrics"]["binary"] = dict.fromkeys(nothing["metrics"]["binary"])
    bare = [{"hospital": "hospital-1", "rows": 3, "attack_share": 0.0, "classes": 1}]
    text = Elements(written(tmp_path / "bare", nothing, bare)).words()
    assert "None" not in text
    assert "No round was measured on validation rows." in text
    assert "not measured hospital by hospital" in text
    unmeasured = three_hospitals(macro_f1=None, attack_recall=None)
    partly = a_round(1, validation=ALL_MEASURED | {"binary_macro_f1": None})
    text = Elements(written(tmp_path / "partly", a_document([partly]), unmeasured)).words()
    assert "None" not in text
    assert "worst" not in text


def test_only_benign_test_rows_have_no_figure_that_needs_attacks(tmp_path: Path) -> None:
    y = np.zeros(10, np.int32)
    metrics = measures(y, y, y.astype(np.float32), CLASSES)
    text = Elements(written(tmp_path, a_document([a_round(0)], metrics=metrics))).words()
    assert "100 % of the 10 test rows are benign" in text
    assert "not in the test rows" in text
    assert "nan" not in text.lower()


def test_void_survey_and_incomplete_rounds_are_told(tmp_path: Path) -> None:
    log = [
        a_round(0, task="survey", validation=None),
        a_round(1, cohort=[], outcome="2 of 3 contributed; 3 are needed", validation=None),
        a_round(2, cohort=["hospital-1", "hospital-3"]),
    ]
    page = written(tmp_path, a_document(log, rounds=2))
    text = Elements(page).words()
    assert "3 rounds: 2 final, 1 void." in text
    assert "void: 2 of 3 contributed; 3 are needed" in text
    assert "survey" in text
    rows = [re.sub(r"<[^>]+>|\s+", " ", row) for row in re.findall(r"<tr.*?</tr>", page, re.DOTALL)]
    missing = [row for row in rows if "2 of 3" in row and "contributed" not in row]
    assert len(missing) == 1
    assert "hospital-2" in missing[0]
    assert "1 in no sum" not in text
    void = next(row for row in rows if "contributed" in row)
    assert "hospital-" not in void


def test_hospital_that_was_in_no_sum_is_told(tmp_path: Path) -> None:
    log = [a_round(n, cohort=["hospital-1", "hospital-3"]) for n in range(2)]
    text = Elements(written(tmp_path, a_document(log))).words()
    assert "1 in no sum" in text


def test_task_on_encrypted_rows_is_told_in_place_of_rounds(tmp_path: Path) -> None:
    names = [f"hospital-{n}" for n in (1, 2, 3)]
    task: dict[str, Any] = {
        "task": "00000002",
        "plan": "00000001",
        "rows": dict.fromkeys(names, 1333),
        "tables": {name: f"bafktable-{name}" for name in names},
        "results": {"hospital-2": "bafkresult", "hospital-1": "bafklie", "hospital-3": "bafkresult"},
        "result": "bafkresult",
        "shares": {name: f"bafkshares-{name}" for name in names},
        "ended": None,
    }
    document = a_document([], protect="outsourced", rounds=1, tasks_log=[task])
    page = written(tmp_path, document)
    words = Elements(page).words()
    assert "none; 1 task on encrypted rows" in words
    assert "together in 1 task, each on rows of its own, which left the hospital encrypted." in words
    assert "hospital-1 1,333, hospital-2 1,333, hospital-3 1,333" in words
    assert "hospital-2, hospital-3; hospital-1 otherwise" in words
    assert "in how many sums, of 1, it took part" in words
    for untrue in ("in no sum", "0 rounds", "training round", "Learning over the rounds", "learning curves"):
        assert untrue not in words
    for name in ("bafktable-hospital-3", "bafklie", "bafkshares-hospital-1"):
        assert name in words
    assert 'id="rounds"' not in page
    void = a_document([], rounds=1, tasks_log=[task | {"ended": "<b>nobody</b> computed it", "result": None}])
    words = Elements(written(tmp_path, void)).words()
    assert "void: <b>nobody</b> computed it" in words
    assert "3 in no sum" in words


def test_model_that_costs_as_much_as_never_alerting_is_called_of_no_use() -> None:
    document = a_document([]) | {"classes": ["benign", "scan"], "expected_cost": 0.1}
    document["metrics"] = {"multiclass": {"confusion": [[90, 0], [10, 0]]}}
    (told,) = caution_of(document)
    assert "costs 0.1000 on the test rows, and a detector that never alerts costs 0.1000" in told
    assert caution_of(document | {"expected_cost": 0.099}) == ()
    # Where there is no attack, never alerting is right, and nothing is learned of the model.
    document["metrics"] = {"multiclass": {"confusion": [[100, 0], [0, 0]]}}
    assert caution_of(document) == ()


def test_rounds_fold_only_when_there_are_many(tmp_path: Path) -> None:
    for count, folded in ((12, False), (13, True)):
        page = written(tmp_path, a_document([a_round(n) for n in range(count)]))
        assert (f"<summary>All {count} rounds</summary>" in page) == folded


def test_everything_that_was_added_is_named(tmp_path: Path) -> None:
    log = [a_round(0), a_round(1, outcome="too few", cohort=[], answers={}, model="")]
    page = written(tmp_path, a_document(log))
    for name in ("bafkcontribution0", "bafkanswer0", "bafkmodel0", "bafkcontribution1"):
        assert name in page
    assert "void: too few" in " ".join(Elements(page).words().split())


def test_what_was_checked_and_where_the_time_went_is_told(tmp_path: Path) -> None:
    checks = {"contributions": 3, "in_the_cohort": 2, "complaints": 4, "shown": 1, "answers": 5, "audited": 5}
    spent = {"train": 10.0, "encrypt": 0.5, "order": 0.25, "store": 0.25, "wait": 1.0}
    log = [a_round(0, checks=checks, seconds=spent), a_round(1)]
    page = written(tmp_path, a_document(log))
    words = Elements(page).words()
    assert "2 of 3" in words
    assert "4, 1 shown" in words
    assert "5, audited" in words
    assert "0.50 s of ledger and store" not in words, "the median of both rounds"
    assert re.search(r"took, in the median, 5.75 s of learning, .* s of ledger and store and .* s of waiting", words)
    bars = [attributes for _, attributes in Elements(page).found if attributes.get("class") == "train"]
    assert any("width: 83.33%" in (attributes.get("style") or "") for attributes in bars)


def test_audit_is_named_exactly_where_nodes_left_a_ledger_that_it_reads(tmp_path: Path) -> None:
    for ledger, named in (("pbft", True), ("cometbft", False)):
        options = {"data": "ward", "ledger": ledger}
        assert (
            "medward audit --home medward-out"
            in Elements(written(tmp_path / ledger, a_document([a_round(0)], options=options))).words()
        ) is named
    assert "medward audit" not in Elements(written(tmp_path, a_document([a_round(0)]))).words()


def test_worst_hospital_is_marked_in_words(tmp_path: Path) -> None:
    page = written(tmp_path, a_document([a_round(0)]))
    marked = re.findall(r'<tr class="worst">.*?</tr>', page, re.DOTALL)
    assert len(marked) == 1
    assert "hospital-2" in marked[0]
    assert ">worst<" in marked[0]
    assert 'class="worst"' not in written(tmp_path, a_document([a_round(0)]), three_hospitals(macro_f1=0.9))


@pytest.mark.parametrize("synthetic", [True, False])
def test_badge_stands_exactly_on_synthetic_data(tmp_path: Path, synthetic: bool) -> None:
    text = Elements(written(tmp_path, a_document([a_round(0)], synthetic=synthetic))).words()
    assert ("synthetic" in text) is synthetic


@pytest.mark.parametrize("protect", ["none", "aggregate"])
def test_warning_stands_exactly_on_unprotected_updates(tmp_path: Path, protect: str) -> None:
    text = Elements(written(tmp_path, a_document([a_round(0)], protect=protect))).words()
    assert ("were not protected" in text) is (protect == "none")


def test_always_normal_scores_what_a_silent_detector_measures(tmp_path: Path) -> None:
    document = a_document([a_round(0)])
    y = np.repeat(np.arange(3), (80, 15, 5)).astype(np.int32)
    silent = measures(y, np.zeros_like(y), np.zeros(100, np.float32), CLASSES)
    cards = re.findall(r"<li><h3>(.*?)</h3>.*?“Always normal”: (.*?)</p></li>", written(tmp_path, document))
    told = dict(cards)
    assert told["Binary macro-F1"] == f"{silent['binary']['macro_f1']:.4f}"
    assert told["Multi-class macro-F1"] == f"{silent['multiclass']['macro_f1']:.4f}"
    assert told["AUROC"] == f"{silent['binary']['auroc']:.4f}"
    assert told["Expected cost a window"] == "0.2000"


def test_two_calls_write_the_same_bytes_and_leave_nothing_else(tmp_path: Path) -> None:
    document = a_document([a_round(n) for n in range(3)])
    pages = [written(tmp_path / name, document) for name in ("one", "two")]
    assert pages[0] == pages[1]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["metrics.json", "report.html"]
    read = json.loads((tmp_path / "one" / "metrics.json").read_text())
    assert read == document | {"hospitals": three_hospitals(), "classes": list(CLASSES)}
    assert page_of(read) == pages[0].encode()


def test_failing_report_leaves_the_old_one(tmp_path: Path) -> None:
    page = written(tmp_path, a_document([a_round(0)]))
    with pytest.raises(ValueError, match="zip"):
        written(tmp_path, a_document([a_round(0)], seed=1), classes=CLASSES[:2])
    assert (tmp_path / "report.html").read_text() == page
    assert json.loads((tmp_path / "metrics.json").read_text())["seed"] == 0


def test_drawing_tells_its_values_and_leaves_the_settings_alone() -> None:
    before = dict(matplotlib.rcParams)
    drawing = draw_curves("key", "A & B", [3, 4, 5], [Curve("cost", [None, 0.5, 0.25])], void=[3])
    assert drawing is not None
    assert '<title id="key-title">A &amp; B</title>' in drawing
    assert "0.5000 after round 4, 0.2500 after round 5" in drawing
    assert "void round" in drawing
    assert not re.search(r"#[0-9a-f]{6}", drawing), "a colour that does not follow the page"
    assert dict(matplotlib.rcParams) == before
    assert draw_curves("key", "none", [0], [Curve("cost", [None])]) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0 %"), (1.0, "100 %"), (1e-6, "< 0.01 %"), (0.99999, "> 99.9 %"), (0.0034, "0.34 %"), (0.5, "50.0 %")],
)
def test_share_never_rounds_some_to_none_or_all(value: float, text: str) -> None:
    assert share(value).replace("\N{NO-BREAK SPACE}", " ") == text


def test_sizes_and_seconds_have_about_three_digits() -> None:
    sizes = [size(value).replace("\N{NO-BREAK SPACE}", " ") for value in (0, 999, 1000, 999_900, 2_340_000, 5e13)]
    assert sizes == ["0 B", "999 B", "1.00 kB", "1.00 MB", "2.34 MB", "50.0 TB"]
    assert [seconds(value) for value in (None, 0.0, 1.234, 12.34, 1234.5)] == ["–", "0.00", "1.23", "12.3", "1,234"]


def test_names_break_after_underscores_and_stay_escaped() -> None:
    assert breakable("a_<b>") == "a_<wbr>&lt;b&gt;"


def test_command_repeats_every_option_of_the_run(tmp_path: Path) -> None:
    words = Elements(written(tmp_path, a_document([a_round(0)]))).words()
    assert "--silent hospital-2 --silent hospital-3" in " ".join(words.split())


def test_command_tells_a_switch_by_its_name_alone(tmp_path: Path) -> None:
    options = {"data": "ward", "simulate": True, "quiet": False}
    words = Elements(written(tmp_path, a_document([a_round(0)], options=options))).words()
    assert "--data ward --simulate --out" in " ".join(words.split())


def test_what_figures_are_worth_stands_above_them() -> None:
    log = [a_round(0)]
    plain = page_of({**a_document(log), "hospitals": [], "classes": list(CLASSES)}).decode()
    cautions = ["80% of the rows repeat another row's features.", "<b> alone tells scan from all other rows."]
    told = page_of({**a_document(log, cautions=cautions), "hospitals": [], "classes": list(CLASSES)}).decode()
    assert "Caution" not in plain
    assert (
        told.index("<li>80% of the rows repeat") < told.index("&lt;b&gt; alone tells scan") < told.index("Key figures")
    )
