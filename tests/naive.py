"""Naive references: plain loops and dense matrices, importing nothing of ours."""
