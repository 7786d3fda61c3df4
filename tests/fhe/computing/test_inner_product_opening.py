"""Opening exact inner products: shares are flooded, counted, and of one list; wrong ones are refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medward.federation.computing.journal import OpeningJournal
from medward.fhe.computing.context import computing_context
from medward.fhe.computing.inner_product_opening import (
    ProductList,
    combine_shares,
    listed,
    open_shares,
)
from medward.fhe.computing.inner_products import (
    EncryptedInnerProduct,
    encrypted_inner_product,
)
from medward.fhe.computing.keys import SecretKey
from medward.fhe.errors import BudgetSpent, CiphertextMismatch
from tests.fhe.computing.products import SMALL, Unlimited, pair, shares_of, shown, some, terms, world


@pytest.mark.parametrize("count", [1, 2, 4])
def test_noise_and_flood_stay_below_their_bound(count: int) -> None:
    """And the flood is as wide as its formula says: the last bits of the error are not a constant."""
    of = terms(256 * count, 1 << 10, count, 64)
    x = np.full(256, 1 << 10)
    product = encrypted_inner_product([pair(world().secret(k), of, x, x) for k in range(count)], world().keys)
    errors = []
    opening = shares_of([product] * 64, world())
    for k in range(64):
        total = product.constant + sum(one.shares[k] for one in opening)
        error = (total - of.most * 4**of.scale_bits + of.modulus // 2) % of.modulus - of.modulus // 2
        assert abs(error) < of.error
        errors.append(float(error))
    assert 0.7 < np.std(errors) / (of.flood.width * count**0.5) < 1.4


def test_share_is_of_coefficient_0_and_flooded() -> None:
    of, secret = terms(), world().secret(0)
    x = some(300, 100, 3)
    product = encrypted_inner_product([pair(secret, of, x, x)], world().keys)
    bare = coefficients(product, secret)[0]
    shares = [shown([product], secret, Unlimited(secret.fingerprint)).shares[0] for _ in range(4)]
    distances = [abs(share - bare) for share in shares]
    assert len(set(shares)) == 4
    assert of.flood.width / 2**12 < max(distances) < 10 * of.flood.width


def coefficients(product: EncryptedInnerProduct, secret: SecretKey) -> list[int]:
    """The coefficients of c_i s_i."""
    ring, at = computing_context(SMALL).ring, slice(0, SMALL.top)
    part = product.parts[product.owners.index(secret.owner)]
    return ring.integers(ring.inverse(ring.multiply(part, secret.s[at], at), at), at)


def test_wrong_shares_are_refused() -> None:
    of, secret = terms(entries=8), world().secret(0)
    columns = [some(300, 100, k) for k in range(8)]
    products = [encrypted_inner_product([pair(secret, of, x, columns[0])], world().keys) for x in columns]
    (honest,) = shares_of(products, world())
    others = [coefficients(product, secret) for product in products]
    for wrong in (
        replace(honest, shares=tuple(found[1] for found in others)),
        replace(honest, shares=tuple(-share for share in honest.shares)),
        replace(honest, shares=(*honest.shares[:-1], honest.shares[-1] + of.modulus // 3)),
    ):
        with pytest.raises(CiphertextMismatch, match="open no inner product of these terms"):
            combine_shares(listed(products), [wrong])


def test_share_that_is_off_by_a_whole_step_changes_the_result_and_is_not_told() -> None:
    """As the specification says of owners that do not follow the protocol."""
    of, secret = terms(), world().secret(0)
    x = some(300, 100, 4)
    product = encrypted_inner_product([pair(secret, of, x, x)], world().keys)
    (honest,) = shares_of([product], world())
    assert combine_shares(listed([product]), [replace(honest, shares=(honest.shares[0] + 4**of.scale_bits,))]) == [
        x @ x + 1
    ]


def test_shares_of_another_opening_or_owner_are_refused() -> None:
    of = terms(600, 100, 2)
    x, y = some(300, 100, 5), some(300, 100, 6)
    one, other = (
        encrypted_inner_product([pair(world().secret(k), of, x, z) for k in range(2)], world().keys) for z in (x, y)
    )
    first, second = shares_of([one], world())
    with pytest.raises(CiphertextMismatch, match="are of another opening"):
        combine_shares(listed([other]), [first, second])
    with pytest.raises(CiphertextMismatch, match="are of another opening"):
        combine_shares(listed([one]), [first, replace(second, shares=second.shares * 2)])
    for missing in ([first], [first, first], []):
        with pytest.raises(CiphertextMismatch, match="need one list of shares of each"):
            combine_shares(listed([one]), missing)
    with pytest.raises(CiphertextMismatch, match="at least one"):
        combine_shares(listed([]), [first, second])


def test_only_an_owner_opens_with_the_budget_of_its_key(tmp_path: Path) -> None:
    of, secret, stranger = terms(), world().secret(0), world().secret(1)
    x = some(300, 100, 7)
    product = encrypted_inner_product([pair(secret, of, x, x)], world().keys)
    with pytest.raises(CiphertextMismatch, match="has no part in"):
        open_shares(listed([product]), product.parts, stranger, Unlimited(stranger.fingerprint))
    for budget in (Unlimited(stranger.fingerprint), Unlimited(secret.fingerprint, 2048)):
        with pytest.raises(CiphertextMismatch, match="the budget is not that"):
            shown([product], secret, budget)
    with pytest.raises(CiphertextMismatch, match="open the others in another one"):
        shown([product] * 9, secret, Unlimited(secret.fingerprint))
    with pytest.raises(CiphertextMismatch, match="at least one"):
        shown([], secret, Unlimited(secret.fingerprint))
    few = replace(of, outputs=1)
    again = encrypted_inner_product([pair(secret, few, x, x)], world().keys)
    with pytest.raises(CiphertextMismatch, match="have the same terms"):
        shown([product, again], secret, Unlimited(secret.fingerprint))
    with pytest.raises(CiphertextMismatch, match="there are 2 parts"):
        open_shares(listed([product]), [*product.parts] * 2, secret, Unlimited(secret.fingerprint))
    with OpeningJournal.create(tmp_path / "journal", secret.fingerprint, 1, 64) as journal:
        assert combine_shares(listed([again]), [shown([again], secret, journal)]) == [x @ x]
        with pytest.raises(BudgetSpent):
            shown([again], secret, journal)


def test_digest_of_a_list_names_all_that_is_opened() -> None:
    """A member that computes could hand one owner other parts, or other constants, than the rest."""
    names = ("ahus/0123456789abcdef", "bergen/0123456789abcdef")
    one = ProductList(terms(count=2), names, (1, 23), ("one", "other"))
    others = [
        replace(one, constants=(12, 3)),
        replace(one, constants=(1, 23, 0)),
        replace(one, parts=("one", "another")),
        replace(one, parts=("other", "one")),
        replace(one, owners=(names[0], "bergen/0123456789abcdee")),
        replace(one, terms=terms(count=2, entries=9)),
    ]
    assert len({other.digest for other in (one, *others)}) == 1 + len(others)
    assert replace(one).digest == one.digest


@pytest.mark.parametrize(("owners", "parts"), [(0, 0), (3, 3), (2, 1), (1, 2)])
def test_list_of_other_owners_than_parts_or_of_more_than_the_terms_have_is_refused(owners: int, parts: int) -> None:
    with pytest.raises(CiphertextMismatch, match="of 1 to 2 owners have one name of parts each"):
        ProductList(terms(count=2), tuple(map(str, range(owners))), (1,), tuple(map(str, range(parts))))


def test_parts_are_named_by_their_bytes() -> None:
    """Equal names are equal bytes: an owner that computed itself sees whether others had the same."""
    of, x = terms(600, 100, 2), some(300, 100, 10)
    pairs = [pair(world().secret(k), of, x, x) for k in range(2)]
    one, again = (encrypted_inner_product(pairs, world().keys) for _ in range(2))
    other = encrypted_inner_product([pair(world().secret(k), of, x, x) for k in range(2)], world().keys)
    assert listed([one]) == listed([again])
    assert not set(listed([one]).parts) & set(listed([other]).parts)
    assert len({*listed([one]).parts, *listed([one, one]).parts}) == 4
