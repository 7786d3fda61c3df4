"""NSL-KDD: the classic, not medical; its official test holds attacks that its training part lacks (Tavallaee 2009)."""

from pathlib import Path

from medward.flows.datasets._dataset import Cut, Dataset, SourceFile
from medward.flows.schema import Feature, Schema

_SERVICES = (
    *("IRC", "X11", "Z39_50", "aol", "auth", "bgp", "courier", "csnet_ns", "ctf", "daytime", "discard", "domain"),
    *("domain_u", "echo", "eco_i", "ecr_i", "efs", "exec", "finger", "ftp", "ftp_data", "gopher", "harvest"),
    *("hostnames", "http", "http_2784", "http_443", "http_8001", "imap4", "iso_tsap", "klogin", "kshell", "ldap"),
    *("link", "login", "mtp", "name", "netbios_dgm", "netbios_ns", "netbios_ssn", "netstat", "nnsp", "nntp"),
    *("ntp_u", "other", "pm_dump", "pop_2", "pop_3", "printer", "private", "red_i", "remote_job", "rje", "shell"),
    *("smtp", "sql_net", "ssh", "sunrpc", "supdup", "systat", "telnet", "tftp_u", "tim_i", "time", "urh_i"),
    *("urp_i", "uucp", "uucp_path", "vmnet", "whois"),
)
_FLAGS = ("OTH", "REJ", "RSTO", "RSTOS0", "RSTR", "S0", "S1", "S2", "S3", "SF", "SH")
_COLUMNS = (
    *("duration", "protocol_type", "service", "flag", "src_bytes", "dst_bytes", "land", "wrong_fragment", "urgent"),
    *("hot", "num_failed_logins", "logged_in", "num_compromised", "root_shell", "su_attempted", "num_root"),
    *("num_file_creations", "num_shells", "num_access_files", "num_outbound_cmds", "is_host_login"),
    *("is_guest_login", "count", "srv_count", "serror_rate", "srv_serror_rate", "rerror_rate", "srv_rerror_rate"),
    *("same_srv_rate", "diff_srv_rate", "srv_diff_host_rate", "dst_host_count", "dst_host_srv_count"),
    *("dst_host_same_srv_rate", "dst_host_diff_srv_rate", "dst_host_same_src_port_rate"),
    *("dst_host_srv_diff_host_rate", "dst_host_serror_rate", "dst_host_srv_serror_rate", "dst_host_rerror_rate"),
    "dst_host_srv_rerror_rate",
)
_HEADER = (*_COLUMNS, "class", "difficulty")
_CATEGORIES = {"protocol_type": ("icmp", "tcp", "udp"), "service": _SERVICES, "flag": _FLAGS}
_FAMILIES = {
    "DoS": (
        *("apache2", "back", "land", "mailbomb", "neptune", "pod", "processtable", "smurf", "teardrop", "udpstorm"),
        "worm",
    ),
    "Probe": ("ipsweep", "mscan", "nmap", "portsweep", "saint", "satan"),
    "R2L": (
        *("ftp_write", "guess_passwd", "httptunnel", "imap", "multihop", "named", "phf", "sendmail"),
        *("snmpgetattack", "snmpguess", "spy", "warezclient", "warezmaster", "xlock", "xsnoop"),
    ),
    "U2R": ("buffer_overflow", "loadmodule", "perl", "ps", "rootkit", "sqlattack", "xterm"),
}


def _describe(path: Path) -> SourceFile:
    bare = path.name.lower().removesuffix(".gz").endswith(".txt")
    official = 1 if "test" in path.name.lower() else 0
    return SourceFile(path, path.name.split(".")[0], header=_HEADER if bare else None, official=official)


def _whole_files(paths: list[Path]) -> list[Path]:
    """Leave out the publishers' excerpts (KDDTrain+_20Percent, KDDTest-21) where the whole files are there too."""
    names = " ".join(path.name for path in paths)
    excerpts = {"KDDTrain+.": "KDDTrain+_", "KDDTest+.": "KDDTest-21"}
    dropped = tuple(excerpt for whole, excerpt in excerpts.items() if whole in names)
    return [path for path in paths if not path.name.startswith(dropped)] if dropped else paths


NSLKDD = Dataset(
    schema=Schema(
        dataset="nsl-kdd",
        title="NSL-KDD",
        features=tuple(
            Feature(name, categories=_CATEGORIES.get(name, ())) for name in _COLUMNS if name != "num_outbound_cmds"
        ),
        label="class",
        classes=("normal", *_FAMILIES),
        aliases={attack: family for family, attacks in _FAMILIES.items() for attack in attacks},
        never={
            "num_outbound_cmds": "is constant",
            "difficulty": "counts how many earlier models got the row right",
        },
        citation="Tavallaee, Bagheri, Lu, Ghorbani, CISDA 2009, doi:10.1109/CISDA.2009.5356528",
    ),
    home="https://www.unb.ca/cic/datasets/nsl.html",
    cut=Cut.OFFICIAL,
    describe=_describe,
    choose=_whole_files,
)
