"""Practical Byzantine fault tolerance (Castro and Liskov, OSDI'99; TOCS'02): a pure replica, and its runtime."""
