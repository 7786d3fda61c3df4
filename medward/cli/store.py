"""`medward store`: content addressing by hand, in the store of a node or one of your own."""

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from medward.cli._console import errors, print_json, say, unnarrated
from medward.errors import BadUsage, MedwardError

if TYPE_CHECKING:
    from medward.store.cid import Cid
    from medward.store.gateway.exchange import PeerExchange
    from medward.store.importer import Profile
    from medward.store.local import LocalStore

app = typer.Typer(help="Name, keep, get and check content by its hash, as IPFS does.", no_args_is_help=True)

StoreOption = Annotated[
    Path,
    typer.Option("--store", envvar="MEDWARD_STORE", help="Folder of the store, such as a node's node-1/store."),
]
ProfileOption = Annotated[
    str, typer.Option("--profile", help="How the content is cut and linked: unixfs-v1-2025 or unixfs-v0-2015.")
]
DEFAULT_STORE = Path("medward-store")
_PEER_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_LOOK_SECONDS = 1.0


@app.command("cid")
def print_cid(
    file: Annotated[Path, typer.Argument(help="The file; - reads standard input.")],
    profile: ProfileOption = "unixfs-v1-2025",
) -> None:
    """Print the CID that a file has in IPFS, without keeping anything.

    Example: medward store cid model.npz
    """
    from medward.store.importer import import_file

    with _source(file, "hashing") as content:
        typer.echo(str(import_file(content, lambda _cid, _block: None, _profile(profile)).cid))


@app.command("add")
def add(
    file: Annotated[Path, typer.Argument(help="The file; - reads standard input.")],
    store: StoreOption = DEFAULT_STORE,
    pin: Annotated[str, typer.Option("--pin", help="The label that keeps it, such as round/7.")] = "by-hand",
    profile: ProfileOption = "unixfs-v1-2025",
) -> None:
    """Keep a file in a store and print its CID.

    Example: medward store add model.npz --store node-1/store --pin model/current
    """
    chosen = _profile(profile)
    with _source(file, "adding") as content, _open(store) as blobs:
        typer.echo(str(blobs.add(content, pin=pin, profile=chosen)))


@app.command("get")
def get(
    cid: Annotated[str, typer.Argument(help="The CID of a file.")],
    *,
    store: StoreOption = DEFAULT_STORE,
    out: Annotated[Path | None, typer.Option("--out", help="Where to write it; standard output otherwise.")] = None,
    peer: Annotated[
        list[str] | None, typer.Option("--peer", help="Gateway to ask for what is missing; can be repeated.")
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="This member's certificate, for peers over https.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its private key.")] = None,
    trusted: Annotated[Path | None, typer.Option(help="The certificates that sign the members'.")] = None,
) -> None:
    """Write a file out of a store, every block of it checked; fetch what is missing from peers.

    Example: medward store get bafybei... --store node-1/store --out model.npz
    """
    root = _parse(cid)
    say(f"getting {cid}")
    exchange = _exchange(peer or [], certificate, key, trusted)
    if exchange is None:
        with _open(store, read_only=True) as blobs:
            _write(blobs.stream(root), out)
    else:
        with _open(store, exchange=exchange) as blobs:
            _write(blobs.stream(root), out)


