"""The meter beside Argus and Suricata, on captures that are generated here."""
