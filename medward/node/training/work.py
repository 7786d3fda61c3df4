"""The local work of a member: training on its own rows, the next shared model, and whether it is better."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping

from medward.agents.sentinel.model import Provenance, SentinelModel
from medward.federation.blobs import blob_name
from medward.federation.errors import FederationError, NothingToTrain
from medward.federation.model.hospital import trial_secret
from medward.federation.model.plan import plan_digest
from medward.federation.model.shared_model import SharedModel
from medward.federation.model.shared_model_format import decode_model, encode_model
from medward.federation.model.survey import first_model
from medward.federation.round.effects import Advance, Advanced, Judge, Judged, Produced, Work
from medward.federation.rules import FederationState
from medward.federation.stopwatch import Stopwatch
from medward.node.errors import InvalidConfiguration
from medward.node.training.data import OwnSide, ParticipantSettings, own_side
from medward.node.training.files import TrainingFiles
from medward.node.training.recent_models import RecentModels
from medward.node.training.retention import MODELS
from medward.store.interface import BlobStore

_LOG = logging.getLogger("medward.node")
_RETRY_SECONDS = 0.5


class TrainingWork:
    """A member's private side, at work beside the node's event loop.

    Args:
        name: the member.
        settings: where its data are, and what is trained.
        files: what it must not forget.
        store: keeps the shared models.
        watch: counts the time.
        read_model: gets a shared model's bytes that are not here, None where they cannot be had yet.
    """

    def __init__(
        self,
        name: str,
        settings: ParticipantSettings,
        files: TrainingFiles,
        store: BlobStore,
        watch: Stopwatch,
        read_model: Callable[[str], Awaitable[bytes | None]],
    ) -> None:
        self._name, self._settings, self._files, self._store = name, settings, files, store
        self._watch, self._read_model = watch, read_model
        self._models = RecentModels()
        self._working = asyncio.Lock()
        self.own: OwnSide | None = None
        #: Whether there is nothing here to contribute.
        self.observes = False

    @property
    def models(self) -> Collection[str]:
        """The shared models that are at hand."""
        return self._models.keys()

    async def prepare(self) -> None:
        """Read the data, and hold the first model."""
        settings = self._settings
        secret = trial_secret(settings.seed, settings.site) if settings.trial else self._files.secret()
        self.own = await asyncio.to_thread(own_side, settings, secret)
        self.own.hospital.carried = self._files.carried()
        first = first_model(self.own.plan)
        encoded = encode_model(first)
        self._models.use(blob_name(encoded), first)
        await asyncio.to_thread(self._store.add, encoded, pin=MODELS)
        _LOG.info("%s has %d training rows of %s", self._name, self.own.rows, settings.data)
        self.observes = self.own.own.labels == "none"
        if self.own.own.labels != "both":
            _LOG.warning("%s %s", self._name, self.own.own.meaning)
        if not self.observes:
            try:
                await asyncio.to_thread(self.own.hospital.check_rows, self.own.plan)
            except NothingToTrain as error:
                _LOG.warning("%s observes: %s", self._name, error)
                self.observes = True

    def check_plan(self, state: FederationState) -> None:
        """Refuse to train something else than was agreed on.

        Raises:
            InvalidConfiguration: node.toml does not give the plan that was.
        """
        assert self.own is not None
        if plan_digest(self.own.plan) != state.agreement.plan:
            raise InvalidConfiguration(
                "node.toml, [participant]: data, rounds, bits, seed and courier do not give the plan that the "
                "federation agreed on; ask another member for its settings"
            )

    async def work(self, effect: Work) -> Produced | None:
        """Do a round's task on the member's own rows; None where there is nothing to contribute."""
        assert self.own is not None
        if self.observes:
            return None
        shared = await self.shared(effect.model)
        # One round after the other, also for a member that was too late: what is carried from each to the next is one.
        async with self._working:
            with self._watch.doing("train"):
                try:
                    values = await asyncio.to_thread(self.own.hospital.work, shared, effect.round)
                except NothingToTrain as error:
                    # A latecomer whose classes nobody had when the model's were fixed, or a hospital that a sum of
                    # moments would expose.
                    _LOG.warning("%s observes: %s", self._name, error)
                    self.observes = True
                    return None
                if self.own.hospital.carried is not None:
                    await asyncio.to_thread(self._files.carry, self.own.hospital.carried)
        return Produced(effect.round, values)

    async def advance(self, effect: Advance) -> Advanced | None:
        """Make the next shared model and keep it; None where the sum leads to none."""
        shared = await self.shared(effect.model)
        try:
            with self._watch.doing("combine"):
                after = await asyncio.to_thread(shared.advance, effect.total, effect.refused, effect.turnout)
                encoded = encode_model(after)
        except FederationError as error:
            # Everybody decrypts the same sum and finds the same: the round ends as void at its deadline.
            _LOG.warning("round %d leads to no model: %s", effect.round, error)
            return None
        name = blob_name(encoded)
        self._models.use(name, after)
        with self._watch.doing("store"):
            await asyncio.to_thread(self._store.add, encoded, pin=MODELS)
            await asyncio.to_thread(self._files.keep_model, name, encoded)
        return Advanced(effect.round, encoded, after.next)

    async def judge(self, effect: Judge) -> Judged:
        """Try the next shared model on the member's own validation rows."""
        assert self.own is not None
        before, after = await self.shared(effect.before), await self.shared(effect.after)
        with self._watch.doing("train"):
            accept = await asyncio.to_thread(self.own.hospital.accepts, before, after)
        return Judged(effect.round, accept)

    async def for_use(self, name: str, members: int, protect: str) -> SentinelModel | None:
        """Return the model that a shared model puts on guard; None as long as nothing was trained.

        Args:
            name: the shared model.
            members: how many hospitals train.
            protect: how their updates are protected.
        """
        shared = await self.shared(name)
        if shared.round < 1:
            return None
        schema = shared.plan.space.schema
        origin = Provenance(
            how="federated",
            round=shared.round - 1,
            sites=members,
            protect=protect,
            synthetic=schema.synthetic,
            seed=shared.plan.seed,
            shared_model=name,
        )
        return await asyncio.to_thread(shared.guard, origin)

    async def validation(self, model: SentinelModel) -> Mapping[str, float] | None:
        """Return how a model does on the member's own labelled validation rows, None where it has none."""
        assert self.own is not None
        return await asyncio.to_thread(self.own.hospital.validate, model)

    async def shared(self, name: str) -> SharedModel:
        """Return a shared model by its name, from a peer where this member did not make it itself."""
        assert self.own is not None
        while name not in self._models:
            content = await self._read_model(name)
            if content is None:
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            self._models[name] = await asyncio.to_thread(decode_model, self.own.plan, content)
        return self._models.use(name, self._models[name])
