"""A key epoch's material as bytes, for a file that only its owner may read.

    msgpack of Form: the numbers that name the parameter set, the holders' public keys, and the member's own secrets

Public keys are written as they were published and are not proved again: the file is the member's own.
"""

from collections.abc import Mapping

import msgspec
import numpy as np

from medward.federation.encrypted_sum import EpochMaterial
from medward.federation.interfaces import FederationError
from medward.fhe.encoding import Kind, decode_elements, encode_elements
from medward.fhe.epoch import EpochKeys
from medward.fhe.errors import FheError
from medward.fhe.keys import SecretKey, joint_key, reference_string
from medward.fhe.parameters import Members, sum_parameters


class _Form(msgspec.Struct, frozen=True):
    set_name: str
    update_bits: int
    contributors: int
    holders: int
    members: Members
    federation: bytes
    epoch: int
    public: Mapping[int, bytes]
    digests: Mapping[int, bytes]
    numbers: Mapping[str, int]
    secret: tuple[bytes, bytes] | None
    dealt: Mapping[int, bytes]
    dealt_digests: Mapping[int, Mapping[int, bytes]]
    beacon: bytes
    responses: Mapping[int, bytes]


def encode_material(material: EpochMaterial) -> bytes:
    """Return the bytes of a member's material; they hold its secret."""
    keys, secret = material.keys, material.secret
    p = keys.parameters
    return msgspec.msgpack.encode(
        _Form(
            *(p.name, p.update_bits, p.contributors, p.holders, p.members, keys.federation, keys.epoch),
            public={n: encode_elements(p, Kind.PUBLIC_KEY, b) for n, b in keys.public.items()},
            digests=keys.digests,
            numbers=material.numbers,
            secret=None if secret is None else (secret.s.astype("<i1").tobytes(), secret.e.astype("<i1").tobytes()),
            dealt=material.dealt,
            dealt_digests=material.digests,
            beacon=material.beacon,
            responses=material.responses,
        )
    )


def decode_material(data: bytes) -> EpochMaterial:
    """Return the material that `encode_material` encoded.

    Raises:
        FederationError: the bytes are damaged.
    """
    try:
        form = msgspec.msgpack.decode(data, type=_Form)
        p = sum_parameters(form.set_name, form.update_bits, form.contributors, form.holders, form.members)
        public = {n: decode_elements(p, Kind.PUBLIC_KEY, b)[0] for n, b in form.public.items()}
        a = reference_string(p, form.federation, form.epoch)
        joint = joint_key(p, [public[n] for n in sorted(public)])
        keys = EpochKeys(p, form.federation, form.epoch, a, public, form.digests, joint)
        secret = None
        if form.secret is not None:
            secret = SecretKey(*(np.frombuffer(part, "<i1").astype(np.int64) for part in form.secret))
    except (msgspec.DecodeError, FheError, ValueError) as error:
        raise FederationError(
            f"The file of a key epoch is damaged ({error}): this member takes part again with the next keys."
        ) from None
    return EpochMaterial(keys, form.numbers, secret, form.dealt, form.dealt_digests, form.beacon, form.responses)
