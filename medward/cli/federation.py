"""`medward federation`: begin one, come into one, with new keys too; running.py asks running nodes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medward.cli import running
from medward.cli._console import errors, print_json, say
from medward.cli._data import CLOSED_FORM_HELP, COURIER_HELP, FEATURES, FEATURES_HELP, LEAST_FEATURES, warn_of
from medward.cli._options import HomeOption, JsonOption
from medward.errors import BadUsage, MedwardError

if TYPE_CHECKING:
    from medward.flows.datasets import Dataset
    from medward.node.home.federation_file import FederationFile
    from medward.node.home.folder import Home
    from medward.node.training.data import OwnRows
    from medward.node.trial.founding import Agree, Seat

#: A sum needs three contributors; a ledger of n = 3 f + 1 members bears f that fail or lie.
_LEAST_MEMBERS, _FAULT_TOLERANT = 3, 4

app = typer.Typer(help="Begin a federation, join it, leave it, see how it stands.", no_args_is_help=True)

MemberOption = Annotated[
    str | None,
    typer.Option("--member", help="NAME=HOST:PORT at which the others reach this one; it uses PORT to PORT+3."),
]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="This hospital's rows, in a federation that trains: a file or folder.")
]
FingerprintOption = Annotated[
    str | None, typer.Option("--fingerprint", help="The federation's fingerprint as you heard it, to be compared.")
]
SwarmKeyOption = Annotated[
    Path | None, typer.Option("--swarm-key", help="The federation's swarm.key, where its store is Kubo.")
]


@app.command("init")
def init(
    out: Annotated[Path, typer.Option("--out", help="Folder for the federation file, and for the homes.")],
    *,
    name: Annotated[str, typer.Option("--name", help="The federation's name.")] = "federation",
    member: Annotated[
        list[str] | None,
        typer.Option("--member", help="NAME=HOST:PORT of a member whose home is made here; it uses PORT to PORT+3."),
    ] = None,
    card: Annotated[
        list[Path] | None, typer.Option("--card", help="Card of a member who made its home itself (join --member).")
    ] = None,
    train: Annotated[
        str | None,
        typer.Option("--train", help="Data set whose columns the members share, such as ciciomt2024; see `data list`."),
    ] = None,
    schema: Annotated[
        Path | None,
        typer.Option(
            "--schema", help="Complete schema file of the columns that the members share; instead of --train."
        ),
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", help="How many training rounds the plan has.")] = 50,
    closed_form: Annotated[bool, typer.Option("--closed-form", help=CLOSED_FORM_HELP)] = False,
    features: Annotated[
        int,
        typer.Option("--features", min=LEAST_FEATURES, help=FEATURES_HELP),
    ] = FEATURES,
    bits: Annotated[int, typer.Option("--bits", help="The width of a value of an update: 4, 8, 12 or 16.")] = 16,
    courier: Annotated[str, typer.Option("--courier", help=COURIER_HELP)] = "",
    budget: Annotated[
        int, typer.Option("--budget", help="Bytes that all training sums may take under --courier; 0: no limit.")
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", help="What the first weights are drawn from.")] = 0,
    deadline: Annotated[float, typer.Option("--deadline", help="Seconds that each phase of a round may take.")] = 600.0,
    application: Annotated[
        str, typer.Option("--application", help="What the ledger agrees on, without --train.")
    ] = "bank",
    store: Annotated[
        str, typer.Option("--store", help="embedded, or kubo, for which a swarm key is made.")
    ] = "embedded",
    ledger: Annotated[str, typer.Option("--ledger", help="pbft, or cometbft for one operator.")] = "pbft",
    as_json: JsonOption = False,
) -> None:
    """Begin a federation.

    With --member, homes for all are made here, keys and all: for one machine or one operator. Between hospitals, each
    makes its own home with `medward federation join --member`, and one of them begins the federation with all --card
    files and hands federation.json to the others.

    Example: medward federation init --out trial --member north=10.0.0.1:7450 --member south=10.0.0.2:7450
    """
    _check_choice("--ledger", ledger, "pbft", "cometbft")
    _check_choice("--store", store, "embedded", "kubo")
    members = _Members(tuple(member or ()), tuple(card or ()))
    training = None
    if train is not None or schema is not None:
        training = _TrainingOptions(
            *(train, schema, 1 if closed_form else rounds, bits, seed, courier, budget, deadline),
            features=features if closed_form else 0,
        )
    foundation = _Foundation(name, out, members, training, application, store, ledger)
    say("making keys and homes")
    homes, federation = _found(foundation)
    if len(members) < _FAULT_TOLERANT:
        errors().print(
            f"{len(members)} members are fewer than four: none of them may fail or lie, and nothing is ordered while "
            "one is away"
        )
    if as_json:
        print_json(
            {
                "federation": name,
                "fingerprint": federation.fingerprint,
                "file": str(foundation.file),
                "members": [known.name for known in federation.cards],
                "card_fingerprints": {known.name: known.fingerprint for known in federation.cards},
                "homes": {member_name: str(home.folder) for member_name, home in homes.items()},
            }
        )
        return
    typer.echo(f"{name} begins with {len(federation.cards)} members; its fingerprint is {federation.fingerprint}")
    if homes and training is not None:
        typer.echo(f"  first each says: medward federation join --home HOME --federation {foundation.file} --data PATH")
    for member_name, home in homes.items():
        typer.echo(f"  {member_name}: medward node up --home {home.folder}")
    if not homes:
        typer.echo("  compare the fingerprint of each card with the one that its hospital read to you:")
        for known in federation.cards:
            typer.echo(f"    {known.name}: {known.fingerprint}")
        file = foundation.file
        typer.echo(f"  give {file} to every member; each says: medward federation join --home HOME --federation FILE")
        if store == "kubo":
            typer.echo(f"  give {out / 'swarm.key'} to every member over a safe channel; each adds: --swarm-key FILE")


@dataclass(frozen=True)
class _Members:
    """Who belongs to a federation: by address, or by the card of a home that is made already; one of the two."""

    addresses: tuple[str, ...]
    cards: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.addresses) + len(self.cards)


@dataclass(frozen=True)
class _TrainingOptions:
    """What a federation that trains agrees on; see the options of `init`."""

    data: str | None
    schema: Path | None
    rounds: int
    bits: int
    seed: int
    courier: str
    budget: int
    deadline: float
    features: int = 0

    def dataset(self) -> "Dataset":
        """Return the data set that medward knows by name, or the one that the schema file describes."""
        from medward.flows.datasets import DATASETS
        from medward.flows.schema_file import dataset_of, read_schema

        if self.schema is not None:
            if self.data is not None:
                raise BadUsage(
                    "--train names columns that medward knows, --schema describes others: give one of the two"
                )
            return dataset_of(read_schema(self.schema))
        if self.data not in DATASETS:
            names = ", ".join(DATASETS)
            raise BadUsage(f"--train: expected one of {names}, got '{self.data}'; --schema describes others")
        return DATASETS[self.data]

    def sums(self, members: int) -> dict[str, Any]:
        """Return how sums are made, for node.toml."""
        courier = {"courier": self.courier, "budget": self.budget, "members": members}
        numbers = {"rounds": self.rounds, "bits": self.bits, "seed": self.seed}
        return numbers | ({"features": self.features} if self.features else {}) | courier


@dataclass(frozen=True)
class _Foundation:
    """A federation to begin; see the options of `init`."""

    name: str
    folder: Path
    members: _Members
    training: _TrainingOptions | None
    program: str
    store: str
    ledger: str

    @property
    def file(self) -> Path:
        """The federation's file."""
        return self.folder / "federation.json"

    @property
    def application(self) -> str:
        """What the ledger agrees on."""
        return self.program if self.training is None else "training"


