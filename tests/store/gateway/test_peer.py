"""Where a peer may be: nobody is asked in the clear but on this machine."""

import pytest

from medward.store.errors import StoreError
from medward.store.gateway.peer import Peer


@pytest.mark.parametrize(
    "url",
    [
        "https://ward.example:4001",
        "https://10.0.0.7",
        "http://127.0.0.1:1",
        "http://127.8.8.8",
        "http://[::1]:1",
        "http://localhost",
    ],
)
def test_peer_with_tls_or_on_this_machine_is_accepted(url: str) -> None:
    assert Peer("north", url).url == url


@pytest.mark.parametrize(
    "url",
    [
        *("http://ward.example", "http://10.0.0.7", "http://localhost.example", "http://127.0.0.1.example"),
        *("http://0.0.0.0", "http://[::]", "http://user@ward.example", "http://127.0.0.1@ward.example"),
        *("", "ward.example:4001", "ftp://127.0.0.1", "file:///etc/passwd", "https://", "https:///x", "//127.0.0.1"),
    ],
)
def test_peer_in_the_clear_elsewhere_or_nowhere_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="use https://"):
        Peer("north", url)


@pytest.mark.parametrize(
    "url",
    [
        "https://[::1",
        "https://[x]",
        "https://ward.example:port",
        "https://ward.example:99999",
        "https://ward.example:0",
        "https://ü.example",
        "https://a b",
        "https://a\n.example",
    ],
)
def test_url_that_is_none_is_refused_in_one_sentence(url: str) -> None:
    with pytest.raises(StoreError, match="north"):
        Peer("north", url)
