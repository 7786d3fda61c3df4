"""The data sets that medward can read, one file each."""

from medward.flows.datasets import ward
from medward.flows.datasets._dataset import Cut, Dataset, SourceFile
from medward.flows.datasets.ciciomt import CICIOMT
from medward.flows.datasets.medward_flow import MEDWARD_FLOW
from medward.flows.datasets.nslkdd import NSLKDD
from medward.flows.datasets.wustl import WUSTL
from medward.flows.datasets.xiomt import XIOMT

WARD = Dataset(schema=ward.SCHEMA, home="made by medward itself", cut=Cut.CHRONOLOGICAL)

DATASETS = {dataset.name: dataset for dataset in (WUSTL, XIOMT, CICIOMT, NSLKDD, MEDWARD_FLOW, WARD)}

__all__ = ["CICIOMT", "DATASETS", "MEDWARD_FLOW", "NSLKDD", "WARD", "WUSTL", "XIOMT", "Cut", "Dataset", "SourceFile"]
