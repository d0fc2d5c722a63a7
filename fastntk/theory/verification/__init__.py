"""The statements of Du et al. (arXiv 1810.02054), each measured on given data and reported with its slack."""

from fastntk.theory.verification.statement import Condition, Statement
from fastntk.theory.verification.whole import Verification, verify

__all__ = ["Condition", "Statement", "Verification", "verify"]
