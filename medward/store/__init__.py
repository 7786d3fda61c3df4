"""Content-addressed blobs: named by the hash of their bytes, kept, exchanged and checked.

`interface` has the vocabulary; `local` opens the embedded store, `gateway` lets peers serve each other, and `kubo` puts
a real IPFS daemon behind the same interface.
"""

from medward.store.cid import Cid
from medward.store.interface import BlobStore, Collected, Pin, Usage, Verification
from medward.store.limits import DagLimits
from medward.store.local import in_memory, open_directory

__all__ = [
    "BlobStore",
    "Cid",
    "Collected",
    "DagLimits",
    "Pin",
    "Usage",
    "Verification",
    "in_memory",
    "open_directory",
]