def _found(foundation: _Foundation) -> "tuple[dict[str, Home], FederationFile]":
    """Begin a federation, and return the homes that were made here, by member, and its file's content."""
    from medward.node.applications import program_of
    from medward.node.errors import InvalidConfiguration
    from medward.node.home.cards import read_card
    from medward.node.home.federation_file import read_federation, write_federation
    from medward.node.trial.founding import found_on_one_machine, found_with_cards, make_swarm_key

    name, folder, members, file = foundation.name, foundation.folder, foundation.members, foundation.file
    if bool(members.addresses) == bool(members.cards):
        raise BadUsage("give the members with --member, or their cards with --card: one of the two")
    agree, table = _plan(foundation) if foundation.training else (_agreed_by(foundation.application), {})
    program_of(foundation.application)
    if members.cards and foundation.ledger == "cometbft":
        raise BadUsage("one operator makes all keys of CometBFT: use --member, or the ledger pbft")
    if file.exists():
        raise MedwardError(f"{file} is there already; choose another folder, so that no federation is lost")
    homes: dict[str, Home] = {}
    if members.addresses:
        seats = [_seat(text) for text in members.addresses]
        try:
            homes = found_on_one_machine(
                *(folder, name, seats, foundation.application),
                settings={"participant": table, "store": {"engine": foundation.store}},
                agree=agree,
                engine="cometbft" if foundation.ledger == "cometbft" else "pbft",
            )
        except InvalidConfiguration as error:
            raise BadUsage(str(error)) from None
    else:
        cards = [read_card(path) for path in members.cards]
        federation = found_with_cards(name, cards, foundation.application, agree=agree)
        folder.mkdir(parents=True, exist_ok=True)
        write_federation(federation, file)
        if foundation.store == "kubo":
            make_swarm_key(folder / "swarm.key")
    return homes, read_federation(file)


