"""WUSTL-EHMS-2020: Argus flow records and patient biometrics under spoofing and data alteration (Hady et al. 2020)."""

from medward.flows.datasets._dataset import Cut, Dataset
from medward.flows.schema import Feature, Group, Schema

_IDENTITY = "identifies the attacker's or a testbed machine, not the behaviour"
_CONSTANT = "has one value in the published file"

_FLOW = (
    *("SrcBytes", "DstBytes", "SrcLoad", "DstLoad", "SIntPkt", "DIntPkt", "SIntPktAct", "SrcJitter", "DstJitter"),
    *("sMaxPktSz", "dMaxPktSz", "sMinPktSz", "Dur", "TotPkts", "TotBytes", "Load", "Loss", "pLoss", "pSrcLoss"),
    *("pDstLoss", "Rate"),
)
_BIOMETRICS = ("Temp", "SpO2", "Pulse_Rate", "SYS", "DIA", "Heart_rate", "Resp_Rate", "ST")
_ARGUS_FLAGS = ("e", "e s", "eR", "M", "M *", "M d", "MR")

WUSTL = Dataset(
    schema=Schema(
        dataset="wustl-ehms-2020",
        title="WUSTL-EHMS-2020",
        features=(
            Feature("Flgs", categories=_ARGUS_FLAGS, event=True),
            *(Feature(name) for name in _FLOW),
            *(Feature(name, Group.EXPENSIVE) for name in _BIOMETRICS),
        ),
        label="Attack Category",
        classes=("normal", "Spoofing", "Data Alteration"),
        never={
            "SrcMac": "is the label: one address stands on all attack rows and on no other",
            "DstMac": _CONSTANT,
            "SrcAddr": _CONSTANT,
            "DstAddr": _CONSTANT,
            "Sport": _IDENTITY,
            "Dport": _CONSTANT,
            "Dir": _CONSTANT,
            "Packet_num": "counts the rows; it orders them and nothing else",
            "SrcGap": _CONSTANT,
            "DstGap": _CONSTANT,
            "DIntPktAct": _CONSTANT,
            "dMinPktSz": _CONSTANT,
            "Trans": _CONSTANT,
            "Label": "is the label",
        },
        device="SrcAddr",
        order="Packet_num",
        history=True,
        citation="Hady, Ghubaish, Salman, Unal, Jain, IEEE Access 8 (2020), doi:10.1109/ACCESS.2020.3000421",
    ),
    home="https://www.cse.wustl.edu/~jain/ehms/index.html",
    cut=Cut.BLOCKS,
    fingerprints=("Flgs",),
    paper_extra=(
        Feature("SrcMac", categories=("84:3a:4b:0f:5b:94", "d8:9e:f3:95:02:75")),
        Feature("Packet_num"),
    ),
)
