import subprocess
import sys
from pathlib import Path

import pytest

from medward.flows.datasets import CICIOMT
from tests.flows.flow_files import table_of, text_of, write

MEGABYTE = 1 << 20
# Peak memory is read before and after iterating, in a process that has read a small file of the same form first.
# VmHWM and not getrusage, whose peak a process inherits from the one that started it.
READ = """
import sys
from pathlib import Path
from medward.flows.datasets import CICIOMT
from medward.flows.reading import read_batches
def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])
rows = sum(len(flows) for flows in read_batches(CICIOMT, Path(sys.argv[1])))
before = peak()
for flows in read_batches(CICIOMT, Path(sys.argv[2])):
    rows += len(flows)
print(rows, (peak() - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from /proc")
@pytest.mark.parametrize("name", ["large.csv", "large.csv.gz"])
def test_a_large_file_is_read_in_little_memory(name: str, tmp_path: Path) -> None:
    table = table_of(CICIOMT, 2000)
    small = write(tmp_path / "small.csv", table)
    header, _, lines = text_of(table).partition("\n")
    size, times = 0, 0
    blocks = [header + "\n"]
    while size < 64 * MEGABYTE:
        blocks.append(lines)
        size, times = size + len(lines), times + 1
    large = write(tmp_path / name, "".join(blocks))
    ran = subprocess.run(
        [sys.executable, "-c", READ, str(small), str(large)], capture_output=True, text=True, check=True
    )
    rows, growth = map(int, ran.stdout.split())
    assert rows == 2000 * (times + 1)
    assert growth < 200
