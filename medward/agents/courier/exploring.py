"""Decisions at random beside a policy's own, so that a log holds what each of them leads to."""

import hashlib
import json
from dataclasses import dataclass

from medward.agents.courier.observation import Decision, Observation
from medward.agents.courier.policies import CourierPolicy


@dataclass(frozen=True)
class Exploring:
    """A policy that is left for a random decision now and then; the draws follow from the seed and what is seen.

    Args:
        policy: what is followed otherwise.
        menu: what may be drawn.
        odds: how often each of them is drawn, relative to the others.
        share: the share of random decisions, in hundredths.
        seed: what the draws derive from.
    """

    policy: CourierPolicy
    menu: tuple[Decision, ...]
    odds: tuple[int, ...]
    share: int
    seed: int

    def decide(self, seen: Observation) -> Decision:
        """Return a random decision, or the policy's."""
        digest = hashlib.sha256(f"medward courier exploring 1 {self.seed} {seen.features()}".encode()).digest()
        if int.from_bytes(digest[:8], "little") % 100 >= self.share:
            return self.policy.decide(seen)
        drawn = int.from_bytes(digest[8:16], "little") % sum(self.odds)
        for decision, odds in zip(self.menu, self.odds, strict=True):
            drawn -= odds
            if drawn < 0:
                return decision
        raise AssertionError

    def text(self) -> str:
        """Return the policy as one text."""
        menu = [[d.periods, d.bits, d.ciphertexts] for d in self.menu]
        return json.dumps(["exploring", self.policy.text(), menu, self.odds, self.share, self.seed])
