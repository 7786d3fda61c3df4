"""The messages of ABCI 2.0 as CometBFT 0.38 sends them (proto/tendermint/abci/types.proto), as far as they are read."""

from medward.ledger.cometbft.protobuf import Table, table

EMPTY = table()
TIMESTAMP = table(seconds=(1, "int"), nanos=(2, "int"))
PUBLIC_KEY = table(ed25519=(1, "bytes"))
VALIDATOR_UPDATE = table(pub_key=(1, PUBLIC_KEY), power=(2, "int"))
EXEC_TX_RESULT = table(code=(1, "int"), data=(2, "bytes"), log=(3, "text"))
SNAPSHOT = table(height=(1, "int"), format=(2, "int"), chunks=(3, "int"), hash=(4, "bytes"), metadata=(5, "bytes"))
ECHO = table(message=(1, "text"))


def _one_of(**members: tuple[int, Table]) -> Table:
    return table(**members)


REQUEST = _one_of(
    echo=(1, ECHO),
    flush=(2, EMPTY),
    info=(3, table(version=(1, "text"))),
    init_chain=(5, table(time=(1, TIMESTAMP), chain_id=(2, "text"), validators=(4, VALIDATOR_UPDATE, "repeated"))),
    query=(6, table(data=(1, "bytes"), path=(2, "text"), height=(3, "int"), prove=(4, "int"))),
    check_tx=(8, table(tx=(1, "bytes"), type=(2, "int"))),
    commit=(11, EMPTY),
    list_snapshots=(12, EMPTY),
    offer_snapshot=(13, table(snapshot=(1, SNAPSHOT), app_hash=(2, "bytes"))),
    load_snapshot_chunk=(14, table(height=(1, "int"), format=(2, "int"), chunk=(3, "int"))),
    apply_snapshot_chunk=(15, table(index=(1, "int"), chunk=(2, "bytes"), sender=(3, "text"))),
    prepare_proposal=(16, table(max_tx_bytes=(1, "int"), txs=(2, "bytes", "repeated"), height=(5, "int"))),
    process_proposal=(17, table(txs=(1, "bytes", "repeated"), height=(5, "int"), time=(6, TIMESTAMP))),
    extend_vote=(18, EMPTY),
    verify_vote_extension=(19, EMPTY),
    finalize_block=(20, table(txs=(1, "bytes", "repeated"), hash=(4, "bytes"), height=(5, "int"), time=(6, TIMESTAMP))),
)

RESPONSE = _one_of(
    exception=(1, table(error=(1, "text"))),
    echo=(2, ECHO),
    flush=(3, EMPTY),
    info=(4, table(data=(1, "text"), version=(2, "text"), last_block_height=(4, "int"),
                   last_block_app_hash=(5, "bytes"))),
    init_chain=(6, table(app_hash=(3, "bytes"))),
    query=(7, table(code=(1, "int"), log=(3, "text"), key=(6, "bytes"), value=(7, "bytes"), height=(9, "int"))),
    check_tx=(9, table(code=(1, "int"), data=(2, "bytes"), log=(3, "text"))),
    commit=(12, table(retain_height=(3, "int"))),
    list_snapshots=(13, table(snapshots=(1, SNAPSHOT, "repeated"))),
    offer_snapshot=(14, table(result=(1, "int"))),
    load_snapshot_chunk=(15, table(chunk=(1, "bytes"))),
    apply_snapshot_chunk=(16, table(result=(1, "int"))),
    prepare_proposal=(17, table(txs=(1, "bytes", "repeated"))),
    process_proposal=(18, table(status=(1, "int"))),
    extend_vote=(19, table(vote_extension=(1, "bytes"))),
    verify_vote_extension=(20, table(status=(1, "int"))),
    finalize_block=(21, table(tx_results=(2, EXEC_TX_RESULT, "repeated"),
                              validator_updates=(3, VALIDATOR_UPDATE, "repeated"), app_hash=(5, "bytes"))),
)  # fmt: skip
