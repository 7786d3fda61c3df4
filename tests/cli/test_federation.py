"""`medward federation`, as far as it makes homes and cards: `init`, `join`, `rotate`."""

import os
from pathlib import Path

import polars as pl
import pytest

from medward.federation.model.plan import plan_digest
from medward.flows.datasets import DATASETS, ward
from medward.node.home.cards import read_card
from medward.node.home.federation_file import read_federation
from medward.node.home.folder import Home
from medward.node.training.data import plan_for, read_settings
from medward.node.training.rules import participant_table, read_agreement
from tests.cli.conftest import MEMBERS, Run, assert_bad_usage


def test_init_makes_homes_that_agree(medward: Run, tmp_path: Path) -> None:
    done = medward("federation", "init", "--out", tmp_path / "trial", "--name", "ward", *MEMBERS, "--json")
    assert done.code == 0
    assert done.document["members"] == ["h0", "h1", "h2", "h3"]
    assert set(done.document["homes"]) == {"h0", "h1", "h2", "h3"}
    federations = {Home(Path(folder)).federation().fingerprint for folder in done.document["homes"].values()}
    assert federations == {done.document["fingerprint"]}


def test_init_makes_homes_that_train(medward: Run, tmp_path: Path) -> None:
    words = ("federation", "init", "--out", tmp_path / "trial", "--train", "ciciomt2024", "--rounds", 7, *MEMBERS)
    done = medward(*words)
    assert done.code == 0, done.err
    home = Home(tmp_path / "trial" / "h1")
    assert home.configuration().participant == {"data": "ciciomt2024", "rounds": 7, "bits": 16, "seed": 0}
    agreement = read_agreement(home.federation().application.parameters)
    assert set(agreement.members) == {"h0", "h1", "h2", "h3"}
    assert agreement.accounts["h1"] == home.card().member.keys[0].data


def test_federation_with_courier_names_its_policy(medward: Run, tmp_path: Path) -> None:
    words = ("federation", "init", "--train", "ciciomt2024", "--rounds", 7, *MEMBERS)
    courier = ("--courier", "every:2:8", "--budget", 10**9)
    for name, extra in (("with", courier), ("without", ())):
        done = medward(*words, "--out", tmp_path / name, *extra)
        assert done.code == 0, done.err
    home, other = (Home(tmp_path / name / "h1") for name in ("with", "without"))
    table = home.configuration().participant
    assert table["courier"] == "every:2:8"
    assert (table["budget"], table["members"]) == (10**9, 4)
    parameters = home.federation().application.parameters
    assert parameters["courier"] == "every:2:8:0"
    joined = read_settings(participant_table(parameters))
    assert plan_digest(plan_for(DATASETS["ciciomt2024"], joined)) == read_agreement(parameters).plan
    assert read_agreement(parameters).plan != read_agreement(other.federation().application.parameters).plan


