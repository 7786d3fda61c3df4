"""The public terms of encrypted scoring: the ring, the network's shape, and the limits that owners promise.

The limits bound errors, so they may not depend on secret values: flows are clipped to one, weights are scaled to the
others (spec/computing.md, section 11).
"""

from medward.agents.sentinel.polynomial import INPUT_SIZE
from medward.federation.errors import FederationError
from medward.fhe.computing.noise import ErrorBound, noise_model
from medward.fhe.computing.parameters import ComputingParameters, computing_parameters
from medward.ledger.encoding import Structure

#: The largest output of each hidden layer before it is squared, and of the last.
HIDDEN_LIMIT, LAST_LIMIT = 2.375, 2.0
#: The largest bound on a score's root mean square error; scores are below 4.
TOLERANCE = 2.0**-10
_MOST_UNITS, _MOST_LAYERS, _MOST_DEGREE = 128, 4, 32768


class BadTerms(FederationError):
    """Terms of scoring that make no circuit, or what does not fit them."""


class ScoringTerms(Structure, frozen=True):
    """The terms of scoring, which are public.

    Args:
        inputs: complex inputs of the network.
        hidden: units of each hidden layer.
        classes: how many classes have a score.
        degree, scale_bits, digit: of the parameters; levels follow from the layers.
        fine_bits: each key holder adds an error of root mean square 2^-fine_bits at least to every score.
        for_tests: allow a ring that is not secure.
    """

    inputs: int
    hidden: tuple[int, ...]
    classes: int
    degree: int = 32768
    scale_bits: int = 96
    digit: int = 4
    fine_bits: int = 26
    for_tests: bool = False

    def check(self) -> None:
        """Refuse terms that make no circuit.

        Raises:
            BadTerms: sizes out of range.
            UnsafeParameters: the ring is not secure, or there is none.
        """
        sizes = (self.inputs, *self.hidden, self.classes)
        if not 1 <= len(self.hidden) <= _MOST_LAYERS or not all(1 <= size <= _MOST_UNITS for size in sizes):
            raise BadTerms(
                f"a network of {', '.join(map(str, sizes))} units is not scored: take 1 to {_MOST_LAYERS} hidden "
                f"layers and 1 to {_MOST_UNITS} units in each"
            )
        if self.degree > _MOST_DEGREE:
            raise BadTerms(f"a ring of degree {self.degree} is not scored in: take {_MOST_DEGREE} at most")
        if self.classes < 2 or not 10 <= self.fine_bits <= 60:
            raise BadTerms("terms of scoring have 2 classes at least, and 10 to 60 bits of a score")
        _ = self.parameters

    @property
    def parameters(self) -> ComputingParameters:
        """The parameter set: two levels a hidden layer, one for the last."""
        levels = 2 * len(self.hidden) + 1
        return computing_parameters(
            self.degree, self.scale_bits, levels, self.digit, tolerance=TOLERANCE, for_tests=self.for_tests
        )

    @property
    def rows(self) -> int:
        """The most flows of a batch."""
        return self.degree // 2

    @property
    def coarseness(self) -> float:
        """The root mean square error that each key holder adds to a score at least."""
        return 2.0**-self.fine_bits

    @property
    def pairs(self) -> int:
        """How many ciphertexts a result has: one for two classes."""
        return (self.classes + 1) // 2

    @property
    def units(self) -> tuple[int, ...]:
        """How many neurons each layer has; the last one two for each ciphertext of the result."""
        return (*self.hidden, 2 * self.pairs)

    @property
    def limits(self) -> tuple[float, ...]:
        """The largest output of each layer before it is squared."""
        return (*(HIDDEN_LIMIT for _ in self.hidden), LAST_LIMIT)

    def fan_in(self, layer: int) -> int:
        """Return how many inputs each neuron of a layer has."""
        return (self.inputs, *self.hidden)[layer]

    def size(self, layer: int) -> float:
        """Return the largest absolute value of a layer's inputs."""
        return INPUT_SIZE if layer == 0 else self.limits[layer - 1] ** 2

    def level(self, layer: int) -> int:
        """Return the level of a layer's inputs and weights; its biases are one lower."""
        return 2 * (len(self.hidden) - layer) + 1

    def result_bound(self) -> ErrorBound:
        """Return the bound that a result of two owners has, reckoned without a ciphertext.

        Raises:
            NoiseTooLarge: no such circuit keeps the tolerance.
        """
        model = noise_model(self.parameters)
        known = model.fresh(INPUT_SIZE, self.level(0))
        for layer in range(len(self.units)):
            limit, level, count = self.limits[layer], self.level(layer), self.fan_in(layer)
            total = limit / self.size(layer)
            weights = model.fresh(total, level)
            switching = model.relinearisation(level, min(layer, 1), 1, 1)
            weighed = model.inner_product(known, weights, total, count, level, switching, 2)
            weighed = model.add(model.accept(weighed, level - 1, "multiply"), model.fresh(limit, level - 1))
            model.accept(weighed, level - 1, "add")
            known = ErrorBound(min(limit, weighed.size), weighed.noise, weighed.coding)
            if layer < len(self.hidden):
                switching = model.relinearisation(level - 1, 2, 1, 1)
                known = model.inner_product(known, known, known.size, 1, level - 1, switching, 2)
                known = model.accept(known, level - 2, "multiply")
        return model.accept(model.add(known, model.switched(known, 0, 2)), 0, "add")
