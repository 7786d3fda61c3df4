"""Tables, plots and documents that people read."""

from medward.report.benchmark import BenchmarkRow, machine_description, print_benchmark

__all__ = ["BenchmarkRow", "machine_description", "print_benchmark"]