@app.command("verify")
def verify(
    store: StoreOption = DEFAULT_STORE,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> None:
    """Read and hash every block of a store, and look for holes below what is pinned; exit 1 if anything is wrong.

    A store in use is only looked at; in one that is not, damaged blocks are set aside so that they are fetched anew.

    Example: medward store verify --store node-1/store
    """
    from medward.store.errors import StoreInUse

    say(f"hashing the blocks of {store}")
    try:
        blobs = _open(store, must_exist=True)
    except StoreInUse:
        blobs = _open(store, read_only=True)
    with blobs:
        found = blobs.verify()
    corrupt, missing = [str(cid) for cid in found.corrupt], [str(cid) for cid in found.missing]
    if as_json:
        counts = {"blocks": found.blocks, "bytes": found.bytes, "corrupt": corrupt, "missing": missing}
        typer.echo(json.dumps({"store": str(store), "intact": found.intact, **counts}, indent=2))
    else:
        typer.echo(f"{found.blocks} blocks, {found.bytes} bytes match their names in {store}")
        for cid in corrupt:
            typer.echo(f"damaged: {cid}")
        for cid in missing:
            typer.echo(f"missing below a pin: {cid}")
    if not found.intact:
        raise MedwardError(
            f"{len(corrupt)} blocks of {store} are damaged and {len(missing)} missing; get them again from a peer"
        )


@app.command("serve")
def serve(
    *,
    store: StoreOption = DEFAULT_STORE,
    listen: Annotated[
        str, typer.Option("--listen", help="HOST:PORT to listen on; port 0 picks a free one.")
    ] = "127.0.0.1:7443",
    certificate: Annotated[
        Path, typer.Option(help="This server's certificate (PEM), for the address that peers call.")
    ],
    key: Annotated[Path, typer.Option(help="Its private key (PEM, mode 0600).")],
    peer: Annotated[
        list[str],
        typer.Option("--peer", help="NAME=CERTIFICATE of a peer that may ask (PEM), or of who signs its; repeatable."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document when it serves.")] = False,
) -> None:
    """Serve a store to named peers until it is asked to stop (Ctrl-C, SIGTERM); nobody else is answered.

    Both sides show a certificate (TLS 1.3). The store is only read, so `medward store add` may add to it meanwhile.
    Peers ask with `medward store get --peer`.

    Example: medward store serve --listen 10.0.0.1:7443 --certificate a.pem --key a.key --peer east=east.pem
    """
    with _open(store, read_only=True) as blobs:
        _serve(blobs, store, listen, certificate=certificate, key=key, peers=peer, as_json=as_json)


def _open(
    store: Path, exchange: "PeerExchange | None" = None, read_only: bool = False, must_exist: bool = False
) -> "LocalStore":
    from medward.store.local import open_directory

    if must_exist and not (store / "blocks").is_dir():
        read_only = True  # which says that there is no store, instead of making one
    return open_directory(store, exchange=exchange, read_only=read_only)


def _exchange(
    peers: list[str], certificate: Path | None, key: Path | None, trusted: Path | None
) -> "PeerExchange | None":
    if not peers:
        return None
    from medward.store.gateway.exchange import PeerExchange
    from medward.store.gateway.peer import Peer
    from medward.store.gateway.tls import TlsIdentity

    given = [path for path in (certificate, key, trusted) if path is not None]
    if given and len(given) < 3:
        raise BadUsage("--certificate, --key and --trusted belong together: give all three")
    identity = TlsIdentity(*given) if given else None
    if identity is None and any(url.startswith("https:") for url in peers):
        raise BadUsage("a peer over https asks who you are: give --certificate, --key and --trusted")
    return PeerExchange([Peer(url, url) for url in peers], identity)


def _parse(cid: str) -> "Cid":
    from medward.store.cid import Cid

    return Cid.parse(cid)


def _profile(name: str) -> "Profile":
    from medward.store.importer import PROFILES

    if name not in PROFILES:
        raise BadUsage(f"there is no profile {name}; choose {' or '.join(PROFILES)}")
    return PROFILES[name]


@contextmanager
def _source(file: Path, what: str) -> Iterator[BinaryIO]:
    """Open a file, with a progress bar on a terminal; - is standard input."""
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    from rich import progress

    if file.is_dir():
        raise MedwardError(f"{file} is a folder; name a file, or pack the folder into an archive first")
    console = errors()
    say(f"{what} {file}")
    try:
        with (
            unnarrated() if console.is_terminal else nullcontext(),
            progress.open(
                file, "rb", description=what, console=console, transient=True, disable=not console.is_terminal
            ) as content,
        ):
            yield content
    except OSError as error:
        raise MedwardError(f"cannot read {file}: {error.strerror}; check the path and its permissions") from None


def _write(pieces: Iterable[bytes], out: Path | None) -> None:
    """Write to standard output, or to a file that appears under its name only when it is whole."""
    if out is None:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    if out.is_dir():
        raise MedwardError(f"{out} is a folder; name a file")
    unfinished = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            for piece in pieces:
                file.write(piece)
        unfinished.rename(out)
    except OSError as error:
        raise MedwardError(f"cannot write {out}: {error.strerror}; check the folder and its permissions") from None
    finally:
        unfinished.unlink(missing_ok=True)


def _serve(
    blobs: "LocalStore",
    store: Path,
    listen: str,
    *,
    certificate: Path,
    key: Path,
    peers: Sequence[str],
    as_json: bool,
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        blobs: what is served.
        store: its folder.
        listen: HOST:PORT.
        certificate: PEM file of the server's certificate.
        key: PEM file of its private key.
        peers: NAME=CERTIFICATE of each.
        as_json: whether standard output gets a document as soon as it serves.

    Raises:
        MedwardError: something of this cannot be used, or the server ended by itself.
    """
    import logging
    import signal
    import threading

    from medward.node.refused_requests import RefusedRequests
    from medward.store.gateway.named_peers import NamedPeers, addresses_of

    host, port = _address(listen)
    named = NamedPeers([_peer(text) for text in peers])
    known_as = addresses_of(certificate)
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s", level=logging.WARNING)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    server = named.serve(*(blobs, host, port), certificate=certificate, key=key, refused=RefusedRequests().at("store"))
    with unnarrated(), server:
        usage = blobs.usage()
        document = {"url": server.url, "certificate_for": known_as, "peers": named.names, "blocks": usage.blocks}
        if as_json:
            print_json(document)
            sys.stdout.flush()
        errors().print(
            f"serving {usage.blocks} blocks of {store} at {server.url} to {', '.join(named.names)}; "
            f"the certificate is for {', '.join(known_as)}",
            markup=False,
            highlight=False,
        )
        while not stopping.wait(_LOOK_SECONDS):
            if not server.serving:
                raise MedwardError(f"the server at {server.url} ended by itself; see above, and start it again")


def _address(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or len(port) > 5 or int(port) >= 2**16:
        raise BadUsage(f"--listen: expected HOST:PORT with a port of 0 to 65535, got {listen!a}")
    return host.strip("[]"), int(port)


def _peer(text: str) -> tuple[str, Path]:
    name, equals, file = text.partition("=")
    if not equals or not file or not _PEER_NAME.fullmatch(name):
        raise BadUsage(
            f"--peer: expected NAME=CERTIFICATE, the name of lower-case letters, digits and hyphens, got {text!a}"
        )
    return name, Path(file)
