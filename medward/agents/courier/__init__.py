"""Courier: decides, once for the whole federation, how long to train before the next sum and how that sum is sent.

It sees public or already aggregated signals only, and its policy is public: every member computes the same decision.
spec/courier.md has the formulas.
"""
