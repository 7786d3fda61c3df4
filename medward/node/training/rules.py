"""A federation that trains, as a node's rules: what its file says, and how its members change."""

import json
import math
import secrets
from collections.abc import Mapping, Sequence

import msgspec

from medward.agents.courier.policies import policy_name
from medward.federation.application import FederationApplication
from medward.federation.blobs import blob_name
from medward.federation.model.plan import TrainingPlan, plan_digest
from medward.federation.model.shared_model_format import encode_model
from medward.federation.model.survey import first_model
from medward.federation.records import Announce, Change, Dispatch, Next, Retract, Task, encode_record
from medward.federation.rules import Agreement
from medward.ledger.encoding import Count, encode
from medward.ledger.types import Member, MemberUpdate
from medward.node.errors import InvalidConfiguration
from medward.node.home.cards import Contact
from medward.node.home.federation_file import accounts_parameter, read_accounts
from medward.node.interfaces import Rules
from medward.node.training.earlier_format import check_parameters

_MOST_BITS = 64


def agreement_parameters(
    plan: TrainingPlan,
    members: Sequence[Member],
    *,
    name: str,
    deadline: float,
    protect: str = "aggregate",
    sample: float = 1.0,
    schema: str = "",
) -> dict[str, str]:
    """Return what the federation file says of a federation that trains.

    Args:
        plan: what is trained, and how.
        members: the first members.
        name: the federation's name; what is drawn here makes it unlike any other of that name.
        deadline: the seconds that each phase may take.
        protect: "aggregate" or "none".
        sample: the share of members invited to a training round.
        schema: the text of the schema file that describes the columns; empty where medward knows them.
    """
    first = first_model(plan)
    assert first.next is not None
    courier = plan.courier
    named = (
        {}
        if courier is None
        else {"courier": policy_name(courier.policy), "budget": str(courier.budget), "members": str(courier.members)}
    )
    if schema:
        named["schema"] = schema
    if plan.features:
        named["features"] = str(plan.features)
    return named | {
        "federation": f"{name}-{secrets.token_hex(8)}",
        "accounts": accounts_parameter(members),
        "deadline": repr(deadline),
        "protect": protect,
        "bits": str(plan.bits),
        "plan": plan_digest(plan),
        "data": plan.space.schema.dataset,
        "rounds": str(plan.rounds),
        "seed": str(plan.seed),
        "model": blob_name(encode_model(first)),
        "first": json.dumps([first.next.task, first.next.counts, first.next.values]),
        "sample": repr(sample),
    }


def read_agreement(parameters: Mapping[str, str]) -> Agreement:
    """Return the agreement that a federation file holds.

    Raises:
        InvalidConfiguration: it holds none.
        EarlierFormat: it holds one of an earlier format.
    """
    check_parameters(parameters, "the federation file")
    try:
        accounts = read_accounts(parameters)
        task, counts, values = msgspec.json.decode(parameters["first"], type=tuple[Task, Count, Count])
        protect, bits = parameters["protect"], int(parameters["bits"])
        deadline, sample = float(parameters["deadline"]), float(parameters["sample"])
        if protect not in ("aggregate", "none"):
            raise ValueError(f"protect: {protect:.80}")
        if not (0 < deadline < math.inf and 0 < sample <= 1 and 0 < bits <= _MOST_BITS):
            raise ValueError(f"deadline {deadline}, sample {sample} or the bits of an update")
        return Agreement(
            name=parameters["federation"],
            members=tuple(accounts),
            accounts=accounts,
            deadline=deadline,
            protect="none" if protect == "none" else "aggregate",
            bits=bits,
            plan=parameters["plan"],
            model=parameters["model"],
            first=Next(task, counts, values, Dispatch(bits)),
            sample=sample,
        )
    except (KeyError, ValueError, msgspec.DecodeError) as error:
        raise InvalidConfiguration(
            f"the federation file does not say what a federation trains ({error!r:.200}); get it again from a member"
        ) from None


def participant_table(parameters: Mapping[str, str], data: str | None = None) -> dict[str, object]:
    """Return what node.toml must say under `[participant]` to give the plan that was agreed on.

    Args:
        parameters: as the federation file has them.
        data: where the member's own rows are; by default the name of the data set whose columns are shared.

    Raises:
        InvalidConfiguration: the federation file does not say it.
    """
    try:
        numbers = {key: int(parameters[key]) for key in ("rounds", "bits", "seed")}
        table: dict[str, object] = {"data": data or parameters["data"], **numbers}
        if "schema" in parameters:
            table["schema"] = parameters["schema"]
        if "features" in parameters:
            table["features"] = int(parameters["features"])
        if "courier" in parameters:
            table |= {"courier": parameters["courier"]} | {key: int(parameters[key]) for key in ("budget", "members")}
        return table
    except (KeyError, ValueError) as error:
        raise InvalidConfiguration(
            f"the federation file does not say what a federation trains ({error!r:.200}); get it again from a member"
        ) from None


class TrainingRules(Rules):
    """The rules of a federation that trains.

    Args:
        parameters: as the federation file has them.
    """

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self._agreement = read_agreement(parameters)

    def make_application(self) -> FederationApplication:
        """Return the application of a federation that begins."""
        return FederationApplication(self._agreement)

    def change_members(self, update: MemberUpdate, contact: Contact | None) -> Sequence[bytes]:
        """Return this member's wish; f+1 members must have it, or the one who leaves."""
        if update.member is None:
            return [encode_record(Change(update.name, None, None))]
        account = update.member.keys[0].data
        where = None if contact is None else encode(contact)
        return [encode_record(Change(update.name, account, encode(update.member), where))]

    def retract_wish(self, name: str) -> bytes:
        """Return what takes this member's wish about a name back."""
        return encode_record(Retract(name))

    def announce(self, contact: Contact) -> bytes:
        """Return what a member says of its store's place."""
        return encode_record(Announce(encode(contact)))
