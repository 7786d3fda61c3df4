"""Node processes that train on encrypted rows, of which some lie as a file in their home says.

rows       as a result they hand in one that opens an owner's own rows in place of moments
withholds  they commit to their shares, and do not show them
absent     they do nothing for tasks
garbage    what they encrypt is none
stops      they end once they are bound to their shares, before they show them
"""

import io
import os
import sys
from pathlib import Path

from medward.federation.outsourced.answers import holders_of
from medward.federation.outsourced.records import OutsourcedState, ProductsComputed, TableEncrypted
from medward.fhe.computing.formats.encrypted_tables import most_table_bytes, read_table, write_parts
from medward.fhe.computing.formats.opened_products import write_product_list
from medward.fhe.computing.inner_product_opening import ProductList
from medward.node.interfaces import Program
from medward.node.outsourced.participant import OutsourcedParticipant
from medward.node.outsourced.rules import OutsourcedRules
from tests.node.computing.running import main

COMMAND = (sys.executable, "-m", "tests.node.outsourced.process")


class Liar(OutsourcedParticipant):
    """Works honestly until it is told to lie."""

    def _lie(self) -> str:
        lie = self._host.folder / "lie"
        return lie.read_text() if lie.exists() else ""

    async def _encrypt(self, state: OutsourcedState, file: Path) -> None:
        if self._lie() != "garbage":
            await super()._encrypt(state, file)
            return
        ((number, plan),) = state.plans.items()
        terms = plan.proposed.terms
        await self._secret_of(state, terms.parameters)
        garbage = os.urandom(most_table_bytes(terms.products, terms.least_rows, terms.table_columns))
        self._note(file, await self._say(TableEncrypted(number, self.blobs.put(garbage, "table"), terms.least_rows)))

    async def _compute(self, state: OutsourcedState, number: str) -> None:
        if self._lie() == "absent":
            return
        if self._lie() != "rows":
            await super()._compute(state, number)
            return
        task, terms = state.tasks[number], self._terms(state, number)
        holders, names = holders_of(state, task), []
        for holder, owner in holders.items():
            table = task.tables[task.owners.index(owner)]
            most = most_table_bytes(terms.products, table.rows, terms.table_columns)
            (first, _), *_ = read_table(
                *(self.blobs.stream(table.table, most), terms.products, holder, table.rows, terms.table_columns)
            )
            part = first.blocks.parts[0][1]
            parts = [part] * terms.numbers
            file = io.BytesIO()
            write_parts(file, terms.products, holder, parts, terms.numbers)
            names.append(self.blobs.put(file.getvalue(), f"parts/{number}"))
        crafted = ProductList(terms.products, tuple(holders), (1,) * terms.numbers, tuple(names))
        await self._say(ProductsComputed(number, self.blobs.put(write_product_list(crafted), f"task/{number}")))

    async def _commit(self, state: OutsourcedState, number: str) -> None:
        if self._lie() != "absent":
            await super()._commit(state, number)

    async def _reveal(self, state: OutsourcedState, number: str) -> None:
        if self._lie() == "stops":
            (self._host.folder / "lie").unlink()
            os._exit(9)
        if self._lie() not in ("absent", "withholds"):
            await super()._reveal(state, number)


if __name__ == "__main__":
    sys.exit(main({"outsourced": Program(OutsourcedRules, Liar)}))
