"""The members of one sum as numbers, without journals: what the mathematics alone gives."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from medward.fhe import ciphertexts, reconstruction
from medward.fhe.checking import check_dealing, check_own_share, read_audit_response, read_response
from medward.fhe.context import Challenge, SumContext
from medward.fhe.contribution import Dealing, fits_digest, read_contribution, share_label
from medward.fhe.errors import ShareFault
from medward.fhe.hybrid import HybridKey
from medward.fhe.packing import BlockLayout
from medward.fhe.parameters import sum_parameters

BEACON = b"beacon"
_KEYS: dict[int, HybridKey] = {}


def key(holder: int) -> HybridKey:
    if holder not in _KEYS:
        _KEYS[holder] = HybridKey()
    return _KEYS[holder]


class World:
    """A sum of `contributors` (all holders, if left out), with the classes of the dealings of those that lie."""

    def __init__(
        self,
        holders: int = 4,
        values: int = 400,
        bits: int = 8,
        contributors: int | None = None,
        liars: Mapping[int, type[Dealing]] | None = None,
        seed: int = 1,
    ) -> None:
        self.holders = tuple(range(1, holders + 1))
        self.dealers = tuple(range(1, (contributors or holders) + 1))
        members = max(len(self.holders), len(self.dealers))
        self.faulty, faulty_holders = (members - 1) // 3, (holders - 1) // 3
        self.parameters = sum_parameters(bits, len(self.dealers), holders, self.faulty, holders - faulty_holders)
        self.layout = BlockLayout(self.parameters, 0, values)
        self.context = SumContext(self.parameters, b"occasion %d" % seed, self.holders, self.layout.blocks)
        generator = np.random.default_rng(seed)
        largest = self.parameters.largest_value
        self.inputs = {i: generator.integers(-largest, largest + 1, values) for i in self.dealers}
        classes = {i: (liars or {}).get(i, Dealing) for i in self.dealers}
        self.dealings = {
            i: classes[i](self.context, i, hashlib.sha256(b"key %d %d" % (seed, i)).digest()) for i in self.dealers
        }
        keys = {j: key(j).public for j in self.holders}
        self.encoded = {i: self.dealings[i].contribute(self.split(self.inputs[i]), keys) for i in self.dealers}
        self.contributions = {i: read_contribution(self.context, data) for i, data in self.encoded.items()}
        self.challenge = Challenge(self.context, BEACON)
        self.encoded_responses = {i: self.dealings[i].respond(self.challenge) for i in self.dealers}
        self.responses = {i: read_response(self.context, data) for i, data in self.encoded_responses.items()}

    def split(self, values: np.ndarray) -> np.ndarray:
        return self.layout.split(np.zeros(0, np.int64), values)

    def check_dealing(self, dealer: int) -> None:
        check_dealing(self.challenge, self.contributions[dealer], self.responses[dealer])

    def share(self, dealer: int, holder: int) -> bytes:
        """Return what a holder finds in its box."""
        box = bytes(self.contributions[dealer].boxes[holder])
        share = key(holder).unseal(box, share_label(self.context, dealer, holder))
        if not fits_digest(self.context, self.contributions[dealer], dealer, holder, share):
            raise ShareFault("does not fit")
        return share

    def checked(self, dealer: int, holder: int) -> np.ndarray:
        return check_own_share(self.challenge, holder, self.share(dealer, holder), self.responses[dealer])

    def accepts(self, dealer: int, holder: int) -> bool:
        try:
            self.checked(dealer, holder)
        except ShareFault:
            return False
        return True

    def answers(
        self, holders: Iterable[int] | None = None, cohort: Sequence[int] | None = None
    ) -> dict[int, np.ndarray]:
        """Return the answers of holders that check their shares."""
        cohort = self.dealers if cohort is None else cohort
        out = {}
        for j in self.holders if holders is None else holders:
            parts = [reconstruction.answered_part(self.checked(i, j)) for i in cohort]
            out[j] = reconstruction.read_answer(self.context, reconstruction.answer(self.context, parts))
        return out

    def check_sum(self, cohort: Sequence[int] | None = None) -> np.ndarray:
        chosen = self.dealers if cohort is None else cohort
        return ciphertexts.add_elements(self.context, [self.contributions[i].check_block for i in chosen])

    def reconstruct(
        self, answers: Mapping[int, np.ndarray], cohort: Sequence[int] | None = None
    ) -> reconstruction.Reconstructed | None:
        return reconstruction.reconstruct(self.context, self.check_sum(cohort), answers)

    def decrypt(self, secret: np.ndarray, cohort: Sequence[int] | None = None) -> np.ndarray:
        chosen = self.dealers if cohort is None else cohort
        sums = ciphertexts.add_elements(self.context, [self.contributions[i].blocks for i in chosen])
        return self.layout.join(ciphertexts.decrypt(self.context, sums, secret))

    def total(self, cohort: Sequence[int] | None = None) -> np.ndarray:
        return sum(self.inputs[i] for i in (self.dealers if cohort is None else cohort))

    def secret(self, cohort: Sequence[int] | None = None) -> np.ndarray:
        return sum(self.dealings[i].secrets.secret for i in (self.dealers if cohort is None else cohort))

    def audit(self, beacon: bytes, answers: Mapping[int, np.ndarray]) -> tuple[int, ...]:
        rows = self.context.audit_rows(beacon)
        responses = [read_audit_response(self.context, self.dealings[i].respond_to_audit(rows)) for i in self.dealers]
        return reconstruction.audit(self.context, rows, responses, answers)
