"""How the kernels of this part are compiled, and a load that numba lacks."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from medward.machine_code import Kernel, kernel

#: None of it allocates, so it is compiled without numba's counting of references, which took much of the time. Nobody
#: calls a kernel from C, so none gets what that needs.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True, "_nrt": False, "no_cfunc_wrapper": True}


def compiled(function: Kernel) -> Kernel:
    """Compile `function` as `machine_code.kernel` does.

    Kernels release the lock of the interpreter, so that a capture is metered beside other work.
    """
    found: Kernel = kernel(**_OPTIONS)(function)
    return found


def compiled_in_place(function: Kernel) -> Kernel:
    """Compile `function` as `compiled` does, into whatever calls it.

    A call hands over each array as seven numbers: where all tables are handed on packet by packet, calls took two
    fifths of the time.
    """
    found: Kernel = kernel(**_OPTIONS, forceinline=True)(function)
    return found


def _define_load(_typing: Any, octets: Any, _at: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        place = builder.gep(array.data, [arguments[1]])
        return builder.load(builder.bitcast(place, ir.IntType(64).as_pointer()), align=1)

    return types.uint64(octets, types.uintp), generate


#: The eight octets of an array of uint8 from a place on, in the machine's order, in one load: for hashing alone.
load_eight: Callable[[NDArray[np.uint8], Any], np.uint64] = cast(Any, intrinsic(_define_load))
