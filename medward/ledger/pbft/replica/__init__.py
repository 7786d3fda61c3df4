"""The replica, a pure machine: machine.py is `step`, state.py what it knows, ordering.py the normal case."""
