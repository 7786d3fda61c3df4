"""Scoring encrypted flows with an encrypted model."""
