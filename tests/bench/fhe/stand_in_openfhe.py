"""What the programs that time OpenFHE ask of it: slots in plain, but levels, keys and features as strict as OpenFHE's.

It decrypts an eighth too much, so that a program that tells the error of a sum has one to tell. At its end it prints
on standard error how often it multiplied and how often it switched keys.
"""

import atexit
import sys
from collections import Counter
from types import SimpleNamespace

BINARY = "binary"
COUNTED: Counter[str] = Counter()
atexit.register(lambda: print(*(f"{name} {COUNTED[name]}" for name in sorted(COUNTED)), file=sys.stderr))

PKESchemeFeature = SimpleNamespace(PKE="PKE", KEYSWITCH="KEYSWITCH", LEVELEDSHE="LEVELEDSHE")
SecurityLevel = SimpleNamespace(HEStd_128_classic="128", HEStd_NotSet="none")
ScalingTechnique = SimpleNamespace(FIXEDMANUAL="manual")
KeySwitchTechnique = SimpleNamespace(HYBRID="hybrid")


class CCParamsCKKSRNS:
    def __init__(self):
        self.settings = {"RingDim": 16}

    def __getattr__(self, name):
        if not name.startswith("Set"):
            raise AttributeError(name)
        return lambda value: self.settings.__setitem__(name.removeprefix("Set"), value)


class Ciphertext:
    def __init__(self, values, level=0, parts=2):
        self.values, self.level, self.parts = values, level, parts


class Context:
    def __init__(self, parameters):
        self.settings, self.enabled, self.switches = parameters.settings, set(), False

    def Enable(self, feature):
        self.enabled.add(feature)

    def GetRingDimension(self):
        return self.settings["RingDim"]

    def KeyGen(self):
        return SimpleNamespace(publicKey="public", secretKey="secret")

    def EvalMultKeyGen(self, secret):
        assert "KEYSWITCH" in self.enabled
        self.switches = secret == "secret"

    def MakeCKKSPackedPlaintext(self, values):
        assert len(values) <= self.GetRingDimension() // 2
        return values

    def Encrypt(self, key, values):
        assert key == "public"
        assert "PKE" in self.enabled
        return Ciphertext(list(values))

    def Decrypt(self, ciphertext, key):
        assert key == "secret"
        assert ciphertext.parts == 2
        return SimpleNamespace(GetRealPackedValue=lambda: [value + 0.125 for value in ciphertext.values])

    def EvalAdd(self, x, y):
        assert "LEVELEDSHE" in self.enabled
        assert x.level == y.level
        return Ciphertext([a + b for a, b in zip(x.values, y.values, strict=True)], x.level, max(x.parts, y.parts))

    def EvalMultNoRelin(self, x, y):
        assert x.level == y.level
        assert x.parts == y.parts == 2
        COUNTED["products"] += 1
        return Ciphertext([a * b for a, b in zip(x.values, y.values, strict=True)], x.level, 3)

    def Relinearize(self, x):
        assert self.switches
        COUNTED["switches"] += 1
        return Ciphertext(x.values, x.level)

    def EvalMult(self, x, y):
        return Context.Relinearize(self, Context.EvalMultNoRelin(self, x, y))

    def EvalSquare(self, x):
        return Context.EvalMult(self, x, x)

    def Rescale(self, x):
        assert x.level < self.settings["MultiplicativeDepth"]
        return Ciphertext(x.values, x.level + 1, x.parts)

    def LevelReduce(self, x, _, levels):
        assert x.level + levels <= self.settings["MultiplicativeDepth"]
        return Ciphertext(x.values, x.level + levels, x.parts)


class EagerContext(Context):
    """Of a version that cannot put relinearising off."""

    EvalMultNoRelin = Relinearize = property(lambda self: (_ for _ in ()).throw(AttributeError))


def GenCryptoContext(parameters):
    return (EagerContext if EAGER else Context)(parameters)


def Serialize(ciphertext, kind):
    assert kind == BINARY
    return bytes(5 * len(ciphertext.values))


EAGER = False
