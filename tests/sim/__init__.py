"""The deterministic simulator: replicas, network, disks, clients and liars in one process, all from one seed."""