@pytest.mark.parametrize(
    "words",
    [
        ["init", "--out", "x", "--train", "horoscopes", *MEMBERS],
        ["init", "--out", "x", "--train", "ciciomt2024", "--courier", "sometimes", *MEMBERS],
        ["init", "--out", "x", "--train", "ciciomt2024", "--budget", "5", *MEMBERS],
        ["init", "--out", "x"],
        ["init", "--out", "x", "--store", "floppy", *MEMBERS],
        ["join", "--home", "x", "--member=a=127.0.0.1:7450", "--data", "rows"],
        ["init", "--out", "x", "--member=north"],
        ["init", "--out", "x", "--member=a=127.0.0.1:7450", "--member=b=127.0.0.1:7451"],
        ["init", "--out", "x", "--member=a=127.0.0.1:7450", "--member=a=127.0.0.1:7460"],
        ["init", "--out", "x", "--member=a=127.0.0.1:7450", "--card", "card.json"],
        ["join", "--home", "x"],
        ["join", "--home", "x", "--member=NORTH=127.0.0.1:7450"],
        ["join", "--home", "x", "--member=a=127.0.0.1:7450", "--fingerprint", "1f0a"],
        ["rotate", "--home", "x", "--member=a=127.0.0.1:7450"],
        ["rotate", "--home", "x", "--fingerprint", "1f0a"],
    ],
)
def test_bad_usage_is_told_in_one_sentence(
    medward: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_bad_usage(medward, tmp_path, ("federation", *words))


def test_hospitals_that_trust_nobody_with_their_keys_exchange_cards(medward: Run, tmp_path: Path) -> None:
    cards = []
    for number in range(4):
        home = tmp_path / f"host{number}" / "home"
        done = medward("federation", "join", "--home", home, f"--member=h{number}=10.0.0.{number + 1}:7450", "--json")
        assert done.code == 0, done.err
        cards.append(done.document)
    init = ("federation", "init", *(f"--card={card['card']}" for card in cards), "--out")
    printed = medward(*init, tmp_path / "told").out
    assert all(f"{card['member']}: {card['card_fingerprint']}\n" in printed for card in cards)
    done = medward(*init, tmp_path / "all", "--json")
    assert done.document["card_fingerprints"] == {card["member"]: card["card_fingerprint"] for card in cards}
    assert done.document["homes"] == {}
    assert not list((tmp_path / "all").rglob("*.key"))
    file, fingerprint = done.document["file"], done.document["fingerprint"]
    for number in range(4):
        home = tmp_path / f"host{number}" / "home"
        done = medward(
            "federation", "join", "--home", home, "--federation", file, "--fingerprint", fingerprint, "--json"
        )
        assert done.document["founder"] is True
        assert Home(home).federation().fingerprint == fingerprint
    wrong = medward(
        "federation", "join", "--home", home, "--federation", file, "--fingerprint", "0000" + fingerprint[4:]
    )
    assert wrong.code == 1
    assert "fingerprint" in wrong.sentence


def test_a_newcomer_makes_its_card_and_waits_to_be_admitted(medward: Run, trial: Path, tmp_path: Path) -> None:
    home = tmp_path / "east"
    done = medward(
        "federation", "join", "--home", home, "--member=east=127.0.0.1:22100", "--federation", trial / "federation.json"
    )
    assert done.code == 0
    assert "medward federation admit" in done.out
    assert read_card(home / "card.json").name == "east"


def flows(folder: Path, seed: int = 3) -> Path:
    """Write rows of the synthetic ward."""
    folder.mkdir()
    ward.write_csv(folder / "flows.csv", 500, seed=seed)
    return folder


def test_join_says_what_was_agreed_on_and_where_the_rows_are(medward: Run, tmp_path: Path) -> None:
    words = ("federation", "init", "--out", tmp_path / "all", "--train", "ward", "--rounds", 7, "--seed", 3, *MEMBERS)
    assert medward(*words).code == 0
    file, home, rows = tmp_path / "all" / "federation.json", tmp_path / "east", flows(tmp_path / "own rows")
    join = ("federation", "join", "--home", home, "--member=east=127.0.0.1:22100")
    done = medward(*join, "--federation", file, "--data", rows)
    assert done.code == 0, done.err
    expected = {"data": str(rows), "rounds": 7, "bits": 16, "seed": 3}
    assert Home(home).configuration().participant == expected
    # A founder's home is there before anything is agreed on.
    home = tmp_path / "west"
    assert medward("federation", "join", "--home", home, "--member=west=127.0.0.1:22110").code == 0
    assert Home(home).configuration().participant == {}
    assert medward("federation", "join", "--home", home, "--federation", file).code == 0
    assert Home(home).configuration().participant == {**expected, "data": "ward"}
    # What the operator wrote stays.
    toml = Home(home).configuration_file
    toml.write_text(toml.read_text() + "keep_rounds = 5  # enough for us\n")
    assert medward("federation", "join", "--home", home, "--federation", file, "--data", rows).code == 0
    assert Home(home).configuration().participant == {**expected, "keep_rounds": 5}
    assert "# enough for us" in toml.read_text()
    # A home that was lost is made anew the same way.
    rotate = ("federation", "rotate", "--home", tmp_path / "again", "--member=h1=127.0.0.1:22010")
    assert medward(*rotate, "--federation", file, "--data", rows).code == 0
    assert Home(tmp_path / "again").configuration().participant == expected
    assert medward("federation", "rotate", "--home", home, "--data", rows).code == 2


def test_join_takes_no_rows_of_another_data_set(medward: Run, trial: Path, tmp_path: Path) -> None:
    assert medward("federation", "init", "--out", tmp_path / "all", "--train", "ciciomt2024", *MEMBERS).code == 0
    rows, home = flows(tmp_path / "rows"), tmp_path / "east"
    join = ("federation", "join", "--home", home, "--member=east=127.0.0.1:22100", "--data", rows, "--federation")
    done = medward(*join, tmp_path / "all" / "federation.json")
    assert done.code == 1
    assert "holds rows of ward, and federation trains on ciciomt2024" in done.sentence
    done = medward(*join, trial / "federation.json")
    assert done.code == 2
    assert "does not train" in done.sentence
    assert not home.exists()
    assert medward(*join[:-1]).code == 2


def test_members_of_a_federation_on_kubo_exchange_its_swarm_key(medward: Run, tmp_path: Path) -> None:
    home = tmp_path / "north"
    assert medward("federation", "join", "--home", home, "--member=north=10.0.0.1:7450").code == 0
    words = ("federation", "init", "--out", tmp_path / "founding", "--store", "kubo", "--card", home / "card.json")
    done = medward(*words)
    assert done.code == 0, done.err
    key = tmp_path / "founding" / "swarm.key"
    assert key.stat().st_mode & 0o777 == 0o600
    join = ("federation", "join", "--home", home, "--federation", tmp_path / "founding" / "federation.json")
    assert medward(*join, "--swarm-key", home / "card.json").code == 1
    assert Home(home).configuration().store.engine == "embedded"
    assert medward(*join, "--swarm-key", key).code == 0
    assert Home(home).configuration().store.engine == "kubo"
    assert Home(home).configuration().store.swarm == "/ip4/10.0.0.1/tcp/7453"
    assert Home(home).swarm_key_file.read_text() == key.read_text()
    assert Home(home).swarm_key_file.stat().st_mode & 0o777 == 0o600


def test_rotate_destroys_old_keys_and_numbers_the_new(medward: Run, trial: Path) -> None:
    before = Home(trial / "h1").card()
    done = medward("federation", "rotate", "--home", trial / "h1", "--json")
    assert done.document["incarnation"] == 1
    assert Home(trial / "h1").card().member.keys != before.member.keys
    assert medward("federation", "rotate", "--home", trial / "h1", "--json").document["incarnation"] == 2


def test_rotate_makes_a_lost_home_anew(medward: Run, trial: Path, tmp_path: Path) -> None:
    words = ["federation", "rotate", "--home", tmp_path / "new", "--federation", trial / "federation.json"]
    done = medward(*words, "--member=h1=127.0.0.1:22010", "--json")
    assert done.document["incarnation"] == 1
    unknown = medward(*words[:2], "--home", tmp_path / "other", *words[4:], "--member=h9=127.0.0.1:22090")
    assert unknown.code == 1
    assert "knows no member h9" in unknown.sentence
    another = (*words[:2], "--home", tmp_path / "third", *words[4:], "--member=h1=127.0.0.1:22010", "--fingerprint")
    told = read_federation(trial / "federation.json").fingerprint
    assert "this is not the file that you were told of" in medward(*another, told[::-1]).sentence
    assert not (tmp_path / "third").exists()
    assert medward(*another, told.upper()).code == 0


def test_fewer_members_than_bear_a_fault_are_told_of_and_fewer_than_train_are_refused(
    medward: Run, tmp_path: Path
) -> None:
    init = ("federation", "init", "--train", "ward", "--out")
    assert "fewer than four" in medward(*init, tmp_path / "three", *MEMBERS[:3]).sentence
    assert medward(*init, tmp_path / "four", *MEMBERS).err == ""
    done = medward(*init, tmp_path / "two", *MEMBERS[:2])
    assert done.code == 2
    assert "give at least four members" in done.sentence
    assert not (tmp_path / "two").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["federation", name]
        for name in ("init", "join", "admit", "remove", "retract", "leave", "resume", "rotate", "status")
    ],
)
def test_every_command_has_an_example(medward: Run, command: list[str]) -> None:
    done = medward(*command, "--help")
    assert done.code == 0
    assert f"Example: medward {' '.join(command)}" in done.out


