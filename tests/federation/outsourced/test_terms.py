"""Terms of training on encrypted rows in the full ring."""

from medward.federation.outsourced.terms import OutsourcedTerms


def test_terms_of_the_full_ring_are_proved_exact_for_what_the_page_says() -> None:
    for features, classes, columns in ((16, 10, 46), (32, 10, 46), (32, 19, 40), (64, 10, 46)):
        OutsourcedTerms(features, 2, classes, columns, 0, most_rows=1 << 16).check()