def _agreed_by(application: str) -> "Agree | None":
    """Return what gives the parameters of an application that does not train."""
    if application not in ("outsourced", "scoring"):
        return None
    from medward.node.computing.rules import computing_parameters_of

    return computing_parameters_of


def _check_choice(option: str, given: str, *choices: str) -> None:
    if given not in choices:
        raise BadUsage(f"{option}: expected {' or '.join(choices)}, got '{given}'")


def _plan(foundation: _Foundation) -> "tuple[Agree, dict[str, object]]":
    """Return what a federation that trains agrees on, and what its members' node.toml says of it."""
    from medward.node.errors import InvalidConfiguration
    from medward.node.training.data import ParticipantSettings, plan_for
    from medward.node.training.rules import agreement_parameters

    options, name = foundation.training, foundation.name
    assert options is not None
    dataset, sums = options.dataset(), options.sums(len(foundation.members))
    if len(foundation.members) < _LEAST_MEMBERS:
        raise BadUsage(
            f"a federation of {len(foundation.members)} cannot train, because a sum of fewer than three updates would "
            "show each what another learned: give at least four members"
        )
    if options.deadline <= 0 or options.rounds < 1:
        raise BadUsage("--deadline and --rounds: expected numbers above 0")
    try:
        plan = plan_for(dataset, ParticipantSettings(data=dataset.name, **sums))
    except InvalidConfiguration as error:
        raise BadUsage(f"--courier, --budget and --features: {error}") from None
    ours = ("courier", "budget", "members")
    agreed = {"data": dataset.name} | ({"schema": dataset.text} if dataset.text else {})
    table: dict[str, object] = agreed | {k: v for k, v in sums.items() if options.courier or k not in ours}
    deadline, text = options.deadline, dataset.text
    return lambda members: agreement_parameters(plan, members, name=name, deadline=deadline, schema=text), table