def test_join_refuses_what_the_node_would_refuse_and_makes_no_home(medward: Run, tmp_path: Path) -> None:
    assert medward("federation", "init", "--out", tmp_path / "all", "--train", "ward", *MEMBERS).code == 0
    file, rows, home = tmp_path / "all" / "federation.json", flows(tmp_path / "rows") / "flows.csv", tmp_path / "east"
    join = ("federation", "join", "--home", home, "--member=east=127.0.0.1:22100", "--federation", file)
    frame = pl.read_csv(rows, infer_schema=False).with_row_index("row")
    # The last row is as wrong as the first would be.
    wrong = pl.when(pl.col("row") == frame.height - 1).then(pl.lit("ransom")).otherwise(pl.col("label"))
    frame.with_columns(wrong.alias("label")).drop("row").write_csv(rows)
    done = medward(*join, "--data", rows)
    assert done.code == 1
    assert "row 500, column 'label': 'ransom' is no class" in done.sentence
    frame.head(1).drop("row").write_csv(rows)
    done = medward(*join, "--data", rows)
    assert done.code == 1
    assert "too few to train on" in done.sentence
    assert not home.exists()


def test_join_refuses_rows_that_are_too_few_for_a_model_in_closed_form(medward: Run, tmp_path: Path) -> None:
    """A node with so few would stand aside, and with two of them of four nothing would ever be summed."""
    init = ("federation", "init", "--out", tmp_path / "all", "--train", "ward", "--closed-form")
    assert medward(*init, *MEMBERS).code == 0
    rows, home = flows(tmp_path / "rows") / "flows.csv", tmp_path / "east"
    join = ("federation", "join", "--federation", tmp_path / "all" / "federation.json", "--data", rows)
    done = medward(*join, "--home", home, "--member=east=127.0.0.1:22100")
    assert done.code == 1
    assert "They are too few to hide in a sum for 512 features" in done.sentence
    assert not home.exists()
    pl.read_csv(rows, infer_schema=False).drop("label").write_csv(rows)
    assert medward(*join, "--home", home, "--member=east=127.0.0.1:22100").code == 0


