"""How this part's kernels are compiled, and the operations that LLVM has and Python lacks."""

import platform
from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from medward.machine_code import Kernel, kernel

_DOUBLE = ir.DoubleType()


def compiled(function: Kernel) -> Kernel:
    """Compile `function` as `machine_code.kernel` does, so that it computes exactly what is written.

    Reassociation and contraction of floating-point operations stay off: the kernels' exactness depends on it.
    """
    # Nobody calls a kernel from C.
    found: Kernel = kernel(error_model="numpy", fastmath=False, boundscheck=False, no_cfunc_wrapper=True)(function)
    return found


def _define_fma(_typing: Any, _x: Any, _y: Any, _z: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), generate


def _define_round(_typing: Any, _x: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.call(builder.module.declare_intrinsic("llvm.nearbyint", [_DOUBLE]), arguments)

    return types.float64(types.float64), generate


def _define_high_product(_typing: Any, _x: Any, _y: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(arguments[0], wide), builder.zext(arguments[1], wide))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), generate


#: x * y + z with one rounding (IEEE 754 fusedMultiplyAdd).
fma: Callable[[float, float, float], float] = cast(Any, intrinsic(_define_fma))
#: The nearest integer, ties to even, as a double.
nearest: Callable[[float], float] = cast(Any, intrinsic(_define_round))
#: The upper 64 bits of the product of two unsigned 64-bit words.
high_product: Any = intrinsic(_define_high_product)


def _host_has_fma() -> bool:
    """Whether the CPU that numba generates code for fuses a multiplication and an addition in hardware."""
    features = str(cpu_target.target_context.codegen()._get_host_cpu_features()).split(",")
    return "+fma" in features or platform.machine() in ("aarch64", "arm64")


@compiled
def _product_error(x: float) -> float:
    return fma(x, x, -(x * x))


def _fma_is_exact() -> bool:
    """Whether fma rounds once: (2^27 + 1)^2 needs 55 bits, so the plain product is off by exactly one."""
    return _product_error(float((1 << 27) + 1)) == 1.0


#: Whether products are computed with fused multiply-adds; decided once, at import.
HAS_FMA = _host_has_fma() and _fma_is_exact()