@app.command("join")
def join(
    home: HomeOption,
    *,
    member: MemberOption = None,
    federation: Annotated[
        Path | None, typer.Option("--federation", help="federation.json, from a member of the federation.")
    ] = None,
    fingerprint: FingerprintOption = None,
    data: DataOption = None,
    swarm_key: SwarmKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a home with keys and a card to hand over (--member), and take over the federation's file (--federation).

    In a federation that runs, do both at once: the home is then ready, and waits until members have said `medward
    federation admit` with its card. Before it begins, --member comes first, and the card goes to whoever says `init
    --card`.

    Example: medward federation join --home east --member east=10.0.0.5:7450
    Example: medward federation join --home east --federation federation.json --data flows --fingerprint "1f0a ..."
    """
    from medward.node.home.federation_file import read_federation
    from medward.node.home.folder import Home

    if member is None and federation is None:
        raise BadUsage("give --member to make a home, or --federation to activate it, or both")
    if federation is None and any(given is not None for given in (data, swarm_key, fingerprint)):
        raise BadUsage("--data, --swarm-key and --fingerprint belong to --federation, which says what they are for")
    found = None if federation is None else read_federation(federation)
    own = None
    made = Home(home)
    if found is not None:
        running.compare_fingerprints(fingerprint, found.fingerprint)
        own = _check_data(found, data, {} if member is not None else made.configuration().participant)
    if member is not None:
        made = Home.create(home, _seat(member).configuration())
    card = made.card()
    document: dict[str, Any] = {"member": card.name, "card": str(made.card_file), "card_fingerprint": card.fingerprint}
    text = f"the card of {card.name} is {made.card_file}; its fingerprint is {card.fingerprint}"
    if found is not None:
        made.install(found)
        _settle(made, found, data, swarm_key)
        known = found.genesis.membership.member(card.name)
        founder = known is not None and known.keys == card.member.keys
        document |= {"federation": found.name, "fingerprint": found.fingerprint, "founder": founder}
        text = f"{home} belongs to {found.name} ({found.fingerprint}); start it: medward node up --home {home}"
        if own is not None:
            document |= {"training_rows": len(own.train), "labels": own.labels}
            text += f"\nof its rows, {len(own.train)} are for training; it {own.meaning}"
        if not founder:
            text += f"\nuntil a member says `medward federation admit {made.card_file.name}`, it waits"
    if as_json:
        print_json(document)
    else:
        typer.echo(text)


def _check_data(federation: "FederationFile", data: Path | None, present: Mapping[str, object]) -> "OwnRows | None":
    """Read rows as the node will, and refuse now what it would refuse then; return what they are for.

    Args:
        federation: what its members train.
        data: this hospital's rows.
        present: the home's settings of before, where it has some.
    """
    from medward.flows.reading import data_files, recognise
    from medward.node.training.data import read_data, read_settings, side_of
    from medward.node.training.rules import participant_table

    parameters = federation.application.parameters
    agreed = parameters.get("data")
    if agreed is None:
        if data is not None:
            raise BadUsage(f"{federation.name} does not train; leave out --data")
        return None
    if data is None:
        if "data" not in present:
            _check_known_place(federation.name, agreed, described="schema" in parameters)
        return None
    say(f"reading {data}")
    data_files(data)
    if "schema" not in parameters and (found := recognise(data).name) != agreed:
        raise MedwardError(
            f"{data} holds rows of {found}, and {federation.name} trains on {agreed}; give your rows of it"
        )
    settings = read_settings(participant_table(parameters, str(data.resolve())))
    prepared = read_data(settings)
    warn_of(prepared.dataset, prepared.flows)
    side = side_of(prepared, settings, b"")
    if side.own.labels != "none":
        side.hospital.check_rows(side.plan)
    return side.own


def _check_known_place(federation: str, agreed: str, *, described: bool) -> None:
    """Refuse a home without rows, unless the data set that was agreed on lies where it is found by its name."""
    from medward.flows.opening import known_place

    if agreed == "ward":
        return
    missing = f"{federation} trains on {agreed}: say where this hospital's rows are, with --data"
    if described:
        raise BadUsage(missing)
    try:
        known_place(agreed)
    except MedwardError:
        raise BadUsage(missing) from None


def _settle(home: "Home", federation: "FederationFile", data: Path | None, swarm_key: Path | None) -> None:
    """Have a home say what its federation agreed on, and what only this member knows."""
    from medward.node.home.configuration import add_participant, change_key
    from medward.node.training.rules import participant_table

    if federation.application.name == "training":
        where = None if data is None else str(data.resolve())
        add_participant(home.configuration_file, participant_table(federation.application.parameters, where))
        if where is not None:
            change_key(home.configuration_file, "participant", "data", where)
    if swarm_key is not None:
        home.take_swarm_key(swarm_key)


@app.command("rotate")
def rotate(
    home: HomeOption,
    *,
    member: MemberOption = None,
    federation: Annotated[
        Path | None, typer.Option("--federation", help="federation.json from another member, where the home is lost.")
    ] = None,
    fingerprint: FingerprintOption = None,
    incarnation: Annotated[
        int | None, typer.Option("--incarnation", min=1, help="Number of the new keys, where the last is not known.")
    ] = None,
    data: DataOption = None,
    swarm_key: SwarmKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make new keys, as a new incarnation of a member whose disk was lost, restored from a backup, or stolen.

    The old keys and secrets are destroyed. The new card goes to another member, who says `medward federation admit`.
    Where the whole home is gone, give --member, --federation and what goes with them as for `join`.

    Example: medward federation rotate --home north
    """
    from medward.node.home.federation_file import read_federation
    from medward.node.home.folder import Home

    if (member is None) != (federation is None):
        raise BadUsage("--member and --federation belong together: both, where the home is lost, or none")
    if federation is None and any(given is not None for given in (data, swarm_key, fingerprint)):
        raise BadUsage("--data, --swarm-key and --fingerprint are for a home that was lost; this one has them")
    if member is not None and federation is not None:
        found, seat = read_federation(federation), _seat(member)
        running.compare_fingerprints(fingerprint, found.fingerprint)
        known = found.card(seat.name)
        if known is None and incarnation is None:
            raise MedwardError(f"{federation} knows no member {seat.name}; check the name, or give --incarnation")
        _check_data(found, data, {})
        number = incarnation or (0 if known is None else known.member.incarnation) + 1
        made = Home.create(home, seat.configuration(), number)
        made.install(found)
        _settle(made, found, data, swarm_key)
        card = made.card()
    else:
        made = Home(home)
        card = made.renew(incarnation or made.card().member.incarnation + 1)
    if as_json:
        print_json(
            {
                "member": card.name,
                "incarnation": card.member.incarnation,
                "card": str(made.card_file),
                "card_fingerprint": card.fingerprint,
            }
        )
        return
    typer.echo(
        f"{card.name} has new keys, incarnation {card.member.incarnation}; its card is {made.card_file}, fingerprint "
        f"{card.fingerprint}\nanother member says `medward federation admit {made.card_file.name}`; then start the node"
    )


def _seat(text: str) -> "Seat":
    from medward.node.errors import InvalidConfiguration
    from medward.node.trial.founding import Seat

    try:
        return Seat.of(text)
    except InvalidConfiguration as error:
        raise BadUsage(str(error)) from None


running.add_to(app)
