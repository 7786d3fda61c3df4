"""Four hospitals add up their vectors without showing them; one of them cheats, and is named.

Every step is what a node does in a round; here bytes pass from hand to hand in one process. See spec/scheme.md.
"""

import secrets
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from medward.federation.sums.encrypted import EncryptedSum
from medward.federation.sums.interface import DealingVerdict, SumTerms
from medward.federation.sums.journal import AnswerJournal

NAMES = ("north", "south", "east", "west")
LIAR, VALUES, BITS = "west", 1000, 16


def main() -> None:
    """Run one sum from the first key to the total."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        # A journal makes a member give one answer to one question, also after a crash: a second would reveal its key.
        paths = {name: Path(folder, f"{name}.sqlite") for name in (*NAMES, "second face")}
        journals = {name: opened.enter_context(AnswerJournal(path)) for name, path in paths.items()}
        parts = {name: EncryptedSum(name, journals[name], secrets.token_bytes(32)) for name in NAMES}

        # Shares are sealed to fresh keys. Three of four answers decrypt, since one member may lie or be away.
        keys = tuple(part.sealing_key() for part in parts.values())
        recent = secrets.token_bytes(32)  # in a federation: the hash of the block in which the sum began
        terms = SumTerms("ward", 1, 0, VALUES, BITS, NAMES, NAMES, keys, faulty=1, threshold=3, recent=recent)
        largest = 2 ** (BITS - 1) - 1
        vectors = {name: np.random.default_rng().integers(-largest, largest + 1, VALUES) for name in NAMES}
        contributions = {name: parts[name].contribute(terms, vectors[name]) for name in NAMES}

        # The beacon comes after all contributions are fixed, so that nobody can prepare for its tests.
        beacon = secrets.token_bytes(32)
        responses = {name: parts[name].respond(terms, beacon) for name in NAMES if name != LIAR}
        # The liar contributed under one secret and responds under another.
        other = EncryptedSum(LIAR, journals["second face"], secrets.token_bytes(32))
        other.contribute(terms, vectors[LIAR])
        responses[LIAR] = other.respond(terms, beacon)

        for dealer in NAMES:
            dealt = (dealer, contributions[dealer], responses[dealer])
            found = {name: part.examine(terms, beacon, *dealt) for name, part in parts.items()}
            print(f"{dealer}: " + ", ".join(f"{name} finds it {verdict.value}" for name, verdict in found.items()))
            assert set(found.values()) == {DealingVerdict.AT_FAULT if dealer == LIAR else DealingVerdict.GOOD}

        # Only the sum over those who dealt well is ever decrypted: each holder answers once, for one cohort.
        cohort = tuple(name for name in NAMES if name != LIAR)
        answers = {name: parts[name].answer(terms, cohort) for name in cohort}
        assert (decrypted := parts["north"].decrypt(terms, cohort, contributions, answers))
        assert np.array_equal(decrypted.total, sum(vectors[name] for name in cohort))
        print(f"the sum of {', '.join(cohort)} is exact in all {VALUES} values; {LIAR} is left out")


if __name__ == "__main__":
    main()
