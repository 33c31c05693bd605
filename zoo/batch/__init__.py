"""Predictions for many files, on engines made for that: Apache Beam and Ray Data."""