def test_join_names_what_is_no_table(medward: Run, tmp_path: Path) -> None:
    assert medward("federation", "init", "--out", tmp_path / "all", "--train", "ward", *MEMBERS).code == 0
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    join = ("federation", "join", "--home", tmp_path / "east", "--member=east=127.0.0.1:22100", "--federation")
    for name, what in (("loop", "no such file or folder"), ("pipe", "neither a file nor a folder")):
        done = medward(*join, tmp_path / "all" / "federation.json", "--data", tmp_path / name)
        assert (done.code, what in done.sentence) == (1, True)
    assert not (tmp_path / "east").exists()


def test_join_takes_rows_of_one_kind_and_rows_without_labels_and_says_so(medward: Run, tmp_path: Path) -> None:
    assert medward("federation", "init", "--out", tmp_path / "all", "--train", "ward", *MEMBERS).code == 0
    join = ("federation", "join", "--federation", tmp_path / "all" / "federation.json")
    frame = pl.read_csv(flows(tmp_path / "rows") / "flows.csv", infer_schema=False)
    for number, (labels, own, words) in enumerate(
        (
            ("benign", frame.filter(pl.col("label") == "benign"), "trains on benign rows alone"),
            ("none", frame.drop("label"), "has no labels"),
        )
    ):
        path, seat = tmp_path / f"{labels}.csv", (f"--member=m{number}=127.0.0.1:{22200 + 10 * number}", "--data")
        own.write_csv(path)
        told = medward(*join, "--home", tmp_path / f"told-{number}", *seat, path, "--json").document
        assert (told["labels"], told["training_rows"] > 50) == (labels, True)
        assert words in medward(*join, "--home", tmp_path / f"said-{number}", *seat, path).out


def test_join_asks_for_the_rows_of_a_data_set_that_is_nowhere(
    medward: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MEDWARD_DATA", raising=False)
    assert medward("federation", "init", "--out", tmp_path / "all", "--train", "ciciomt2024", *MEMBERS).code == 0
    join = ("federation", "join", "--home", tmp_path / "east", "--member=east=127.0.0.1:22100", "--federation")
    done = medward(*join, tmp_path / "all" / "federation.json")
    assert done.code == 2
    assert "with --data" in done.sentence
    assert not (tmp_path / "east").exists()
