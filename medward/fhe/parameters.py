"""Parameter sets of a secure sum, derived from what the sum is for; every figure follows from a rule in exact integers.

The rules and their reasons: spec/scheme.md, "Parameters". All members derive the same set from the same few numbers,
so a set is named by them and never sent.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from math import comb, isqrt
from typing import Literal

from medward.fhe._primes import PRIME_BITS, SLOT_DEGREE, ring_primes
from medward.fhe.errors import UnsafeParameters

Members = Literal["malicious", "semi-honest"]

#: Largest log2 of the modulus for ternary secrets at 128 bits (Bossuat et al., IACR CiC 1(4), 2024).
LARGEST_MODULUS_BITS = {4096: 106, 8192: 214, 16384: 430, 32768: 868}
#: name: (degree N, limbs L, statistical security s of the flooding)
NAMED_SETS = {"AGG-S40": (4096, 2, 40), "AGG-M": (8192, 4, 64), "AGG-L": (16384, 8, 64)}
UPDATE_BITS = (4, 8, 12, 16)
CONTRIBUTORS = (16, 64, 128, 1024)
MOST_HOLDERS = 64
#: Decryptions per key epoch, tau in the flooding rule.
DECRYPTIONS = 1 << 10
#: So many sums whose parts were all proved may fail to decode; then the holders answer no more in the epoch.
MOST_UNDECODED = 4
#: A sum decodes wrongly with probability below 2^-FAILURE_BITS, over all its coefficients.
FAILURE_BITS = 64
#: Errors are centred binomial: the difference of two sums of this many bits, variance ERROR_TERMS / 2.
ERROR_TERMS = 21
#: A flooding coefficient is the sum of FLOOD_PAIRS differences of two uniform integers of flood_bits bits.
FLOOD_PAIRS = 3
#: Upper bound on (Fisher information) * (variance) of that sum: 1.0105; a Gaussian has 1.
FLOOD_INFORMATION = (102, 100)
#: Slack on the square of an l2 norm: (1.035)^2, rounded up.
NORM_SLACK = (108, 100)
#: max |x(zeta)|^2 / (N variance) over all roots zeta, for ternary or binomial x, except with probability 2^-64.
SPECTRAL_GAIN = 110
#: log2 of the least number of challenges that a proof's challenge is drawn from.
CHALLENGE_BITS = 160
#: Proofs are shown with probability at least exp(-7/10) an attempt.
ABORT_EXPONENT = (7, 10)


@dataclass(frozen=True)
class Mask:
    """How one witness polynomial of a proof is hidden.

    Args:
        bound: the largest absolute coefficient of challenge times witness.
        bits: masks are uniform on [-2^bits, 2^bits); an answer z is shown iff -2^bits + bound <= z < 2^bits - bound.
    """

    bound: int
    bits: int


@dataclass(frozen=True)
class SumParameters:
    """A complete parameter set; make one with `sum_parameters`.

    Args:
        name: AGG-S40, AGG-M or AGG-L.
        update_bits: b, width of one member's quantised value.
        contributors: K, the most ciphertexts in one sum.
        holders: n, how many hold a key.
        members: whether contributors and holders may be malicious (proofs) or follow the protocol.
        degree, limbs: N and L of the ring.
        statistical_bits: s of the flooding rule.
        challenge_weight: non-zero coefficients of a challenge.
        flood_bits: width of the uniform terms of the flood.
        delta_bits: log2 of Delta, the factor of the message.
        lane_bits: width of a lane, b + ceil(log2 K).
        lanes: lanes in a coefficient.
        residual_bound: largest noise coefficient of an honest sum (and, with proofs, of any accepted one).
    """

    name: str
    update_bits: int
    contributors: int
    holders: int
    members: Members
    degree: int
    limbs: int
    statistical_bits: int
    challenge_weight: int
    flood_bits: int
    delta_bits: int
    lane_bits: int
    lanes: int
    residual_bound: int

    @property
    def malicious(self) -> bool:
        """Whether ciphertexts and shares carry proofs."""
        return self.members == "malicious"

    @property
    def values_per_ciphertext(self) -> int:
        """How many quantised values one ciphertext holds."""
        return self.lanes * self.degree

    @property
    def smallest_value(self) -> int:
        """The least value that a member may put into a lane."""
        return -(1 << (self.update_bits - 1))

    @property
    def largest_value(self) -> int:
        """The greatest value that a member may put into a lane."""
        return (1 << (self.update_bits - 1)) - 1

    @property
    def largest_flood(self) -> int:
        """The largest absolute coefficient of an honest flood."""
        return FLOOD_PAIRS * ((1 << self.flood_bits) - 1)

    @property
    def ciphertext_masks(self) -> tuple[Mask, Mask]:
        """Masks of the proof on (v, e1) in c1 = v a + e1, and on (s, e) in a key b."""
        return _masks(self.degree, self.challenge_weight, 1, ERROR_TERMS)  # type: ignore[return-value]

    @property
    def share_masks(self) -> tuple[Mask, Mask, Mask]:
        """Masks of the proof on (s, e, flood) of a decryption share."""
        return _masks(self.degree, self.challenge_weight, 1, ERROR_TERMS, self.largest_flood)  # type: ignore[return-value]

    @property
    def digest(self) -> bytes:
        """16 bytes that differ between any two sets; part of every encoding."""
        text = "medward sum parameters 2|" + "|".join(str(value) for value in vars(self).values())
        return hashlib.sha256(text.encode()).digest()[:16]


def check_security(degree: int, modulus_bits: int) -> None:
    """Refuse a ring whose modulus is too large for 128 bits of security.

    Raises:
        UnsafeParameters: the degree is not one of the guidelines', or the modulus is above their bound for it.
    """
    if degree not in LARGEST_MODULUS_BITS:
        raise UnsafeParameters(f"degree {degree} is not one of {sorted(LARGEST_MODULUS_BITS)}")
    if modulus_bits > LARGEST_MODULUS_BITS[degree]:
        raise UnsafeParameters(
            f"a modulus of {modulus_bits} bits at degree {degree} is under 128 bits of security; "
            f"at most {LARGEST_MODULUS_BITS[degree]} bits are allowed"
        )


def capacity(contributors: int) -> int:
    """Return the smallest K that holds this many contributors.

    Raises:
        UnsafeParameters: there are more contributors than any set allows, or none.
    """
    for size in CONTRIBUTORS:
        if 0 < contributors <= size:
            return size
    raise UnsafeParameters(f"{contributors} contributors do not fit any set; use 1 to {CONTRIBUTORS[-1]}")


@lru_cache(maxsize=64)
def sum_parameters(
    name: str = "AGG-M",
    update_bits: int = 8,
    contributors: int = 64,
    holders: int = 64,
    members: Members = "malicious",
) -> SumParameters:
    """Derive the parameter set of this name for sums of up to `contributors` updates of `update_bits` bits.

    Args:
        name: a key of NAMED_SETS.
        update_bits: one of UPDATE_BITS.
        contributors: one of CONTRIBUTORS (see `capacity`).
        holders: how many hold a key, 1 to MOST_HOLDERS.
        members: "malicious" (ciphertexts and shares are proved) or "semi-honest".

    Raises:
        UnsafeParameters: a number is none of those allowed, or the modulus has no room for a lane.
    """
    if name not in NAMED_SETS:
        raise UnsafeParameters(f"there is no parameter set {name!r}; choose one of {', '.join(NAMED_SETS)}")
    if update_bits not in UPDATE_BITS:
        raise UnsafeParameters(f"updates of {update_bits} bits are not offered; choose one of {UPDATE_BITS}")
    if contributors not in CONTRIBUTORS:
        raise UnsafeParameters(f"sets exist for {CONTRIBUTORS} contributors, not for {contributors}")
    if not 1 <= holders <= MOST_HOLDERS:
        raise UnsafeParameters(f"{holders} key holders are not possible; use 1 to {MOST_HOLDERS}")
    if members not in ("malicious", "semi-honest"):
        raise UnsafeParameters(f'members are "malicious" or "semi-honest", not {members!r}')
    degree, limbs, statistical = NAMED_SETS[name]
    check_security(degree, limbs * PRIME_BITS)
    weight = challenge_weight(degree)
    malicious = members == "malicious"
    flood_bits = _flood_bits(statistical, _noise_norm_squared(degree, contributors, holders, weight, malicious))
    residual = _residual_bound(degree, contributors, holders, weight, flood_bits, malicious=malicious)
    delta_bits = (2 * residual).bit_length()
    lane_bits = update_bits + (contributors - 1).bit_length()
    modulus = 1
    for prime in ring_primes(degree, limbs):
        modulus *= prime
    lanes = 0
    while (1 << (delta_bits + lane_bits * (lanes + 1))) + (1 << delta_bits) < modulus:
        lanes += 1
    if lanes == 0:
        larger = [other for other in NAMED_SETS if NAMED_SETS[other][:2] > (degree, limbs)]
        raise UnsafeParameters(
            f"{name} has no room for {update_bits}-bit updates of {contributors} {members} contributors: the noise "
            f"takes {delta_bits} and a lane {lane_bits} of {modulus.bit_length()} bits; choose {' or '.join(larger)}"
        )
    return SumParameters(
        name, update_bits, contributors, holders, members, degree, limbs, statistical, weight, flood_bits,
        delta_bits, lane_bits, lanes, residual,
    )  # fmt: skip


def challenge_weight(degree: int) -> int:
    """Return the least weight with 2^CHALLENGE_BITS challenges, a quarter of it on the powers of X that are r mod 4.

    With w of +-1 for each r there are (2^w * binomial(degree / 4, w))^4. Why so: spec/scheme.md, "Proofs".
    """
    each = 1
    while (comb(degree // SLOT_DEGREE, each) << each) ** SLOT_DEGREE < 1 << CHALLENGE_BITS:
        each += 1
    return SLOT_DEGREE * each


def _masks(degree: int, weight: int, *witness_bounds: int) -> tuple[Mask, ...]:
    """Choose masks so that a proof's answers are all shown with probability at least exp(-0.7), about a half.

    Each of the `degree` answers of a witness fails with probability bound / 2^bits; every witness gets an equal part.
    """
    masks = []
    exponent, unit = ABORT_EXPONENT
    for witness_bound in witness_bounds:
        bound = weight * witness_bound
        least = -(-unit * degree * len(witness_bounds) * bound // exponent)
        masks.append(Mask(bound, (least - 1).bit_length()))
    return tuple(masks)


def _liars(count: int) -> int:
    """How many of `count` members may lie."""
    return (count - 1) // 3


def _noise_norm_squared(degree: int, contributors: int, holders: int, weight: int, malicious: bool) -> int:
    """Bound the squared l2 norm of e0 + v e + e1 s of the sum, which a single flood must hide (rounded up).

    Honest part: N K sigma^2 (1 + 4/3 N n). A liar's v and e1 have coefficients up to twice the proof's range; liars may
    coordinate, so theirs add linearly, and choose their shape, so a spectral bound takes the place of the average.
    """
    slack, unit = NORM_SLACK
    honest = degree * contributors * ERROR_TERMS * (3 + 4 * degree * holders)  # over 6
    total = honest
    if malicious:
        v_mask, e_mask = _masks(degree, weight, 1, ERROR_TERMS)
        v_bound, e_bound = 2 << v_mask.bits, 2 << e_mask.bits
        per_coefficient = degree * holders * (3 * ERROR_TERMS * v_bound**2 + 4 * e_bound**2)  # over 6
        total += SPECTRAL_GAIN * degree * _liars(contributors) ** 2 * per_coefficient
    return -(-total * slack // (6 * unit))


def _flood_bits(statistical: int, norm_squared: int) -> int:
    """Return the least width whose flood has variance >= 12 tau 2^s norm^2 (Li et al., CRYPTO'22).

    The information of the flood's shape corrects that rule for a Gaussian; the flood's variance is
    FLOOD_PAIRS * (4^bits - 1) / 6.
    """
    information, unit = FLOOD_INFORMATION
    needed = 12 * DECRYPTIONS * (1 << statistical) * norm_squared * information
    bits = 1
    while FLOOD_PAIRS * (4**bits - 1) * unit < 6 * needed:
        bits += 1
    return bits


def _residual_bound(
    degree: int, contributors: int, holders: int, weight: int, flood_bits: int, *, malicious: bool
) -> int:
    """Bound every noise coefficient of a sum, except with probability 2^-FAILURE_BITS.

    The floods of honest holders add up to a strictly sub-Gaussian variable, so z sqrt(n) sigma with
    2 N exp(-z^2 / 2) = 2^-FAILURE_BITS bounds them; everything else is bounded in the worst case.
    """
    z_squared_1e5 = 2 * 69315 * (FAILURE_BITS + 1 + degree.bit_length() - 1)  # ln 2 < 0.69315
    variance = FLOOD_PAIRS * 4**flood_bits // 6 + 1
    floods = isqrt(holders * variance * z_squared_1e5 // 100_000) + 1
    ciphertexts = contributors * ERROR_TERMS * (1 + 2 * degree * holders)
    if not malicious:
        return floods + ciphertexts
    v_mask, e_mask = _masks(degree, weight, 1, ERROR_TERMS)
    flood_mask = _masks(degree, weight, 1, ERROR_TERMS, FLOOD_PAIRS << flood_bits)[2]
    spoiled = _liars(contributors) * degree * holders * ((2 << v_mask.bits) * ERROR_TERMS + (2 << e_mask.bits))
    return floods + ciphertexts + spoiled + _liars(holders) * (2 << flood_mask.bits)
